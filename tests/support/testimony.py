"""What a local SQS in memory says of a worker: which messages were received and deleted."""

from __future__ import annotations

from collections import Counter

from hadoken.testing import FakeSQS


def receives(sqs: FakeSQS, queue: str) -> Counter[str]:
    """Message id -> how often it was received."""
    return Counter(event.id for event in sqs.events(queue, "received"))


def deleted(sqs: FakeSQS, queue: str) -> list[str]:
    """Ids of messages that were really deleted, in order; one twice would be a fault."""
    return [event.id for event in sqs.events(queue, "deleted") if event.found]
