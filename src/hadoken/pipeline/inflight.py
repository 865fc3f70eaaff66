"""The in-flight table: every message we hold and its lease, the single truth.

Rules of this file:
- Engine loop only; no locks, no I/O, no clock of its own.
- A record enters once (`add`) and leaves once (`remove`). Between them it moves along
  WAITING <-> ACTIVE -> SETTLING, and a FIFO head that is retried in place goes back from ACTIVE to WAITING.
- A record refers to nothing that refers to it, and nothing outside the stages keeps one (I8).
"""

from __future__ import annotations

import enum
import sys
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hadoken.outcome import Verdict
    from hadoken.pipeline.queues import QueueInfo
    from hadoken.sqs.api import ReceivedMessage

REMEMBERED = 10_000  # guess: at 1,000 messages/s and a lost delete in ten thousand, more than a day of them


class State(enum.IntEnum):
    """Where a record is on its path."""

    WAITING = 0
    ACTIVE = 1
    SETTLING = 2
    GONE = 3


class Record:
    """One message in flight.

    Attributes:
        ticket: our own number of it; never reused.
        handle: the newest receipt handle.
        size: bytes of memory that the message's text and attribute values took when it was entered.
        received_at: lease clock; start of the 12 h that SQS allows in all.
        lease_end: lease clock; when another worker may get the message, less our margin.
        lost: the lease lapsed or SQS said so: no visibility change may be sent with this handle any more.
        extending: a visibility change of the keeper is on the wire.
        changing: a visibility change of the acknowledger is on the wire.
        extensions: how many extensions SQS has confirmed.
        keep: whether its lease is still to be extended.
        retries: how often it was retried in place.
        held_until: lease clock of the next try in place; None when it is not held for one.
        tries: failed calls of the acknowledger for it.
        visible_at: lease clock at which a retry or release wants it visible again.
        entry: the keeper's, see there.
        verdict: how it ended; None until it has.
        group: (queue, message group) of a FIFO message: what must run in order; None on standard queues.
    """

    __slots__ = (
        "__weakref__",
        "changing",
        "entry",
        "extending",
        "extensions",
        "group",
        "handle",
        "held_until",
        "keep",
        "lease_end",
        "lost",
        "message",
        "queue",
        "received_at",
        "retries",
        "size",
        "state",
        "ticket",
        "timeout",
        "tries",
        "verdict",
        "visible_at",
    )  # fmt: skip -- one name a line hides that there are few

    def __init__(
        self, ticket: int, message: ReceivedMessage, queue: QueueInfo, *, received_at: float, lease_end: float
    ) -> None:
        self.ticket = ticket
        self.message = message
        self.queue = queue
        self.handle = message.receipt_handle
        self.size = size_of(message)
        self.received_at = received_at
        self.lease_end = lease_end
        self.timeout = queue.visibility_timeout
        self.state = State.WAITING
        self.lost = False
        self.extending = False
        self.changing = False
        self.extensions = 0
        self.retries = 0
        self.tries = 0
        self.keep = True
        self.visible_at = 0.0
        self.held_until: float | None = None
        self.entry: object = None
        self.verdict: Verdict | None = None
        name = message.message_group_id if queue.fifo else None
        self.group = None if name is None else (queue.name, name)

    @property
    def attempt(self) -> int:
        """Which start of a handler the next or current one is, from 1."""
        return self.message.receive_count + self.retries

    @property
    def is_last_attempt(self) -> bool:
        """Whether the message is dead-lettered if this attempt fails."""
        allowed = self.queue.max_receive_count
        return allowed is not None and self.attempt >= allowed

    def __repr__(self) -> str:
        return f"<Record {self.ticket} {self.message.message_id} of {self.queue.name} {self.state.name}>"


def size_of(message: ReceivedMessage) -> int:
    """Bytes of memory of a message's body and attribute values."""
    size = sys.getsizeof(message.body)
    if message.attributes:
        size += sum(len(each.text or each.data or b"") for each in message.attributes.values())
    return size


class Table:
    """All records, and how many there are of each class.

    Attributes:
        active, waiting, settling: how many records are in that state.
        bytes: memory of all bodies and attribute values held.
        entered, left: records added and removed since the start.
    """

    def __init__(self) -> None:
        self.records: dict[int, Record] = {}
        self._by_id: dict[tuple[str, str], Record] = {}
        self._finished: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._counts = [0, 0, 0, 0]
        self.bytes = 0
        self.entered = 0
        self.left = 0

    def __len__(self) -> int:
        return len(self.records)

    @property
    def active(self) -> int:
        """Records handed to the executor and not finished."""
        return self._counts[State.ACTIVE]

    @property
    def waiting(self) -> int:
        """Records that no handler could take now."""
        return self._counts[State.WAITING]

    @property
    def settling(self) -> int:
        """Finished records whose outcome SQS has not confirmed."""
        return self._counts[State.SETTLING]

    def holding(self, queue: QueueInfo, message_id: str) -> Record | None:
        """The record that has this message id now, if any."""
        return self._by_id.get((queue.name, message_id))

    def add(self, message: ReceivedMessage, queue: QueueInfo, *, received_at: float, lease_end: float) -> Record:
        """Enter a message that is not held yet, as WAITING (I1)."""
        self.entered += 1
        record = Record(self.entered, message, queue, received_at=received_at, lease_end=lease_end)
        self.records[record.ticket] = record
        self._by_id[queue.name, message.message_id] = record
        self._counts[State.WAITING] += 1
        self.bytes += record.size
        return record

    def move(self, record: Record, state: State) -> None:
        """Put a record that is in the table into another state."""
        self._counts[record.state] -= 1
        self._counts[state] += 1
        record.state = state

    def remove(self, record: Record) -> None:
        """Take a record out: its final transition, once (I2)."""
        del self.records[record.ticket]
        key = (record.queue.name, record.message.message_id)
        if self._by_id.get(key) is record:
            del self._by_id[key]
        self._counts[record.state] -= 1
        self.bytes -= record.size
        record.state = State.GONE
        self.left += 1

    def remember_finished(self, record: Record) -> None:
        """Keep the id of a message that was handled but whose delete was never confirmed; bounded, oldest forgotten."""
        self._finished[record.queue.name, record.message.message_id] = None
        if len(self._finished) > REMEMBERED:
            self._finished.popitem(last=False)

    def was_finished(self, queue: QueueInfo, message_id: str) -> bool:
        """Whether this message was handled here before and only its delete failed; forgets it."""
        return self._finished.pop((queue.name, message_id), self) is None
