"""Admission: no message is received without a place for it.

A place counts a message that a handler could take: active ones, and those that an open receive may bring; `places` says
how many there are. Receives are kept full: a queue that has messages is asked again when enough places are free. A
queue whose last receive was not full keeps one *scout* beside its neighbours: a long poll for a single message, in a
place of its own, so that an empty queue delays no other and holds back nobody's places.

Pollers are looked at when something happens to them, not at every turn: each is in one of four rooms. *Ready* are those
with messages, which wait for places, ordered by their share; *cold* are those that want a scout; *resting* are those
that back off; *blocked* are those whose scout found a message but no thread. Engine loop only; blocks on nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hadoken import limits
from hadoken.pipeline.strategy import WeightedShare

if TYPE_CHECKING:
    from hadoken.pipeline.inflight import Table
    from hadoken.pipeline.places import Places
    from hadoken.pipeline.poller import Poller

HOT_WAIT = 1  # seconds; a busy queue's poll holds ten places, so beside others it may not wait long for messages
PATIENCE = 1.0  # seconds that idle threads may wait for a fuller receive; the next place may be hours away
MAX_BYTES = 64 * 2**20  # bytes of bodies and attributes that may be in flight


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave for one receive: up to `size` messages, probably `size_bytes`, waiting up to `wait_time` whole seconds."""

    poller: Poller
    size: int
    wait_time: int
    scout: bool = False
    size_bytes: float = 0.0


class Admission:
    """Who may receive how many messages.

    Args:
        max_bytes: of messages in flight, with those that open receives will probably bring. What one brings beyond
            that, and scouts, can exceed it by ten messages an open receive and one a queue.

    Attributes:
        granted: messages that open receives may bring, scouts apart.
        granted_bytes: what these will probably be.
        max_waiting: bound of FIFO messages that wait behind their group's head.
        max_settling: bound of finished messages whose outcome is not confirmed.
    """

    def __init__(self, places: Places, table: Table, pollers: Sequence[Poller], *, max_bytes: int = MAX_BYTES) -> None:
        self._places = places
        self._table = table
        self._max_bytes = max_bytes
        self._alone = len(pollers) == 1
        self._share = WeightedShare()
        self._ready: list[tuple[float, int, Poller]] = []
        self._queued: set[Poller] = set()  # those in `_ready`
        self._cold: dict[Poller, None] = {}  # in order of arrival
        self._resting: list[tuple[float, int, Poller]] = []
        self._blocked: dict[Poller, None] = {}
        self._idle_since: float | None = None  # since when threads idle while a queue waits for a fuller receive
        self._number = 0  # breaks ties in heaps
        self.granted = 0
        self.granted_bytes = 0.0
        for poller in pollers:
            self._enlist(poller)

    @property
    def max_waiting(self) -> int:
        """One full receive of a single message group for each place."""
        return limits.RECEIVE_MESSAGES * self._places.total

    @property
    def max_settling(self) -> int:
        """As many as the places turn over a few times."""
        return max(100, 4 * self._places.total)

    def free(self) -> int:
        """Places neither taken nor granted; 0 when over-full (a FIFO head takes its place without asking)."""
        return max(0, self._places.total - self._table.active - self.granted)

    def grants(self, now: float) -> list[Grant]:
        """Share out what is free now; the pollers granted something count as open from here on (I2)."""
        self._rouse(now)
        idle_since, self._idle_since = self._idle_since, None
        if not (self._cold or self._ready) or self._table.settling >= self.max_settling:
            return []
        grants = self._scouts(now) if self._cold else []
        if self._ready and self.free():
            grants.extend(self._plain(now, idle_since))
        return grants

    def missing(self) -> int:
        """How many messages must finish before a queue that is ready to be asked is; 0 when none waits for places."""
        if not self._ready or self._table.settling >= self.max_settling:
            return 0
        return max(0, self._places.enough - self.free())

    def next_try(self) -> float | None:
        """When the next queue may be asked for which only time has to pass; None where there is none."""
        while self._resting and not self._rests(self._resting[0]):
            heapq.heappop(self._resting)
        rested = self._resting[0][0] if self._resting else None
        if self._idle_since is None:
            return rested
        patient_until = self._idle_since + PATIENCE
        return patient_until if rested is None else min(rested, patient_until)

    def received(self, grant: Grant, count: int, size: int) -> None:
        """Take in the answer to a receive: `count` messages of `size` bytes in all."""
        poller = grant.poller
        self._close(grant)
        was_hot = poller.hot
        poller.answered(count, grant.size)
        if poller.hot and not was_hot:
            self._share.rejoin(poller)
        self._share.took(poller, count)
        if count:
            poller.bytes_each += (size / count - poller.bytes_each) / (2 if poller.bytes_each else 1)
        self._enlist(poller)

    def failed(self, grant: Grant) -> None:
        """Take in that a receive failed, after its poller has."""
        self._close(grant)
        self._enlist(grant.poller)

    def block(self, poller: Poller) -> None:
        """Send no scout of this queue until a thread is free: the last one's message found none."""
        self._cold.pop(poller, None)
        self._blocked[poller] = None

    # ---- rooms -------------------------------------------------------------------------------------------------------

    def _enlist(self, poller: Poller) -> None:
        """Put a poller to which something has happened in the room where it waits for its next receive, if it may."""
        if poller.quiet:
            return
        if poller.next_try() is not None:
            self._number += 1
            heapq.heappush(self._resting, (poller.not_before, self._number, poller))
        else:
            self._admit(poller)

    def _admit(self, poller: Poller) -> None:
        if poller.hot or self._alone:
            self._queue(poller)
        elif not poller.receives and poller not in self._blocked:
            self._cold[poller] = None

    def _queue(self, poller: Poller) -> None:
        if poller not in self._queued and poller.wants_more:
            self._number += 1
            self._queued.add(poller)
            heapq.heappush(self._ready, (self._share.turn_of(poller), self._number, poller))

    def _rouse(self, now: float) -> None:
        """Let those go on whose back-off is over, or who waited for a thread."""
        while self._resting and self._resting[0][0] <= now:
            entry = heapq.heappop(self._resting)
            if self._rests(entry):
                self._admit(entry[2])
        if self._blocked and self._table.active < self._places.concurrency:
            blocked, self._blocked = self._blocked, {}
            for poller in blocked:
                self._enlist(poller)

    @staticmethod
    def _rests(entry: tuple[float, int, Poller]) -> bool:
        """Whether an entry still holds: its poller may have failed anew, or work again."""
        return entry[2].next_try() == entry[0]

    # ---- grants ------------------------------------------------------------------------------------------------------

    def _scouts(self, now: float) -> list[Grant]:
        grants: list[Grant] = []
        cold, self._cold = self._cold, {}
        for poller in cold:
            if not poller.may_ask(now) or poller.receives:
                continue
            if not self._fits(poller):
                self._cold[poller] = None
                continue
            poller.open(1, scout=True)
            grants.append(Grant(poller, 1, poller.queue.wait_time, scout=True))
        return grants

    def _plain(self, now: float, idle_since: float | None) -> list[Grant]:
        grants: list[Grant] = []
        later: list[Poller] = []
        while (free := self.free()) and (poller := self._next(now)) is not None:
            fits = self._fits(poller)
            size = min(free, fits)
            patient = poller.hot and size < min(self._places.enough, fits)
            if size and not (patient and self._may_wait(idle_since, now)):
                grants.append(self._grant(poller, size))
                if poller.may_ask(now):
                    self._queue(poller)
                continue
            later.append(poller)
            if fits:  # it waits for places, and so do those behind it
                break
        for poller in later:
            self._queue(poller)
        return grants

    def _may_wait(self, idle_since: float | None, now: float) -> bool:
        """Whether a queue may wait for more places: as long as all threads have work, else for `PATIENCE`."""
        if self._table.active + self.granted >= self._places.concurrency:
            return True
        since = now if idle_since is None else idle_since
        if now >= since + PATIENCE:
            return False
        self._idle_since = since
        return True

    def _next(self, now: float) -> Poller | None:
        """Take the poller furthest behind its share out of those that are ready and may still be asked."""
        while self._ready:
            turn, _, poller = heapq.heappop(self._ready)
            self._queued.discard(poller)
            if not poller.may_ask(now):
                continue
            if self._ready and self._share.turn_of(poller) > max(turn, self._ready[0][0]):
                self._queue(poller)  # it was served since it came here: others come first
                continue
            return poller
        return None

    def _fits(self, poller: Poller) -> int:
        """Messages of this queue that there is memory for, 0..10; one at least while nothing is held."""
        if poller.queue.fifo and self._table.waiting >= self.max_waiting:
            return 0
        room = self._max_bytes - self._table.bytes - self.granted_bytes
        if room < poller.bytes_each and (len(self._table) or self.granted):
            return 0
        if room >= poller.bytes_each * limits.RECEIVE_MESSAGES:
            return limits.RECEIVE_MESSAGES
        return max(1, int(room / poller.bytes_each))

    def _grant(self, poller: Poller, size: int) -> Grant:
        patient = self._alone and not poller.receives
        wait = poller.queue.wait_time if patient else min(HOT_WAIT, poller.queue.wait_time)
        poller.open(size, scout=False)
        size_bytes = size * poller.bytes_each
        self.granted += size
        self.granted_bytes += size_bytes
        return Grant(poller, size, wait, size_bytes=size_bytes)

    def _close(self, grant: Grant) -> None:
        if not grant.scout:
            self.granted -= grant.size
            self.granted_bytes = self.granted_bytes - grant.size_bytes if self.granted else 0.0
