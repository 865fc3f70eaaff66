"""How long tests wait, and the one wait for facts that only the system knows.

A fact that our own code can tell is waited for with a `TestSignal`. `wait_until` is for what can only be looked up,
such as the threads of another process.
"""

from __future__ import annotations

from collections.abc import Callable

from hadoken.testing import waiting

# The one time-out of the tests, in seconds: a liveness bound far beyond what a loaded machine needs, below pytest's 60.
GLOBAL = 20.0
# Seconds for what is just ending: a thread between its last line and its exit, a process that was told to.
GRACE = 2.0


def wait_until(holds: Callable[[], bool], timeout: float = GLOBAL) -> bool:
    """Look again and again until `holds()` is true, for at most `timeout` seconds, and say whether it became true.

    Thread: any; blocks the caller.
    """
    return waiting.wait_until(holds, timeout)
