"""Time limits of handlers: who is over it, looked at only when somebody can be.

No handler thread is asked and no timer runs for a message: the next look is when the first of those in hand can be over
its limit, or the shortest limit from now, whichever comes first. Engine loop only; blocks on nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from hadoken.pipeline.inflight import State

if TYPE_CHECKING:
    from hadoken.pipeline.executor import InHand
    from hadoken.pipeline.inflight import Record, Table
    from hadoken.pipeline.queues import QueueInfo


class TimeLimits:
    """The time limits of one pool.

    Attributes:
        hung: tickets of messages whose handler is over its limit and has not come back.
    """

    def __init__(self, queues: Iterable[QueueInfo]) -> None:
        self.hung: set[int] = set()
        self._shortest = min((q.time_limit for q in queues if q.time_limit is not None), default=math.inf)
        self._next: float | None = None

    def next_look(self) -> float | None:
        """When `over` is to be asked again; None while nobody can be over a limit."""
        return self._next

    def is_due(self, now: float) -> bool:
        """Whether it is time to look."""
        return self._next is not None and now >= self._next

    def began(self, now: float) -> None:
        """Take in that a message was handed over."""
        if self._next is None and self._shortest < math.inf:
            self._next = now + self._shortest

    def came_back(self, ticket: int) -> bool:
        """Take in that a handler has ended; says whether it had been over its limit."""
        if ticket not in self.hung:
            return False
        self.hung.remove(ticket)
        return True

    def over(self, table: Table, in_hand: Iterable[InHand], now: float) -> list[tuple[Record, InHand]]:
        """Those that went over their limit since the last look, each told once; may be empty."""
        if self._next is None or now < self._next:
            return []
        found: list[tuple[Record, InHand]] = []
        ends = [now + self._shortest]
        for one in in_hand:
            record = table.records.get(one.ticket)
            limit = record.queue.time_limit if record else None
            if record is None or limit is None or one.ticket in self.hung or record.state is not State.ACTIVE:
                continue
            if one.since + limit <= now:
                self.hung.add(one.ticket)
                found.append((record, one))
            else:
                ends.append(one.since + limit)
        self._next = min(ends) if table.active > len(self.hung) else None
        return found
