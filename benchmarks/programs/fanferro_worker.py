"""fanferro: handlers on one asyncio loop, SQS in Rust."""

from __future__ import annotations

import asyncio
from typing import Any

import fanferro

from benchmarks.programs import probe
from benchmarks.programs.job import Job


async def main(job: Job) -> None:
    client = fanferro.Client(
        endpoint_url=job.endpoint, region="us-east-1", credentials=fanferro.Credentials("local", "local")
    )
    queue = client.queue(job.queue)
    if job.mode == "work":
        watch = probe.Probe(job)

        async def handle(body: dict[str, Any]) -> None:
            await watch.wait(body)

        client.consumer(queue, handle, concurrency=job.concurrency, batch_size=10, wait_time=job.wait_time)
        async with client:
            await client.run()
    else:
        async with client:
            await probe.send_async(job, queue.send, queue.send_batch)


if __name__ == "__main__":
    asyncio.run(main(Job.of_command_line()))
