"""Progress while the worker works: one line that is rewritten on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Final

from hadoken.clock import SYSTEM

if TYPE_CHECKING:
    from hadoken.demo.index import Index
    from hadoken.demo.usage import Threads

_ON_TERMINAL, _ELSEWHERE = 0.2, 2.0  # seconds between two lines
_BAR: Final = 10


class Progress:
    """Tells how far the work is.

    Args:
        total: files sent.
        index: what is in it is what is done.
        threads: their number is part of the line.
    """

    def __init__(self, total: int, index: Index, threads: Threads) -> None:
        self._total = total
        self._index = index
        self._threads = threads
        self._terminal = sys.stdout.isatty()
        self._every = _ON_TERMINAL if self._terminal else _ELSEWHERE
        self._start = self._told = SYSTEM.lease()

    @property
    def seconds(self) -> float:
        """Seconds since this was made."""
        return SYSTEM.lease() - self._start

    def tell(self, *, last: bool = False) -> None:
        """Write a line, if it is time for one or if it is the last."""
        now = SYSTEM.lease()
        if not last and now - self._told < self._every:
            return
        self._told = now
        done, definitions = self._index.totals()
        bar = "#" * (_BAR * done // self._total) if self._total else ""
        threads, flat = self._threads.last, self._threads.peak == self._threads.lowest
        line = (
            f"  {self.seconds:5.1f} s  [{bar:-<{_BAR}}]  {done:,}/{self._total:,} files  "
            f"{definitions:,} definitions  {threads} threads{' (flat)' if flat else ''}"
        )
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            sys.stdout.write(f"\r{line[:width]:<{width}}" + ("\n" if last else ""))
        else:
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
