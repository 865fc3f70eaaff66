"""What this process uses, read from the kernel: its threads and its memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from hadoken.clock import SYSTEM, Wake

_TASKS: Final = Path("/proc/self/task")
_MEMORY: Final = Path("/proc/self/statm")
_MIB: Final = 1024 * 1024
_GOING: Final = (
    2.0  # seconds; a joined thread has run its last line of Python and is still a task for some microseconds
)


def threads() -> int:
    """How many threads this process has, those that Python does not know too."""
    return sum(1 for _ in _TASKS.iterdir())


def rss_mib() -> float:
    """Resident memory in MiB."""
    return int(_MEMORY.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / _MIB


class Threads:
    """The number of threads over a while, sampled by whoever waits.

    Attributes:
        before: when this was made, which is before the worker.
        start: at the first sample.
        peak: the highest sample.
        lowest: the lowest sample.
        last: the last sample; the worker is still up.
        after: once the worker has ended; see `end`.
    """

    def __init__(self) -> None:
        self.before = threads()
        self.start = self.peak = self.lowest = self.last = self.after = 0

    def sample(self) -> None:
        """Count once."""
        self.last = threads()
        self.start = self.start or self.last
        self.peak = max(self.peak, self.last)
        self.lowest = min(self.lowest or self.last, self.last)

    def end(self) -> None:
        """Count after the worker has ended. Blocks for a moment where the kernel has a thread yet to take away."""
        pause, until = Wake(), SYSTEM.lease() + _GOING
        while (count := threads()) != self.before and SYSTEM.lease() < until:
            pause.wait(0.01)
        self.after = count
