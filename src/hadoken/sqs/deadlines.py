"""Many deadlines of a loop and one timer, for the earliest.

Thousands of requests a second each have a deadline, and nearly all end long before it. Instead of a timer each, one
that begins is added to a set and one that ends is taken out. The timer is left to ring where it is, and looks for the
earliest of those that are there then: at most one look for each span of the shortest time limit.
"""

from __future__ import annotations

import asyncio
import math
from typing import Final, Protocol

_EARLY: Final = 0.001  # seconds by which a loop may ring before its time; uvloop counts in milliseconds


class Timed(Protocol):
    """What has a deadline, which may only change while it is not here."""

    deadline: float

    def expire(self) -> None:
        """Take in that the deadline is over; it has been taken out before."""
        ...


class Deadlines:
    """Tells each thing when its deadline is over. Thread: that of the loop."""

    __slots__ = ("_at", "_loop", "_things", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._things: set[Timed] = set()
        self._at = math.inf  # when the timer rings
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._things)

    def add(self, thing: Timed) -> None:
        """Watch a deadline, in seconds of the loop's clock."""
        self._things.add(thing)
        if thing.deadline < self._at:
            self._set(thing.deadline)

    def discard(self, thing: Timed) -> None:
        """Watch it no more; one that is not here is left alone."""
        self._things.discard(thing)

    def rest(self) -> None:
        """Let go of the timer if nothing is watched: at the end, where nobody wants it to ring once more in vain."""
        if not self._things and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._at = math.inf

    def _set(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._at = at
        self._timer = self._loop.call_at(at, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._at = math.inf
        now = self._loop.time() + _EARLY
        for thing in [thing for thing in self._things if thing.deadline <= now]:
            if thing in self._things:  # else the end of another one has ended it too
                self._things.discard(thing)
                thing.expire()
        if self._things:
            earliest = min(thing.deadline for thing in self._things)
            if earliest < self._at:
                self._set(earliest)
