"""The two threads that may block so that no loop has to: the resolver and the credentials' one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from hadoken.errors import HadokenError

log = logging.getLogger("hadoken.worker")

T = TypeVar("T")

# seconds; botocore renews credentials 10 to 15 minutes before they expire, so one look a minute is early enough
REFRESH_EVERY = 60.0
RETRY_EVERY = 5.0  # seconds, while they cannot be had: some of what gives them out comes up later than we do


class Resolver:
    """The body of `hadoken-resolver`: rare calls of the loops that would block them, one at a time."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()  # guards the next one: after the end nothing is taken; never held while calling
        self._stopped = False

    def run(self) -> None:
        """Make calls until stopped. Thread: `hadoken-resolver`."""
        while (call := self._calls.get()) is not None:
            call()
            del call

    def stop(self) -> None:
        """End after the calls asked for so far. Thread: any; may be called twice."""
        with self._lock:
            self._stopped = True
            self._calls.put(None)

    def take(self, call: Callable[[], None]) -> bool:
        """Have `call` made, which must not raise; False: it is too late. Thread: any."""
        with self._lock:
            if not self._stopped:
                self._calls.put(call)
            return not self._stopped

    def submit(
        self, call: Callable[[], T], loop: asyncio.AbstractEventLoop, *, unwanted: Callable[[T], object]
    ) -> asyncio.Future[T]:
        """Have `call` made; its result or exception comes as a future of `loop`. Thread: that of the loop.

        Args:
            call: what to do.
            loop: whose future it is.
            unwanted: called with a result that comes when the loop is closed already, in the resolver's thread.
        """
        future: asyncio.Future[T] = loop.create_future()

        def make() -> None:
            try:
                result = call()
            except Exception as error:  # noqa: BLE001 -- it is the caller's, who gets it from the future
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    loop.call_soon_threadsafe(_settle, future, future.set_exception, error)
                return
            try:
                loop.call_soon_threadsafe(_settle, future, future.set_result, result)
            except RuntimeError:
                unwanted(result)

        self._calls.put(make)
        return future


def _settle(future: asyncio.Future[Any], setter: Callable[[Any], None], value: object) -> None:
    if not future.done():
        setter(value)


class Credentials(Resolver):
    """The body of `hadoken-credentials`: renews what expires before a request has to wait for it, and at once if asked.

    It is a thread beside the resolver's, for a look-up may take half a minute, and then keys would expire meanwhile.
    """

    def __init__(self) -> None:
        super().__init__()
        self._refresh: Callable[[], None] | None = None

    def watch(self, refresh: Callable[[], None]) -> None:
        """Look after these credentials from the next round on. Thread: any."""
        self._refresh = refresh

    def run(self) -> None:
        """Look once a minute, and make calls between, until stopped. Thread: `hadoken-credentials`."""
        failing = False
        while True:
            try:
                call = self._calls.get(timeout=RETRY_EVERY if failing else REFRESH_EVERY)
            except queue.Empty:
                failing = not self._renewed(complain=not failing)
                continue
            if call is None:
                return
            call()
            del call

    def _renewed(self, *, complain: bool) -> bool:
        """Renew what is about to expire; says whether that went well."""
        try:
            if self._refresh is not None:
                self._refresh()
        except HadokenError as error:
            if complain:
                log.warning("%s; requests go on with the old ones while they last", error)
            return False
        return True
