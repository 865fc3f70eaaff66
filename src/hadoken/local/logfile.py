"""The event log as a file of JSON lines, written as things happen."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Final

import msgspec

from hadoken.clock import SYSTEM, Clock
from hadoken.errors import ConfigurationError
from hadoken.local.state.eventlog import EventLog

if TYPE_CHECKING:
    from collections.abc import Generator

    from hadoken.local.state.eventlog import Event

STDOUT: Final = "-"
_logger = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode


class LogFile:
    """Writes events, one line each, with the wall clock before them. What cannot be written is told once, then left.

    Thread: that of the local SQS; a write blocks as long as the file does.
    """

    def __init__(self, file: IO[str], clock: Clock = SYSTEM) -> None:
        self._file: IO[str] | None = file
        self._clock = clock

    def __call__(self, event: Event) -> None:
        """Write one event."""
        if self._file is None:
            return
        try:
            self._file.write(f'{{"time":{self._clock.wall():.6f},{_encode(event).decode()[1:]}\n')
            self._file.flush()
        except (OSError, ValueError):  # ValueError: a terminal's encoding lacks a character
            self._file = None
            _logger.exception("the event log cannot be written; it ends here")


@contextmanager
def to_file(name: str) -> Generator[EventLog]:
    """An event log, calls and all, that is also written to a file.

    Args:
        name: of the file, which is continued if it is there; STDOUT for standard output.

    Raises:
        ConfigurationError: the file cannot be opened.
    """
    if name == STDOUT:
        yield EventLog(on_event=LogFile(sys.stdout), calls=True)
        return
    try:
        file = open(name, "a", encoding="utf-8")  # noqa: PTH123, SIM115 -- a plain name; closed below
    except OSError as error:
        raise ConfigurationError(f"the event log {name} cannot be written: {error.strerror}") from error
    try:
        yield EventLog(on_event=LogFile(file), calls=True)
    finally:
        with suppress(OSError):  # what the disk did not take was told when it was written
            file.close()
