"""The one thread for what would block a caller's loop: names, credentials, and the calls of botocore.

Rules of this file:
- One thread a process, never one a call. It is started when there is something to do, and ends when there was nothing
  for a while.
- The lock guards whether the thread lives; it is never held while anything is done.
- After a fork the child begins anew: nothing of its parent's thread is left, and its lock may be held for ever.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from hadoken.threads.spawn import Threads

log = logging.getLogger("hadoken.sending")

T = TypeVar("T")

NAME: Final = "hadoken-asend"
LINGER = 5.0  # seconds without work after which the thread ends
_ROLE: Final = "asend"


class Background:
    """Does what blocks, one piece after the other, in a thread of its own.

    Thread: any.
    """

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._alive = False

    def submit(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Have something done; its result or exception comes as a future of the running loop.

        What nobody waits for any more when its turn comes is not begun.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def do() -> None:
            if future.cancelled():
                return
            settle: Callable[[], None]
            try:
                settle = partial(_succeed, future, work())
            except BaseException as error:  # noqa: BLE001 -- it is the caller's, who gets it from the future
                settle = partial(_fail, future, error)
            try:
                loop.call_soon_threadsafe(settle)
            except RuntimeError:
                log.debug("an answer came after the loop that asked for it was closed")

        with self._lock:
            self._work.put(do)
            if not self._alive:
                self._alive = True
                Threads({_ROLE: 1}).spawn(NAME, self._run, role=_ROLE)
        return future

    def _run(self) -> None:
        while (work := self._next()) is not None:
            work()
            del work

    def _next(self) -> Callable[[], None] | None:
        """The next piece of work; None where there was none for so long that the thread is to end."""
        try:
            return self._work.get(timeout=LINGER)
        except queue.Empty:
            with self._lock:
                if self._work.empty():
                    self._alive = False
                    return None
            return self._work.get()


_of_process: dict[int, Background] = {}


def background() -> Background:
    """The one of this process."""
    pid = os.getpid()
    return _of_process.get(pid) or _of_process.setdefault(pid, Background())


def _succeed(future: asyncio.Future[Any], result: object) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
