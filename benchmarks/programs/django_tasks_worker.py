"""django.tasks with django-tasks-sqs: ten threads, each polling for itself."""

from __future__ import annotations

import signal
from typing import Any

import django
from django.conf import settings
from django.tasks import task

from benchmarks.programs import probe
from benchmarks.programs.job import QUEUE, Job

JOB = Job.of_command_line()
WATCH = probe.Probe(JOB) if JOB.mode == "work" else None
BACKEND = {
    "BACKEND": "django_tasks_sqs.SQSBackend",
    "QUEUES": [QUEUE],
    "OPTIONS": {"endpoint_url": JOB.endpoint, "region_name": "us-east-1", "queue_urls": {QUEUE: JOB.url}},
}


def handle(body: dict[str, Any]) -> None:
    """A task is found by the path of its module, so it stands at the top of one."""
    if WATCH is not None:
        WATCH(body)


if __name__ == "__main__":
    settings.configure(INSTALLED_APPS=["django_tasks_sqs"], TASKS={"default": BACKEND}, USE_TZ=True)
    django.setup()
    handle = task(queue_name=QUEUE)(handle)
    if WATCH is None:
        backend = handle.get_backend()
        probe.send(
            JOB,
            lambda body: handle.enqueue(body=body),
            lambda bodies: backend.enqueue_many((handle, [], {"body": body}) for body in bodies),
        )
    else:
        from django_tasks_sqs import Worker
        from django_tasks_sqs.worker import WorkerOptions

        options = WorkerOptions(wait_time_seconds=JOB.wait_time, max_messages=10)
        worker = Worker(backend_alias="default", queue_names=[QUEUE], concurrency=JOB.concurrency, options=options)
        signal.signal(signal.SIGTERM, lambda *_: worker.stop())
        worker.run()
