"""How late the engine runs, and what that says: Python's threads share one core, and the engine waits like any other.

Rules of this file:
- Nothing ticks: it is measured on turns that happen anyway, as the time from a thread's wake, or from a timer's
  deadline, to the turn. A late answer of SQS cannot be told from a slow SQS, so answers are not counted.
- It costs a clock reading for each wake, and a look at the samples every few seconds.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from hadoken.clock import Clock

log = logging.getLogger("hadoken.engine")

LATE: Final = (
    0.1  # seconds; the engine is late where the 95th percentile is above it. A call to a far SQS takes as long
)
# It must stay late for so many stretches of so many seconds in a row: a burst, an import, a collection of garbage are
# over before. A stretch of a seldom woken engine lasts until it has the least number of samples that says anything.
STRETCHES: Final = 3
STRETCH: Final = 4.0
_FEW: Final = 8
# CPU seconds a second from which it is the lock. One that is held all the time is one core; on a busy machine the
# process gets a part of it (0.6 was seen beside a test run).
_ONE_CORE: Final = 0.4
_KEPT: Final = 512  # samples at the most; a second of a busy worker
_RECENT: Final = 10.0  # seconds of samples that a snapshot is of


class EngineLateness(msgspec.Struct, frozen=True):
    """How late the engine has run lately, from a wake or a deadline to its turn.

    Attributes:
        median: seconds.
        p95: seconds; 95 of 100 were less late.
        samples: of how many turns; 0 while nothing has happened.
        interpreter_bound: whether it has been found that Python's interpreter lock is the bottleneck.
    """

    median: float = 0.0
    p95: float = 0.0
    samples: int = 0
    interpreter_bound: bool = False


class Lateness:
    """Measures, and tells once when the engine stays late.

    Args:
        clock: the engine's.
        cpu: CPU seconds that the process has used so far, all threads.

    Thread: `woken` any, all others the engine loop.
    """

    def __init__(self, clock: Clock, *, cpu: Callable[[], float] = time.process_time) -> None:
        self._clock = clock
        self._cpu = cpu
        self._woken_at: float | None = None
        self._samples: deque[tuple[float, float]] = deque(maxlen=_KEPT)
        self._began = clock.lease()
        self._count = 0
        self._late_stretches = 0
        self._punctual_at = (self._began, cpu())
        self._told = False
        self._interpreter_bound = False

    def woken(self) -> None:
        """Note that a turn is wanted now. Two threads at once may note the later of two times; that is close enough."""
        if self._woken_at is None:
            self._woken_at = self._clock.lease()

    def rang(self, due: float, now: float) -> None:
        """Note that a timer set for `due` came at `now`."""
        self._note(now, now - due)

    def turned(self, now: float) -> None:
        """Note that a turn begins."""
        woken_at, self._woken_at = self._woken_at, None
        if woken_at is not None:
            self._note(now, now - woken_at)

    def snapshot(self) -> EngineLateness:
        """The latest samples in figures."""
        late = sorted(self._since(self._clock.lease() - _RECENT))
        return EngineLateness(_share(late, 0.5), _share(late, 0.95), len(late), self._interpreter_bound)

    def _note(self, now: float, late: float) -> None:
        self._samples.append((now, max(0.0, late)))
        self._count += 1
        if not self._told and self._count >= _FEW and now >= self._began + STRETCH:
            self._judge(now)

    def _judge(self, now: float) -> None:
        """End a stretch; tell if it has been late for long enough."""
        late = sorted(self._since(self._began))
        median, p95 = _share(late, 0.5), _share(late, 0.95)
        self._began, self._count = now, 0
        if p95 <= LATE:
            self._late_stretches = 0
            self._punctual_at = now, self._cpu()
            return
        self._late_stretches += 1
        if self._late_stretches >= STRETCHES:
            self._tell(now, median, p95)

    def _tell(self, now: float, median: float, p95: float) -> None:
        since, cpu = self._punctual_at
        cores = (self._cpu() - cpu) / (now - since)
        self._told = True
        self._interpreter_bound = cores >= _ONE_CORE
        text = _LOCKED if self._interpreter_bound else _STARVED
        log.warning(text, now - since, median * 1_000, p95 * 1_000, cores)

    def _since(self, at: float) -> list[float]:
        return [late for noted, late in self._samples if noted >= at]


def _share(ordered: list[float], share: float) -> float:
    """The value that so large a share of the sorted ones does not exceed (nearest rank); 0 of none."""
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)] if ordered else 0.0


_MEASURED: Final = (
    "for %.0f s the engine has run late, by %.0f ms at the median and %.0f ms at the 95th percentile, "
    "while this process used %.1f cores of CPU. "
)
_LOCKED: Final = (
    "Python's interpreter lock (GIL) is the bottleneck: "
    + _MEASURED
    + "Handlers that compute in Python share one core, however many threads they have, and polls and acknowledgements "
    "wait behind them; leases are in danger when these wait for seconds. What helps: fewer handler threads "
    "(concurrency); several worker processes with fewer threads each; C code that lets go of the lock, or I/O, in "
    "place of loops in Python; switch_interval=0.0005, which lets the engine in sooner and costs handlers some speed"
)
_STARVED: Final = (
    "the engine does not get to run: "
    + _MEASURED
    + "That is less than one core, so either the machine or its CPU limit is too small for what runs there, or C code "
    "in a handler holds Python's interpreter lock while it waits; look at the CPU limit first, then at the table of "
    "threads (SIGUSR1)"
)
