"""What one writes without a framework: one poller, ten threads, batched deletes."""

from __future__ import annotations

import json
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3

from benchmarks.programs import probe
from benchmarks.programs.job import Job

BATCH = 10  # messages a request; SQS takes no more


def work(job: Job, sqs: Any) -> None:  # noqa: ANN401 -- boto3 has no types
    """Receive ten, handle them side by side, delete them, again."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    watch = probe.Probe(job)
    ask = {"QueueUrl": job.url, "MaxNumberOfMessages": BATCH, "WaitTimeSeconds": job.wait_time}
    with ThreadPoolExecutor(job.concurrency) as pool:
        while True:
            messages = sqs.receive_message(**ask).get("Messages", ())
            for _ in pool.map(lambda one: watch(json.loads(one["Body"])), messages):
                pass
            if messages:
                entries = [{"Id": str(at), "ReceiptHandle": one["ReceiptHandle"]} for at, one in enumerate(messages)]
                sqs.delete_message_batch(QueueUrl=job.url, Entries=entries)


def send(job: Job, sqs: Any) -> None:  # noqa: ANN401 -- the same
    def one(body: dict[str, Any]) -> None:
        sqs.send_message(QueueUrl=job.url, MessageBody=json.dumps(body))

    def many(bodies: list[dict[str, Any]]) -> None:
        for start in range(0, len(bodies), BATCH):
            entries = [
                {"Id": str(at), "MessageBody": json.dumps(body)}
                for at, body in enumerate(bodies[start : start + BATCH])
            ]
            sqs.send_message_batch(QueueUrl=job.url, Entries=entries)

    probe.send(job, one, many)


if __name__ == "__main__":
    asked = Job.of_command_line()
    (work if asked.mode == "work" else send)(asked, boto3.client("sqs", endpoint_url=asked.endpoint))
