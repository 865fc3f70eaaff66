"""A worker of hadoken."""

from __future__ import annotations

import signal
from typing import Any

import hadoken
from benchmarks.programs import probe
from benchmarks.programs.job import Job
from hadoken.sqs.connection import Connection


def work(job: Job) -> None:
    watch = probe.Probe(job)
    app = hadoken.App("benchmark")

    def handle(body: dict[str, Any]) -> None:
        watch(body)

    for name in job.queues:
        app.queue(name, dict[str, Any]).handler()(handle)
    options: dict[str, Any] = {"transport": job.transport} if job.transport else {}
    worker = hadoken.Worker(
        app, concurrency=job.concurrency, wait_time=job.wait_time, endpoint_url=job.endpoint, **options
    )
    watch.budget = worker.threads.total
    with worker:
        signal.sigwait([signal.SIGTERM])


def send(job: Job) -> None:
    app = hadoken.App("benchmark")
    if job.transport:
        app.connect(Connection(transport=job.transport))  # type: ignore[arg-type] # a word of the command line
    queue = app.queue(job.queue, dict[str, Any])
    probe.send(job, queue.send, queue.send_many)


if __name__ == "__main__":
    asked = Job.of_command_line()
    if asked.mode == "work":
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        work(asked)
    else:
        send(asked)
