"""The acknowledger: tells SQS how each message ended, in batches, until SQS has confirmed it or the lease has ended.

Rules of this file:
- A batch holds 1..10 records of one queue and one operation; entries are known by position (I3).
- What is confirmed is confirmed by SQS's answer, never by having been sent (I1).
- After a lapse no visibility change and no copy is sent; a delete is tried once more, and that one proves nothing (I4).
- A visibility change waits until the keeper's own change of the same message has been answered: the last word is ours.
- Engine loop only; blocks on nothing.
"""

from __future__ import annotations

import enum
import heapq
import logging
import math
import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hadoken import limits
from hadoken.message import KEY_ATTRIBUTE, REASON_ATTRIBUTE
from hadoken.outcome import Kind, Verdict
from hadoken.pipeline.inflight import State
from hadoken.pipeline.lease import Margin, extension
from hadoken.sqs import backoff
from hadoken.sqs.api import (
    NO_ANSWER,
    Attribute,
    ChangeVisibilityBatch,
    DeleteBatch,
    EntryFailure,
    Fault,
    SendBatch,
    SendEntry,
)

if TYPE_CHECKING:
    from hadoken.pipeline.inflight import Record
    from hadoken.pipeline.queues import QueueInfo

log = logging.getLogger("hadoken.acknowledger")

LINGER = 0.1  # seconds that a single outcome waits for others: the price is one tenth of a second of lease
LONGEST_RETRY = 900.0  # seconds until the next try of a message that should be dead-lettered and cannot


class Operation(enum.IntEnum):
    """What a batch does."""

    DELETE = 0
    CHANGE = 1
    COPY = 2


class End(enum.Enum):
    """How a record's settling ended."""

    DELETED = "SQS confirmed the delete"
    CHANGED = "SQS confirmed the visibility change"
    LOST = "the lease had lapsed; another worker may have the message"
    UNKNOWN = "a visibility change was not answered, and by now the message may be another worker's"
    REFUSED = "SQS will not accept it; of a copy the pool decides, else the lease is left to lapse"


@dataclass(slots=True)
class Batch:
    """One call on its way."""

    operation: Operation
    queue: QueueInfo
    records: list[Record]
    handles: list[str]
    request: DeleteBatch | ChangeVisibilityBatch | SendBatch
    sent_at: float


@dataclass(slots=True, eq=False)
class Bucket:
    """What waits for one operation on one queue. `fresh` was never sent; `again` waits for another try.

    What is urgent goes at once, but not beside a call of the same kind: what gathers while one is on the wire goes with
    the next. So a single urgent outcome does not wait, and many share calls.
    """

    operation: Operation
    queue: QueueInfo
    fresh: deque[Record] = field(default_factory=deque)
    again: list[tuple[float, int, Record]] = field(default_factory=list)
    flush_at: float = math.inf
    urgent: bool = False
    on_wire: int = 0

    def put(self, record: Record, now: float, *, urgent: bool) -> None:
        """Add a record that goes out within the linger time, or at the next turn."""
        self.fresh.append(record)
        self.flush_at = min(self.flush_at, now + LINGER)
        self.urgent |= urgent

    def put_again(self, record: Record, at: float) -> None:
        """Add a record whose last call failed."""
        heapq.heappush(self.again, (at, record.ticket, record))

    def due_at(self) -> float:
        """When the next batch must go out; infinity when nothing is ready to go."""
        fresh = math.inf
        if any(self._may_go(record) for record in self.fresh):
            at_once = len(self.fresh) >= limits.BATCH_ENTRIES or (self.urgent and not self.on_wire)
            fresh = -math.inf if at_once else self.flush_at
        return min(fresh, self.again[0][0] if self.again else math.inf)

    def take(self, now: float) -> list[Record]:
        """Take up to ten records that may go now."""
        taken: list[Record] = []
        waiting: list[Record] = []
        while self.again and self.again[0][0] <= now and len(taken) < limits.BATCH_ENTRIES:
            record = heapq.heappop(self.again)[2]
            (taken if self._may_go(record) else waiting).append(record)
        while self.fresh and len(taken) < limits.BATCH_ENTRIES:
            record = self.fresh.popleft()
            (taken if self._may_go(record) else waiting).append(record)
        self.fresh.extendleft(reversed(waiting))
        if waiting:  # they had their time, and nobody else may come who would set it for them
            self.flush_at = min(self.flush_at, now)
        if not self.fresh:
            self.flush_at = math.inf
            self.urgent = False
        return taken

    def keep_what_fits(self, records: list[Record], now: float) -> list[Record]:
        """Put back what is too much for one SendMessageBatch; returns the rest, at least one."""
        size = 0
        for count, record in enumerate(records):
            entry = dead_letter(record)
            size += _bytes(entry.body, entry.attributes)
            if count and size > limits.BATCH_BYTES:
                self.fresh.extendleft(reversed(records[count:]))
                self.flush_at = now
                return records[:count]
        return records

    def discard(self, record: Record) -> bool:
        """Take one record out; say whether it was here."""
        before = len(self)
        self.fresh = deque(other for other in self.fresh if other is not record)
        self.again = [entry for entry in self.again if entry[2] is not record]
        heapq.heapify(self.again)
        return len(self) < before

    def __len__(self) -> int:
        return len(self.fresh) + len(self.again)

    def _may_go(self, record: Record) -> bool:
        return self.operation is not Operation.CHANGE or not record.extending


class Acknowledger:
    """Outcomes on their way to SQS."""

    def __init__(self, margin: Margin, *, randomness: random.Random | None = None) -> None:
        self._margin = margin
        self._buckets: dict[tuple[str, Operation], Bucket] = {}
        self._live: dict[Bucket, None] = {}  # those with something to send, so that no turn looks at all queues
        self._told: set[tuple[str, Operation, str]] = set()
        self._random = randomness or random.Random()  # noqa: S311 -- jitter, not a secret

    @property
    def pending(self) -> int:
        """Records that wait to be sent; those on the wire are not counted."""
        return sum(map(len, self._live))

    def add(self, record: Record, now: float, *, urgent: bool = False) -> None:
        """Take over a record that is SETTLING, with its verdict; `visible_at` is set for a retry or release."""
        verdict = record.verdict
        kind = Kind.ACK if verdict is None else verdict.kind
        if kind is Kind.DEAD_LETTER:
            operation = Operation.COPY
        else:
            operation = Operation.CHANGE if kind in (Kind.RETRY, Kind.RELEASE) else Operation.DELETE
        self._filled(record.queue, operation).put(record, now, urgent=urgent)

    def next_flush(self) -> float | None:
        """When `flush_due` has something to do; None while nothing is ready."""
        at = min((bucket.due_at() for bucket in self._live), default=math.inf)
        return None if at == math.inf else at

    def flush_due(self, now: float, *, everything: bool = False) -> list[Batch]:
        """Build the batches that go out now: full ones, those whose linger time is over, and all if asked to."""
        batches: list[Batch] = []
        for bucket in list(self._live):
            while bucket and (everything or bucket.due_at() <= now):
                records = bucket.take(now)
                if not records:
                    break
                if bucket.operation is Operation.COPY:
                    records = bucket.keep_what_fits(records, now)
                if bucket.operation is Operation.CHANGE:
                    for record in records:
                        record.changing = True
                bucket.on_wire += 1
                handles = [record.handle for record in records]
                request = self._request(bucket, records, now)
                batches.append(Batch(bucket.operation, bucket.queue, records, handles, request, now))
            if not bucket:
                del self._live[bucket]
        return batches

    def answered(self, batch: Batch, failed: Mapping[int, EntryFailure], now: float) -> list[tuple[Record, End]]:
        """Take in the answer to a batch: position -> failure; empty when every entry was applied.

        Returns:
            The records whose settling has ended, in the batch's order; all others go on.
        """
        ended: list[tuple[Record, End]] = []
        self._bucket(batch.queue, batch.operation).on_wire -= 1
        if self._told and not failed:
            self._told = {kind for kind in self._told if kind[:2] != (batch.queue.name, batch.operation)}
        draw = self._random.uniform(0.0, 1.0) if failed else 0.0  # one for all: they go again in one batch
        for position, record in enumerate(batch.records):
            record.changing = False
            if record.state is State.GONE:
                continue  # received anew, or given up at a drain deadline, while the call was on the wire
            failure = failed.get(position)
            if failure is not None and failure.code == NO_ANSWER and isinstance(batch.request, ChangeVisibilityBatch):
                # It may have been applied, and then another worker may get the message as soon as it is visible.
                record.lease_end = min(record.lease_end, batch.sent_at + batch.request.entries[position][1])
            if batch.handles[position] != record.handle and batch.operation is not Operation.COPY:
                self._filled(record.queue, batch.operation).put(record, now, urgent=True)  # received anew meanwhile
                continue
            end = (
                self._applied(batch, record, now)
                if failure is None
                else self._refused(batch, record, failure, now, draw)
            )
            if end is not None:
                ended.append((record, end))
        return ended

    def forget(self, record: Record) -> None:
        """Drop what waits to be sent for a record that leaves; harmless if nothing does."""
        for operation in Operation:
            bucket = self._buckets.get((record.queue.name, operation))
            if bucket:
                bucket.discard(record)

    def lapsed(self, record: Record, now: float) -> End | None:
        """Take in that the lease of a settling record has ended; None when its last word is still on the way."""
        for operation in Operation:
            bucket = self._buckets.get((record.queue.name, operation))
            if bucket is not None and bucket.discard(record):
                if operation is not Operation.DELETE:
                    return End.LOST
                self._filled(record.queue, operation).put(record, now, urgent=True)
                return None
        return None

    def _applied(self, batch: Batch, record: Record, now: float) -> End | None:
        if batch.operation is Operation.CHANGE:
            return End.CHANGED
        if batch.operation is Operation.COPY:  # from here on it is a message to be deleted
            record.verdict = Verdict(Kind.DISCARD, reason=record.verdict.reason if record.verdict else "")
        if record.lost:
            return End.LOST
        if batch.operation is Operation.DELETE:
            return End.DELETED
        record.tries = 0
        self._filled(record.queue, Operation.DELETE).put(record, now, urgent=False)
        return None

    def _refused(self, batch: Batch, record: Record, failure: EntryFailure, now: float, draw: float) -> End | None:
        fault = failure.fault
        if record.lost or fault is Fault.LEASE_LOST:
            return End.LOST
        if fault in (Fault.CLIENT, Fault.DENIED, Fault.NO_QUEUE):
            return self._hopeless(batch, record, failure, now, draw)
        return self._again(batch, record, now, draw)

    def _hopeless(self, batch: Batch, record: Record, failure: EntryFailure, now: float, draw: float) -> End | None:
        """What more tries would hardly mend: a copy is given up while the lease is kept; else the lease is let go."""
        self._complain(batch, failure)
        if batch.operation is Operation.COPY:
            record.tries = 0
            return End.REFUSED
        record.keep = False
        if failure.fault is Fault.CLIENT:
            return End.REFUSED
        return self._again(batch, record, now, draw)

    def _complain(self, batch: Batch, failure: EntryFailure) -> None:
        """Say once that an operation is refused on a queue, not for each message and each try."""
        kind = (batch.queue.name, batch.operation, failure.code)
        if kind not in self._told:
            self._told.add(kind)
            log.error(
                "queue %s: %s is refused, trying on while leases last: %s: %s",
                batch.queue.name,
                batch.operation.name.lower(),
                failure.code,
                failure.message,
            )

    def _again(self, batch: Batch, record: Record, now: float, draw: float) -> End | None:
        """Try once more after a while, by `backoff.ACKNOWLEDGE`; a visibility change only while it is surely ours (I4).

        A release that was not answered is given up at once, on standard queues too: it may have been applied, and then
        its repeat would end the lease of whoever has received the message since (SQS takes it from an older handle).
        """
        record.tries += 1
        wait = backoff.ACKNOWLEDGE.wait(record.tries, draw)
        if batch.operation is Operation.CHANGE and now + wait >= record.lease_end:
            return End.UNKNOWN
        self._filled(batch.queue, batch.operation).put_again(record, now + wait)
        return None

    def _filled(self, queue: QueueInfo, operation: Operation) -> Bucket:
        """The bucket that something is about to be put into."""
        bucket = self._bucket(queue, operation)
        self._live[bucket] = None
        return bucket

    def _bucket(self, queue: QueueInfo, operation: Operation) -> Bucket:
        key = (queue.name, operation)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(operation, queue)
        return bucket

    def _request(
        self, bucket: Bucket, records: list[Record], now: float
    ) -> DeleteBatch | ChangeVisibilityBatch | SendBatch:
        queue = bucket.queue
        if bucket.operation is Operation.DELETE:
            return DeleteBatch(queue.url, [record.handle for record in records])
        if bucket.operation is Operation.CHANGE:
            return ChangeVisibilityBatch(queue.url, [(record.handle, self._seconds(record, now)) for record in records])
        return SendBatch(queue.dead_letter_url or "", [dead_letter(record) for record in records])

    def _seconds(self, record: Record, now: float) -> int:
        wanted = math.ceil(max(0.0, record.visible_at - now) - 1e-3)  # a linger must not turn 5 s into 5 s more one
        return extension(wanted, received_at=record.received_at, now=now, margin=self._margin.of(record.timeout))


def dead_letter(record: Record) -> SendEntry:
    """Build the copy for the dead-letter queue: body and attributes as received, with key and reason.

    SQS allows ten attributes and 1 MiB in all; where there is no room, the reason is left out first, then the key.
    """
    message = record.message
    attributes = dict(message.attributes)
    reason = (record.verdict.reason if record.verdict else "") or "no reason was given"
    attributes.setdefault(KEY_ATTRIBUTE, Attribute("String", text=message.message_id))
    attributes[REASON_ATTRIBUTE] = Attribute("String", text=limits.REFUSED_CHARACTER.sub("?", reason))
    for spare in (REASON_ATTRIBUTE, KEY_ATTRIBUTE):
        if spare not in message.attributes and not _fits(message.body, attributes):
            del attributes[spare]
    return SendEntry(
        message.body,
        attributes,
        message_group_id=message.message_group_id,
        deduplication_id=message.message_id if record.queue.fifo else None,
    )


def _fits(body: str, attributes: Mapping[str, Attribute]) -> bool:
    return len(attributes) <= limits.ATTRIBUTES and _bytes(body, attributes) <= limits.MESSAGE_BYTES


def _bytes(body: str, attributes: Mapping[str, Attribute]) -> int:
    """The size of a message as SQS counts it: body, names, types and values."""
    size = limits.utf8_bytes(body)
    for name, value in attributes.items():
        size += limits.utf8_bytes(name) + limits.utf8_bytes(value.type)
        size += len(value.data or b"") + limits.utf8_bytes(value.text or "")
    return size
