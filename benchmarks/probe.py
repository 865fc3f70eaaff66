"""The handler that both measured programs run, and what it tells the parent: when it began, and each span of work."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time

LONGEST = 120  # seconds after which a measured program ends by itself, whatever became of its parent


class Probe:
    """A handler of `seconds` of sleep that notes when it ran; 0 does nothing at all.

    The first call prints one line of JSON: the CPU the process has used until then, and its thread budget.

    Attributes:
        spans: (start, end) of every call, in seconds of the monotonic clock.
        budget: how many threads the program means to have; None where it makes no promise.

    Thread: any number at once; blocks for `seconds`.
    """

    def __init__(self, seconds: float) -> None:
        signal.alarm(LONGEST)
        self.spans: list[tuple[float, float]] = []
        self.budget: int | None = None
        self._seconds = seconds
        self._first = threading.Lock()

    def __call__(self) -> None:
        """Do the work of one message."""
        began = time.monotonic()
        if self._first.acquire(blocking=False):  # never released: only one call is the first
            self._say({"cpu": time.process_time(), "budget": self.budget})
        if self._seconds:
            time.sleep(self._seconds)
        self.spans.append((began, time.monotonic()))

    def report(self) -> None:
        """Print the second and last line: how much was handled, for how long, between which times."""
        self._say(
            {
                "handled": len(self.spans),
                "busy": sum(end - start for start, end in self.spans),
                "first": min((start for start, _ in self.spans), default=0.0),
                "last": max((end for _, end in self.spans), default=0.0),
            }
        )

    @staticmethod
    def _say(facts: dict[str, float | None]) -> None:
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()
