"""Admission: no message is received without a place for it.

`places = concurrency + lookahead`. A place counts a message that a handler could take: active ones, and those that an
open receive may bring. Receives are kept full: a queue that has messages is asked again when ten places are free. A
queue whose last receive was not full keeps one *scout* beside its neighbours: a long poll for a single message, in a
place of its own, so that an empty queue delays no other and holds back nobody's places. Engine loop only; blocks on
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hadoken import limits
from hadoken.pipeline.strategy import WeightedShare

if TYPE_CHECKING:
    from hadoken.pipeline.inflight import Table
    from hadoken.pipeline.poller import Poller

LOOKAHEAD = 10  # one full receive: the threads work on it while the next one travels
HOT_WAIT = 1  # seconds; a busy queue's poll holds ten places, so beside others it may not wait long for messages


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave for one receive: up to `size` messages, waiting up to `wait_time` whole seconds."""

    poller: Poller
    size: int
    wait_time: int
    scout: bool = False


class Admission:
    """Who may receive how many messages.

    Attributes:
        places: messages that may be active or asked for at once, scouts apart.
        max_waiting: bound of FIFO messages that wait behind their group's head.
        max_settling: bound of finished messages whose outcome is not confirmed.
    """

    def __init__(self, concurrency: int, *, lookahead: int = LOOKAHEAD) -> None:
        self.places = concurrency + lookahead
        self.max_waiting = 10 * self.places  # one full receive of a single message group for each place
        self.max_settling = max(100, 4 * self.places)
        self._full = min(limits.RECEIVE_MESSAGES, self.places)
        self._share = WeightedShare()

    def free(self, table: Table, pollers: Sequence[Poller]) -> int:
        """Places neither taken nor granted; 0 when over-full (a FIFO head takes its place without asking)."""
        granted = sum(poller.granted for poller in pollers if not poller.scout)
        return max(0, self.places - table.active - granted)

    def grants(self, table: Table, pollers: Sequence[Poller], now: float) -> list[Grant]:
        """Share out what is free now; the pollers granted something count as open from here on (I2)."""
        ready = self._ready(table, pollers, now)
        if not ready:
            return []
        alone = len(pollers) == 1
        grants = [Grant(p, 1, p.queue.wait_time, scout=True) for p in ready if not (p.hot or alone)]
        free = self.free(table, pollers)
        for poller in self._share.order(p for p in ready if p.hot or alone):
            size = min(limits.RECEIVE_MESSAGES, free)
            if size == 0 or (poller.hot and size < self._full):
                break
            free -= size
            wait = poller.queue.wait_time if alone else min(HOT_WAIT, poller.queue.wait_time)
            grants.append(Grant(poller, size, wait))
        for grant in grants:
            grant.poller.open(grant.size, scout=grant.scout)
        return grants

    def missing(self, table: Table, pollers: Sequence[Poller], now: float) -> int:
        """How many messages must finish before a queue that is ready to be asked is; 0 when none waits for places."""
        ready = [p for p in self._ready(table, pollers, now) if p.hot or len(pollers) == 1]
        return max(0, self._full - self.free(table, pollers)) if ready else 0

    def received(self, poller: Poller, count: int) -> None:
        """Take in the answer to a receive, for the poller and for its queue's share."""
        was_hot = poller.hot
        poller.answered(count)
        if poller.hot and not was_hot:
            self._share.rejoin(poller)
        self._share.took(poller, count)

    def _ready(self, table: Table, pollers: Sequence[Poller], now: float) -> list[Poller]:
        if table.settling >= self.max_settling:
            return []
        room = table.waiting < self.max_waiting
        return [p for p in pollers if p.may_ask(now) and (room or not p.queue.fifo)]
