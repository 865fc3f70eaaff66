"""The event loop of the engine: uvloop where it is installed, else asyncio's own.

uvloop costs less CPU a request. It must not be asked for names: for that it starts four native threads, which no budget
counts. Names are resolved by `hadoken-resolver`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Final, NamedTuple

from hadoken.errors import ConfigurationError

VARIABLE: Final = "HADOKEN_LOOP"
_NAMES: Final = ("auto", "asyncio", "uvloop")
# uvloop counts in milliseconds and rounds to the nearest, so less than half of one is at once. Seconds.
_ROUNDED: Final = 0.0005


class LoopChoice(NamedTuple):
    """A kind of loop.

    Attributes:
        name: with its version, for the banner.
        make: makes one.
    """

    name: str
    make: Callable[[], asyncio.AbstractEventLoop]


def chosen() -> LoopChoice:
    """The loop that the engine runs on: by HADOKEN_LOOP, which is "asyncio", "uvloop" or "auto", the default.

    Raises:
        ConfigurationError: the variable holds something else, or uvloop is asked for and not there.

    Thread: any; imports uvloop, if that is there: 50 ms the first time.
    """
    wanted = os.environ.get(VARIABLE) or "auto"
    if wanted not in _NAMES:
        raise ConfigurationError(f"{VARIABLE} is {wanted!r}; it is one of {', '.join(_NAMES)}")
    # On PyPy uvloop's C code would be the slow way.
    if wanted == "uvloop" or (wanted == "auto" and sys.implementation.name == "cpython"):
        try:
            import uvloop  # noqa: PLC0415 -- optional
        except ImportError as error:
            if wanted == "uvloop":
                raise ConfigurationError(
                    f"{VARIABLE} asks for uvloop, which cannot be imported: {error}",
                    hint="install uvloop, or hadoken[fast]",
                ) from error
        else:
            return LoopChoice(f"uvloop {version('uvloop')}", uvloop.new_event_loop)
    return LoopChoice("asyncio", asyncio.new_event_loop)


def rings_early(loop: asyncio.AbstractEventLoop) -> float:
    """Seconds to add to a delay; 0 for asyncio's own loop and for the testing kit's.

    A timer of uvloop may ring early, by a rounding. Set again for the fraction of a millisecond that is left, it would
    ring at once, again and again, until its time has come.
    """
    return 0.0 if isinstance(loop, asyncio.BaseEventLoop) else _ROUNDED
