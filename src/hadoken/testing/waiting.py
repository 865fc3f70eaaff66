"""The wait for a fact that can only be looked up, such as the threads of a process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hadoken.clock import SYSTEM, Wake

LOOK: Final = 0.01  # seconds between two looks; long beside the cost of a look (1 ms)


def wait_until(holds: Callable[[], bool], timeout: float) -> bool:
    """Look again and again until `holds()` is true, for at most `timeout` real seconds, and say whether it became true.

    Thread: any; blocks the caller.
    """
    pause = Wake()  # never set: its wait is the bounded pause between two looks
    end = SYSTEM.lease() + timeout
    while not holds():
        if SYSTEM.lease() >= end:
            return False
        pause.wait(LOOK)
    return True
