"""Celery with its SQS transport and its pool of threads."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import kombu.asynchronous.aws.connection
from celery import Celery

from benchmarks.programs import probe
from benchmarks.programs.job import QUEUE, Job


def application(job: Job) -> Celery:
    """Celery as its documentation sets it up for SQS, with the settings that cost the least."""
    at = urlsplit(job.endpoint)
    app = Celery("benchmark", broker=f"sqs://local:local@{at.netloc}")
    queue = {"url": job.url, "access_key_id": "local", "secret_access_key": "local"}
    app.conf.update(
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "is_secure": at.scheme == "https",
            "polling_interval": 0,  # long polls alone, without a pause between them
            "predefined_queues": {QUEUE: queue},
            "region": "us-east-1",
            "wait_time_seconds": job.wait_time,
        },
        task_acks_late=True,  # delete after the handler, as all others do
        task_default_queue=QUEUE,
        task_ignore_result=True,
        worker_enable_remote_control=False,
    )
    if job.ca:  # pycurl is given botocore's own bundle, whatever the environment says
        kombu.asynchronous.aws.connection.get_cert_path = lambda _verify: job.ca
    return app


def main(job: Job) -> None:
    app = application(job)
    watch = probe.Probe(job) if job.mode == "work" else None

    @app.task(name="order")
    def handle(body: dict[str, Any]) -> None:
        if watch is not None:
            watch(body)

    if watch is None:
        probe.send(job, handle.delay, None)
        return
    words = ["--pool=threads", f"--concurrency={job.concurrency}", "--loglevel=WARNING"]
    app.worker_main(["worker", *words, "--without-gossip", "--without-mingle", "--without-heartbeat"])


if __name__ == "__main__":
    main(Job.of_command_line())
