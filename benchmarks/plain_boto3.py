"""What one writes without a framework: one poller, ten threads, batched deletes. Arguments: ENDPOINT QUEUE SECONDS."""

from __future__ import annotations

import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3

from benchmarks.probe import Probe


def consume(sqs: Any, url: str, pool: ThreadPoolExecutor, probe: Probe) -> None:  # noqa: ANN401 -- boto3 has no types
    """Receive ten, handle them side by side, delete them, again."""
    while True:
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", ())
        for _ in pool.map(lambda _: probe(), messages):
            pass
        if messages:
            entries = [{"Id": str(at), "ReceiptHandle": one["ReceiptHandle"]} for at, one in enumerate(messages)]
            sqs.delete_message_batch(QueueUrl=url, Entries=entries)


def main(endpoint: str, queue: str, seconds: str) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    probe = Probe(float(seconds))
    sqs = boto3.client("sqs", endpoint_url=endpoint)
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    with ThreadPoolExecutor(10) as pool:
        try:
            consume(sqs, url, pool, probe)
        finally:
            probe.report()


if __name__ == "__main__":
    main(*sys.argv[1:])
