"""The one thread for what would block a caller's loop: names, credentials, and the calls of botocore.

Rules of this file:
- One thread a process, never one a call. It is started when there is something to do, and ends when there was nothing
  for a while. While a worker runs, a thread of the worker's does it instead: then there is none of ours.
- The lock guards whether the thread lives, and who else does its work; it is never held while anything is done.
- After a fork the child begins anew: nothing of its parent's thread is left, and its lock may be held for ever.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

log = logging.getLogger("hadoken.sending")

T = TypeVar("T")

# Takes a piece of work to be done in a thread that is there anyway; False: it ends, and does not take it.
Take: TypeAlias = Callable[[Callable[[], None]], bool]

NAME: Final = "hadoken-asend"
LINGER = 5.0  # seconds without work after which the thread ends
_ROLE: Final = "asend"


class Background:
    """Does what blocks, one piece after the other, in a thread of its own or in one that is lent.

    Thread: any.
    """

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._alive = False
        self._lent: tuple[Take, ...] = ()

    def lend(self, take: Take) -> None:
        """Have work done by this thread from now on; of several the one lent last does it."""
        with self._lock:
            self._lent = (*self._lent, take)

    def take_back(self, take: Take) -> None:
        """Give this thread no more work; what it has taken it must still do."""
        with self._lock:
            self._lent = tuple(one for one in self._lent if one != take)

    def submit(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Have something done; its result or exception comes as a future of the running loop.

        It sees the caller's context variables. What nobody waits for any more when its turn comes is not begun.

        Raises:
            RuntimeError: no thread can be started.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        context = contextvars.copy_context()

        def do() -> None:
            if future.cancelled():
                return
            settle: Callable[[], None]
            try:
                settle = partial(_succeed, future, context.run(work))
            except BaseException as error:  # noqa: BLE001 -- it is the caller's, who gets it from the future
                settle = partial(_fail, future, error)
            try:
                loop.call_soon_threadsafe(settle)
            except RuntimeError:
                log.debug("an answer came after the loop that asked for it was closed")

        if not any(take(do) for take in reversed(self._lent)):
            self._do_ourselves(do)
        return future

    def _do_ourselves(self, work: Callable[[], None]) -> None:
        with self._lock:
            if not self._alive:
                from hadoken.threads.spawn import Threads  # noqa: PLC0415 -- most programs never need the thread

                Threads({_ROLE: 1}).spawn(NAME, self._run, role=_ROLE)
                self._alive = True  # only now: where no thread can be had, the next call must try again
            self._work.put(work)

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
