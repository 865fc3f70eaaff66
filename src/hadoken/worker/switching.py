"""The interpreter's switch interval: after how long a thread that computes lets another one in."""

from __future__ import annotations

import logging
import sys

log = logging.getLogger("hadoken.worker")


class SwitchInterval:
    """Sets it while a worker runs, and only if it was asked for. It is one for the whole process.

    Args:
        seconds: what to set; None leaves it as it is.

    Thread: any. Source: `sys.setswitchinterval`.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._before: float | None = None
        self._ours = 0.0

    def begin(self) -> None:
        """Set it, and say so; a second call does nothing."""
        if self._seconds is None or self._before is not None:
            return
        self._before = sys.getswitchinterval()
        sys.setswitchinterval(self._seconds)
        self._ours = sys.getswitchinterval()  # kept in whole microseconds
        log.info(
            "the interpreter's switch interval is %g s while the worker runs, instead of %g", self._ours, self._before
        )

    def end(self) -> None:
        """Put back what was there, unless somebody else has changed it meanwhile; a second call does nothing."""
        before, self._before = self._before, None
        if before is not None and sys.getswitchinterval() == self._ours:
            sys.setswitchinterval(before)
