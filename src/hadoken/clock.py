"""The only place that asks what time it is, and the wait that can be woken.

Two clocks matter. The *lease clock* measures how long we may still hold a message: CLOCK_BOOTTIME where there is one,
because it goes on while a virtual machine is suspended, as the visibility timeout in SQS does. The *wall clock* is only
compared with times that SQS sends. Source: clock_gettime(2).
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", None)


class Clock(Protocol):
    """What the engine knows of time; a test puts a `VirtualClock` in its place."""

    def lease(self) -> float:
        """Seconds of the lease clock; never goes back."""
        ...

    def wall(self) -> float:
        """Seconds since 1970, as the machine believes; may jump."""
        ...


class SystemClock:
    """The machine's clocks."""

    def lease(self) -> float:
        """Seconds of CLOCK_BOOTTIME, or of the monotonic clock where the system has no such clock."""
        return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)

    def wall(self) -> float:
        """Seconds since 1970."""
        return time.time()


class VirtualClock:
    """A clock that moves only when told.

    Thread: any; one writer.
    """

    def __init__(self, start: float = 1_000.0, wall: float = 1_767_225_600.0) -> None:
        self._now = start
        self._offset = wall - start

    def lease(self) -> float:
        """Seconds since the clock's own zero."""
        return self._now

    def wall(self) -> float:
        """Seconds since 1970: moves with the lease clock, from 2026-01-01."""
        return self._now + self._offset

    def advance(self, seconds: float) -> None:
        """Move on by `seconds` (>= 0)."""
        if seconds < 0:
            raise ValueError(f"seconds is {seconds}; a lease clock never goes back")
        self._now += seconds


SYSTEM = SystemClock()


class Wake:
    """A fact that one thread sets and others wait for, never without a bound.

    Thread: any. `wait` blocks its caller for `timeout` at the most.
    """

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Make the fact true; every waiter returns."""
        self._event.set()

    def is_set(self) -> bool:
        """Whether the fact is true."""
        return self._event.is_set()

    def wait(self, timeout: float) -> bool:
        """Wait for the fact for at most `timeout` seconds and say whether it came true."""
        return self._event.wait(timeout)
