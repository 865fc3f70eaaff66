"""The keeper: the one thing that extends leases, for all messages, in batches.

One heap holds one entry per receive (and later per confirmed batch of extensions): a time and the records that are due
then. A record that is finished is taken out of its entry at once, so nothing here outlives its message (I8); entries
left empty are swept when they are the majority. Engine loop only; blocks on nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hadoken import limits
from hadoken.outcome import Kind
from hadoken.pipeline.inflight import State
from hadoken.pipeline.lease import Margin, extension
from hadoken.sqs.api import ChangeVisibilityBatch, Fault

if TYPE_CHECKING:
    from hadoken.pipeline.inflight import Record
    from hadoken.pipeline.queues import QueueInfo

EARLY = 8  # a lease may be extended an eighth of its length early when that fills a batch
SHORTEST = 0.1  # seconds of lease left below which no further try is made: a call takes about as long
LEAST_GAIN = 1.0  # seconds of lease that a call must buy: it costs a request, and SQS counts in whole seconds
SWEEP = 16  # empty entries that are never worth a sweep


@dataclass(slots=True, eq=False)
class Entry:
    """Records that are due together. `early` is from when they may join a batch that goes out anyway."""

    at: float
    early: float
    members: dict[int, Record]

    def __lt__(self, other: Entry) -> bool:
        return self.at < other.at


@dataclass(slots=True)
class Extension:
    """One ChangeMessageVisibilityBatch on its way: 1..10 records of one queue, with the seconds asked for each."""

    queue: QueueInfo
    records: list[Record]
    seconds: list[int]
    sent_at: float
    handles: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.handles = [record.handle for record in self.records]

    @property
    def request(self) -> ChangeVisibilityBatch:
        """What to send."""
        return ChangeVisibilityBatch(self.queue.url, list(zip(self.handles, self.seconds, strict=True)))


@dataclass(slots=True)
class Due:
    """What `due` found: batches to send, and records whose lease has just lapsed (marked lost, forgotten here)."""

    extensions: list[Extension] = field(default_factory=list)
    lost: list[Record] = field(default_factory=list)


class Keeper:
    """Leases of everything held.

    Attributes:
        members: records whose lease is kept: every record of the table that is not lost.
    """

    def __init__(self, margin: Margin) -> None:
        self._margin = margin
        self._heap: list[Entry] = []
        self._empty = 0
        self._asked: dict[int, tuple[Record, float]] = {}
        self.members = 0

    def hold(self, records: Iterable[Record], *, lease_start: float, length: float) -> None:
        """Keep the leases of one receive, or of one confirmed batch, which all began at `lease_start` for `length` s.

        They are due when half a visibility timeout is left, which for a fresh lease is half of its life.
        """
        records = list(records)
        if not records:
            return
        timeout = records[0].timeout
        margin = self._margin.of(length)
        for record in records:
            record.lease_end = lease_start + length - margin
        at = lease_start + length - timeout / 2
        self._enter(records, at, at - timeout / EARLY)

    def ask(self, record: Record, seconds: float) -> None:
        """Extend one lease at the next turn to at least `seconds`, whatever it has left."""
        if isinstance(record.entry, Entry):
            self._asked[record.ticket] = (record, seconds)

    def forget(self, record: Record) -> None:
        """Stop keeping a record; harmless if it is not kept."""
        self._asked.pop(record.ticket, None)
        entry = record.entry
        if isinstance(entry, Entry):
            record.entry = None
            del entry.members[record.ticket]
            self.members -= 1
            if not entry.members:
                self._empty += 1
                self._sweep()

    def next_due(self) -> float | None:
        """When `due` has something to do again; None while nothing is held."""
        if any(not (r.extending or r.changing) for r, _ in self._asked.values()):
            return float("-inf")
        while self._heap and not self._heap[0].members:
            heapq.heappop(self._heap)
            self._empty -= 1
        return self._heap[0].at if self._heap else None

    def due(self, now: float) -> Due:
        """Take what must be extended now, filled up to whole batches with what would be due soon.

        Records of the batches stay kept: until the answer comes they are entered at their lease's end, so that a call
        that hangs cannot hide a lapse (I4). A record with a visibility change on the wire is not extended beside it.
        """
        found = Due()
        wanted: dict[str, list[tuple[Record, int]]] = {}
        for record in self._take_due(now):
            seconds = self._seconds(record, now)
            if now >= record.lease_end:
                record.lost = True
                self._asked.pop(record.ticket, None)  # a wish must not revive it (I4)
                found.lost.append(record)
            elif seconds and not record.extending and not record.changing:
                wanted.setdefault(record.queue.name, []).append((record, seconds))
            else:  # a change on the wire may fail, and then the lease is needed: look again before it ends
                at = _next_look(record.lease_end, now) if record.changing else record.lease_end
                self._enter([record], at, at)
        self._take_asked(now, wanted)
        for pairs in wanted.values():
            found.extensions.extend(self._batches(pairs, now))
        return found

    def answered(self, batch: Extension, failed: Mapping[int, Fault], now: float) -> list[Record]:
        """Take in the answer to a batch: position -> what was wrong; empty when all were extended.

        Returns:
            Records whose lease SQS says is lost (marked lost, forgotten here); the caller tells their handlers.
        """
        lost: list[Record] = []
        extended: dict[float, list[Record]] = {}
        again: dict[float, list[Record]] = {}
        for position, record in enumerate(batch.records):
            record.extending = False
            if not isinstance(record.entry, Entry) or batch.handles[position] != record.handle:
                continue  # finished, lapsed, or received anew, while the call was on the wire
            fault = failed.get(position)
            if fault is Fault.LEASE_LOST and _is_being_deleted(record):
                record.keep = False  # our own delete may have come first; its answer will tell
                again.setdefault(record.lease_end, []).append(record)
            elif fault is Fault.LEASE_LOST:
                record.lost = True
                self.forget(record)
                lost.append(record)
            elif fault is None:
                record.extensions += 1
                extended.setdefault(batch.seconds[position], []).append(record)
            else:
                again.setdefault(record.lease_end, []).append(record)
        for seconds, records in extended.items():
            self._leave(records)
            self.hold(records, lease_start=batch.sent_at, length=seconds)
        for lease_end, records in again.items():
            self._leave(records)
            at = _next_look(lease_end, now)
            self._enter(records, at, at)
        return lost

    def _seconds(self, record: Record, now: float) -> int:
        """Whole seconds to ask for; 0 when the lease is not to be kept, or an extension would hardly outlast it."""
        if not record.keep:
            return 0
        seconds = extension(
            record.timeout, received_at=record.received_at, now=now, margin=self._margin.of(record.timeout)
        )
        return seconds if self._gains(record, seconds, now) else 0

    def _gains(self, record: Record, seconds: int, now: float) -> bool:
        """Whether a change to `seconds` is worth a call: near the end of the 12 hours each buys next to nothing."""
        end = now + seconds - self._margin.of(seconds)
        return end - record.lease_end >= min(LEAST_GAIN, record.timeout / 4)

    def _take_due(self, now: float) -> list[Record]:
        taken: list[Record] = []
        while self._heap and (self._heap[0].at <= now or (taken and self._heap[0].early <= now)):
            entry = heapq.heappop(self._heap)
            if not entry.members:
                self._empty -= 1
                continue
            taken.extend(entry.members.values())
            self.members -= len(entry.members)
            for record in entry.members.values():
                record.entry = None
            entry.members = {}
        return taken

    def _take_asked(self, now: float, wanted: dict[str, list[tuple[Record, int]]]) -> None:
        """Add the leases that handlers asked to lengthen; their own wish replaces the routine extension."""
        for ticket, (record, seconds) in list(self._asked.items()):
            if record.extending or record.changing:
                continue
            del self._asked[ticket]
            allowed = extension(seconds, received_at=record.received_at, now=now, margin=self._margin.of(seconds))
            if not record.keep or not allowed or not self._gains(record, allowed, now):
                continue
            self._leave([record])
            pairs = wanted.setdefault(record.queue.name, [])
            pairs[:] = [pair for pair in pairs if pair[0] is not record]
            pairs.append((record, allowed))

    def _batches(self, pairs: Sequence[tuple[Record, int]], now: float) -> Iterable[Extension]:
        """Cut what one queue needs into batches; each stays entered as one, at the first lease's end."""
        for start in range(0, len(pairs), limits.BATCH_ENTRIES):
            part = pairs[start : start + limits.BATCH_ENTRIES]
            records = [record for record, _ in part]
            for record in records:
                record.extending = True
            first = min(record.lease_end for record in records)
            self._enter(records, first, first)
            yield Extension(records[0].queue, records, [seconds for _, seconds in part], now)

    def _enter(self, records: list[Record], at: float, early: float) -> None:
        entry = Entry(at, early, {record.ticket: record for record in records})
        for record in records:
            record.entry = entry
        self.members += len(records)
        heapq.heappush(self._heap, entry)

    def _leave(self, records: Iterable[Record]) -> None:
        for record in records:
            entry = record.entry
            if isinstance(entry, Entry):
                record.entry = None
                del entry.members[record.ticket]
                self.members -= 1
                self._empty += not entry.members
        self._sweep()

    def _sweep(self) -> None:
        if self._empty > SWEEP and self._empty * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry.members]
            heapq.heapify(self._heap)
            self._empty = 0


def _next_look(lease_end: float, now: float) -> float:
    """When to try again what failed now: at a quarter of the lease, then at an eighth; in the end when it is over."""
    left = lease_end - now
    return now + left / 2 if left > SHORTEST else lease_end


def _is_being_deleted(record: Record) -> bool:
    verdict = record.verdict
    return record.state is State.SETTLING and verdict is not None and verdict.kind in (Kind.ACK, Kind.DISCARD)
