"""The watch: one thread with a loop of its own that answers questions about the process, whatever the engine does.

It reads snapshots and never touches engine objects, so a stuck engine cannot keep it from answering.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Mapping

from hadoken.clock import Wake
from hadoken.threads.census import census
from hadoken.threads.report import table

log = logging.getLogger("hadoken.watch")


class Watch:
    """The body of `hadoken-watch`.

    Args:
        budget: how many threads there should be, asked at each report.
        in_hand: thread name -> what it has in hand in words, likewise.
        write: where reports go; standard error by default.
    """

    def __init__(
        self,
        *,
        budget: Callable[[], int],
        in_hand: Callable[[], Mapping[str, str]],
        write: Callable[[str], object] | None = None,
    ) -> None:
        self._budget = budget
        self._in_hand = in_hand
        self._write = write or _to_stderr
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self.started = Wake()

    def run(self) -> None:
        """Live until stopped. Thread: `hadoken-watch`."""
        asyncio.run(self._main())

    def report(self) -> None:
        """Have the table of threads written soon. Thread: any; does not block; does nothing once it has ended."""
        self._call(self._report)

    def stop(self) -> None:
        """Let `run` return soon. Thread: any; may be called twice."""
        self._call(self._stop)

    def _call(self, what: Callable[[], None]) -> None:
        loop = self._loop
        if loop is not None:
            try:
                loop.call_soon_threadsafe(what)
            except RuntimeError:  # its loop is closed: it has ended
                log.debug("the watch has ended")

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self.started.set()
        await self._stopping.wait()

    def _report(self) -> None:
        self._write(table(census(), budget=self._budget(), in_hand=self._in_hand()))

    def _stop(self) -> None:
        if self._stopping is not None:
            self._stopping.set()


def _to_stderr(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
