"""sqs-workers: it handles one message at a time, so ten threads each run a loop of it."""

from __future__ import annotations

import os
import threading
from typing import Any

from sqs_workers import SQSEnv

from benchmarks.programs import probe
from benchmarks.programs.job import Job


def declare(job: Job, watch: probe.Probe | None) -> tuple[Any, Any]:
    """A queue of an environment of its own, since boto3's resources are not for several threads; and its task."""
    queue = SQSEnv().queue(job.queue, queue_url=job.url)

    @queue.processor("order")
    def handle(body: dict[str, Any]) -> None:
        if watch is not None:
            watch(body)

    return queue, handle


def main(job: Job) -> None:
    if job.mode == "work":
        watch = probe.Probe(job)
        queues = [declare(job, watch)[0] for _ in range(job.concurrency)]
        threads = [
            threading.Thread(target=each.process_queue, kwargs={"wait_second": job.wait_time}) for each in queues
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    else:
        queue, task = declare(job, None)

        def many(bodies: list[dict[str, Any]]) -> None:
            with queue.add_batch():
                for each in bodies:
                    task.delay(body=each)

        probe.send(job, lambda each: task.delay(body=each), many)


if __name__ == "__main__":
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    main(Job.of_command_line())
