"""What keeping a lease costs: microseconds of CPU for a message over its life, requests aside.

A life: received with nine others, extended once at half of the lease (and the answer taken in), finished. The table and
the keeper are the real ones; the calls that the keeper asks for are answered at once by nobody.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from hadoken.pipeline.inflight import Record
from hadoken.pipeline.keeper import Keeper
from hadoken.pipeline.lease import Margin
from hadoken.pipeline.queues import QueueInfo
from hadoken.sqs.api import ReceivedMessage

MESSAGES = 10_000
RECEIVE = 10  # messages of one receive: what a full queue gives
GAP = 0.001  # seconds of virtual time between two receives
TIMEOUT = 30  # seconds, SQS's default


@dataclass(frozen=True, slots=True)
class KeeperCost:
    """Microseconds of CPU per message.

    Attributes:
        held: entered and taken out, never extended.
        extended: the same, with one extension between them.
        batches: extensions asked for, of `MESSAGES` messages.
    """

    held: float
    extended: float
    batches: int


def measure() -> KeeperCost:
    """Run both lives over 10,000 messages that are held at once. Blocks for a fraction of a second."""
    held, _ = _live(extended=False)
    extended, batches = _live(extended=True)
    return KeeperCost(held, extended, batches)


def _live(*, extended: bool) -> tuple[float, int]:
    """Microseconds per message, and how many batches were asked for."""
    receives = list(_receives())
    keeper = Keeper(Margin())
    batches = 0
    began = time.process_time()
    for number, records in enumerate(receives):
        keeper.hold(records, lease_start=number * GAP, length=TIMEOUT)
    now = 0.0
    while extended and batches < MESSAGES / RECEIVE:
        at = keeper.next_due()
        if at is None:
            raise RuntimeError("the keeper has nothing due though it holds messages")
        now = max(now, at)
        for extension in keeper.due(now).extensions:
            batches += 1
            keeper.answered(extension, {}, now)
    for records in receives:
        for record in records:
            keeper.forget(record)
    spent = time.process_time() - began
    if keeper.members:
        raise RuntimeError(f"{keeper.members} messages were left in the keeper")
    return spent / MESSAGES * 1e6, batches


def _receives() -> list[list[Record]]:
    queue = QueueInfo("benchmark", "http://localhost/1/benchmark", visibility_timeout=TIMEOUT)
    records = [
        Record(
            ticket, ReceivedMessage(str(ticket), f"handle {ticket}", "", {}, {}), queue, received_at=0.0, lease_end=0.0
        )
        for ticket in range(MESSAGES)
    ]
    return [records[start : start + RECEIVE] for start in range(0, MESSAGES, RECEIVE)]
