"""Signals of the worker process. A handler only notes the number; the main thread acts on it.

Python runs signal handlers in the main thread between two instructions, so a handler that took a lock could wait for
itself. The wake-up descriptor lets the main thread sleep in `select` and still notice at once.
"""

from __future__ import annotations

import contextlib
import select
import signal
import socket
from collections.abc import Generator, Iterable
from types import FrameType

SLICE = 1.0  # seconds; the main thread looks up so often, since code injected into a process runs only then


class Signals:
    """Collects signals while it is entered; puts the earlier handlers back after.

    Thread: the main one only.
    """

    def __init__(self, numbers: Iterable[signal.Signals]) -> None:
        self._numbers = tuple(numbers)
        self._came: list[int] = []

    @contextlib.contextmanager
    def collected(self) -> Generator[Signals]:
        """Take over the signals for the length of a block."""
        reader, writer = socket.socketpair()
        for end in (reader, writer):
            end.setblocking(False)  # noqa: FBT003 -- the standard library's own signature
        self._reader, self._writer = reader, writer
        before = {number: signal.signal(number, self._note) for number in self._numbers}
        fd_before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            yield self
        finally:
            signal.set_wakeup_fd(fd_before)
            for number, handler in before.items():
                signal.signal(number, handler)
            reader.close()
            writer.close()

    def wait(self, timeout: float = SLICE) -> list[signal.Signals]:
        """Wait up to `timeout` seconds for signals; returns those that came, in order; may be empty."""
        if not self._came:
            select.select([self._reader], [], [], timeout)
        with contextlib.suppress(BlockingIOError):
            while self._reader.recv(512):
                pass
        came, self._came = self._came, []
        return [signal.Signals(number) for number in came]

    def poke(self) -> None:
        """Make `wait` return although no signal came. Thread: any; does not block."""
        with contextlib.suppress(OSError):  # full, so it is awake already; or closed, so nobody waits
            self._writer.send(b"\0")

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._came.append(number)
