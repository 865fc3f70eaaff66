"""taskiq with taskiq-aio-sqs: handlers on one loop of uvloop, SQS by aiobotocore."""

from __future__ import annotations

import asyncio
from typing import Any

import uvloop
from taskiq.api import run_receiver_task
from taskiq_aio_sqs import SQSBroker

from benchmarks.programs import probe
from benchmarks.programs.job import Job


async def main(job: Job) -> None:
    broker = SQSBroker(
        job.queue,
        endpoint_url=job.endpoint,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106 -- any will do
        wait_time_seconds=job.wait_time,
        max_number_of_messages=10,
        enable_batching=job.mode == "send many",
    )
    watch = probe.Probe(job) if job.mode == "work" else None

    @broker.task(task_name="order")
    async def handle(body: dict[str, Any]) -> None:
        if watch is not None:
            await watch.wait(body)

    async def many(bodies: list[dict[str, Any]]) -> None:
        await asyncio.gather(*(handle.kiq(each) for each in bodies))

    await broker.startup()
    if watch is None:
        await probe.send_async(job, handle.kiq, many)
        await broker.shutdown()
    else:
        broker.is_worker_process = True
        await run_receiver_task(broker, max_async_tasks=job.concurrency, max_prefetch=10, run_startup=False)


if __name__ == "__main__":
    uvloop.run(main(Job.of_command_line()))
