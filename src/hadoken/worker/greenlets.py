"""Whether the threads of this process are greenlets: a worker would not run then, so it says so first."""

from __future__ import annotations

import sys
from typing import Any

from hadoken.errors import ConfigurationError


def refuse_greenlets() -> None:
    """Refuse to start where gevent or eventlet has put greenlets in the place of threads.

    The engine's loop and the handler threads would be greenlets of one thread, and block each other.

    Raises:
        ConfigurationError: it has; the hint says what to do.
    """
    gevent: Any = sys.modules.get("gevent.monkey")
    eventlet: Any = sys.modules.get("eventlet.patcher")
    by = ""
    if gevent is not None and gevent.is_module_patched("threading"):
        by = "gevent"
    elif eventlet is not None and eventlet.is_monkey_patched("thread"):
        by = "eventlet"
    if by:
        raise ConfigurationError(
            f"threads are patched by {by}, and a worker needs real ones",
            hint="run the worker in a process of its own, without monkey-patching; sending works with it",
        )
