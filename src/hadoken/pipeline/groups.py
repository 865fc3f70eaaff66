"""FIFO order: of one message group, one message runs at a time, and the next only when the last one is gone from SQS.

A group is the queue of its held records in the order of SQS. Only its head may be active or settling; all others wait,
leased. Engine loop only; blocks on nothing.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING

from hadoken.pipeline.inflight import State

if TYPE_CHECKING:
    from hadoken.pipeline.inflight import Record


class Groups:
    """The message groups of which something is held."""

    def __init__(self) -> None:
        self._members: dict[tuple[str, str], deque[Record]] = {}
        self._held: list[tuple[float, int, Record]] = []

    def __len__(self) -> int:
        return len(self._members)

    def join(self, record: Record) -> bool:
        """Put a received record behind its group; say whether it is the head and may run now."""
        group = record.group
        if group is None:
            return True
        members = self._members.setdefault(group, deque())
        members.append(record)
        return len(members) == 1

    def leave(self, record: Record) -> Record | None:
        """Take a record out of its group; return the new head if it may run now."""
        group = record.group
        members = self._members.get(group) if group else None
        if group is None or members is None or record not in members:
            return None
        was_head = members[0] is record
        members.remove(record)
        self.let_go(record)
        if not members:
            del self._members[group]
            return None
        head = members[0]
        return head if was_head and head.state is State.WAITING and head.held_until is None else None

    def behind(self, record: Record) -> list[Record]:
        """What waits behind a record, last received first: the order in which a group is released."""
        members = list(self._members.get(record.group, ())) if record.group else []
        if record not in members:
            return []
        return [other for other in reversed(members[members.index(record) + 1 :]) if other.state is State.WAITING]

    def is_head(self, record: Record) -> bool:
        """Whether nothing of its group stands before this record; true for every standard message."""
        members = self._members.get(record.group) if record.group else None
        return members is None or members[0] is record

    def has_next(self, record: Record) -> bool:
        """Whether another message of the group waits for this one."""
        members = self._members.get(record.group) if record.group else None
        return members is not None and len(members) > 1

    def hold(self, record: Record, until: float) -> None:
        """Keep a failed head in place until its next try; the rest of its group stays behind it."""
        record.held_until = until
        heapq.heappush(self._held, (until, record.ticket, record))

    def next_try(self) -> float | None:
        """When the next held head is due; None when none is held."""
        return self._held[0][0] if self._held else None

    def due(self, now: float) -> list[Record]:
        """Heads whose time for the next try has come."""
        due: list[Record] = []
        while (at := self.next_try()) is not None and at <= now:
            record = heapq.heappop(self._held)[2]
            record.held_until = None
            due.append(record)
        return due

    def let_go(self, record: Record) -> None:
        """Hold a record no longer, so that it is not due any more and nothing here outlives it (I8)."""
        if record.held_until is None:
            return
        record.held_until = None
        self._held = [entry for entry in self._held if entry[2] is not record]
        heapq.heapify(self._held)
