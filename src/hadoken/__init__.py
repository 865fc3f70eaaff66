"""hadoken: Amazon SQS messages, pools of handler threads, and a thread count that never changes."""

# The front door names every room, for type checkers only: no cycle at run time.
# pyright: reportImportCycles=false
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

from hadoken.version import __version__

if TYPE_CHECKING:
    from hadoken.app import App, Handlers
    from hadoken.codec import Codec
    from hadoken.errors import (
        BatchFailed,
        BodyError,
        ConfigurationError,
        DecodeError,
        DrainTimeout,
        DuplicateHandler,
        EncodeError,
        HadokenError,
        InvalidHandler,
        InvalidOption,
        LeaseLost,
        LifecycleError,
        QueueNotFound,
        SQSDenied,
        SQSError,
        SQSThrottled,
        SQSUnavailable,
        ThreadBudgetExceeded,
    )
    from hadoken.handler import Handler
    from hadoken.message import Context, Message
    from hadoken.options import HandlerOptions, PoolOptions, WorkerOptions
    from hadoken.outcome import Ack, DeadLetter, Discard, Outcome, Release, Retry
    from hadoken.outgoing import Outgoing
    from hadoken.queue import Queue
    from hadoken.retry import exponential, fixed
    from hadoken.sqs.connection import Connection
    from hadoken.worker.program import run
    from hadoken.worker.worker import Worker

# Where each name lives. Loaded at first use, so that declaring an app loads neither the engine nor botocore (PEP 562).
_HOMES: Final = {
    "app": ("App", "Handlers"),
    "codec": ("Codec",),
    "errors": (
        "BatchFailed",
        "BodyError",
        "ConfigurationError",
        "DecodeError",
        "DrainTimeout",
        "DuplicateHandler",
        "EncodeError",
        "HadokenError",
        "InvalidHandler",
        "InvalidOption",
        "LeaseLost",
        "LifecycleError",
        "QueueNotFound",
        "SQSDenied",
        "SQSError",
        "SQSThrottled",
        "SQSUnavailable",
        "ThreadBudgetExceeded",
    ),
    "handler": ("Handler",),
    "message": ("Context", "Message"),
    "options": ("HandlerOptions", "PoolOptions", "WorkerOptions"),
    "outcome": ("Ack", "DeadLetter", "Discard", "Outcome", "Release", "Retry"),
    "outgoing": ("Outgoing",),
    "queue": ("Queue",),
    "retry": ("exponential", "fixed"),
    "sqs.connection": ("Connection",),
    "worker.program": ("run",),
    "worker.worker": ("Worker",),
}
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Ack",
    "App",
    "BatchFailed",
    "BodyError",
    "Codec",
    "ConfigurationError",
    "Connection",
    "Context",
    "DeadLetter",
    "DecodeError",
    "Discard",
    "DrainTimeout",
    "DuplicateHandler",
    "EncodeError",
    "HadokenError",
    "Handler",
    "HandlerOptions",
    "Handlers",
    "InvalidHandler",
    "InvalidOption",
    "LeaseLost",
    "LifecycleError",
    "Message",
    "Outcome",
    "Outgoing",
    "PoolOptions",
    "Queue",
    "QueueNotFound",
    "Release",
    "Retry",
    "SQSDenied",
    "SQSError",
    "SQSThrottled",
    "SQSUnavailable",
    "ThreadBudgetExceeded",
    "Worker",
    "WorkerOptions",
    "__version__",
    "exponential",
    "fixed",
    "run",
]


# Hidden from type checkers: else a misspelt name would pass as whatever `__getattr__` gives.
if not TYPE_CHECKING:  # pragma: no branch -- always so at run time

    def __getattr__(name: str) -> object:
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module 'hadoken' has no attribute {name!r}")
        value: object = getattr(importlib.import_module(f"hadoken.{home}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
