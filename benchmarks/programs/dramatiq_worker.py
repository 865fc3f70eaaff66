"""dramatiq with dramatiq-sqs, in one process."""

from __future__ import annotations

import signal
from typing import Any

import dramatiq
from dramatiq_sqs import SQSBroker

from benchmarks.programs import probe
from benchmarks.programs.job import QUEUE, Job


def main(job: Job) -> None:
    broker = SQSBroker(endpoint_url=job.endpoint, namespace=job.queue.removesuffix(f"_{QUEUE}"))
    dramatiq.set_broker(broker)
    watch = probe.Probe(job) if job.mode == "work" else None

    @dramatiq.actor(actor_name="order", queue_name=QUEUE)
    def handle(body: dict[str, Any]) -> None:
        if watch is not None:
            watch(body)

    if watch is None:
        probe.send(job, handle.send, None)
        return
    worker = dramatiq.Worker(broker, worker_threads=job.concurrency)
    worker.start()
    signal.sigwait([signal.SIGTERM])
    worker.stop()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    main(Job.of_command_line())
