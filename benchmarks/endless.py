"""SQS played in the process: every queue is full for ever, every answer is there at once, nothing goes over a wire.

What a worker costs on it is what the worker itself costs. Messages are made once and handed out in turn, so that not
even their making is counted.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from itertools import cycle
from typing import TypeVar

from hadoken.sqs import api

T = TypeVar("T")

BODY = json.dumps({"id": 123456, "text": "x" * 170})  # 200 bytes of JSON
ATTRIBUTES = {"VisibilityTimeout": "30", "QueueArn": "arn:aws:sqs:us-east-1:000000000000:endless"}
DONE = api.BatchAnswer()
RING = 2_000  # receives after which the same messages come again: far more than a worker holds


def receives() -> Iterator[api.Received]:
    """Full receives without end; a message comes again when it has long been deleted."""
    return cycle([api.Received([_message(number * 10 + at) for at in range(10)]) for number in range(RING)])


def _message(number: int) -> api.ReceivedMessage:
    system = {
        "ApproximateReceiveCount": "1",
        "ApproximateFirstReceiveTimestamp": "1767225600100",
        "SenderId": "AIDAEXAMPLE",
        "SentTimestamp": "1767225600000",
    }
    return api.ReceivedMessage(f"message-{number}", f"handle-{number}", BODY, system)


class Endless:
    """`hadoken.sqs.api.SQS` on queues that never end.

    Args:
        round_trip: seconds until an answer comes; 0: it is there with the call.

    Thread: that of the loop.
    """

    def __init__(self, *, round_trip: float = 0.0) -> None:
        self._round_trip = round_trip
        self._receives = receives()

    def receive(self, request: api.Receive) -> asyncio.Future[api.Received]:
        """Ten messages, or as many of them as are asked for."""
        full = next(self._receives)
        if request.max_messages == len(full.messages):
            return self._answer(full)
        return self._answer(api.Received(full.messages[: request.max_messages]))

    def delete_batch(self, request: api.DeleteBatch) -> asyncio.Future[api.BatchAnswer]:  # noqa: ARG002 -- of the seam
        """All are deleted."""
        return self._answer(DONE)

    def change_visibility_batch(self, request: api.ChangeVisibilityBatch) -> asyncio.Future[api.BatchAnswer]:  # noqa: ARG002 -- of the seam
        """All are changed."""
        return self._answer(DONE)

    def send_batch(self, request: api.SendBatch) -> asyncio.Future[api.SentBatch]:
        """All are sent."""
        return self._answer(api.SentBatch(dict.fromkeys(range(len(request.entries)), "sent")))

    def queue_url(self, name: str) -> asyncio.Future[str]:
        """Every queue exists."""
        return self._answer(f"http://localhost/1/{name}")

    def queue_attributes(self, queue_url: str) -> asyncio.Future[Mapping[str, str]]:  # noqa: ARG002 -- of the seam
        """A queue as AWS makes it."""
        return self._answer(ATTRIBUTES)

    def close(self) -> None:
        """Nothing is open."""

    def _answer(self, answer: T) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        if self._round_trip:
            loop.call_later(self._round_trip, _settle, future, answer)
        else:
            future.set_result(answer)
        return future


def _settle(future: asyncio.Future[T], answer: T) -> None:
    if not future.done():
        future.set_result(answer)
