"""Our own transport on a loop of a test: asyncio's and uvloop's, with the resolver thread of a worker behind it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, TypeVar

import uvloop

from hadoken.sqs.credentials import Credentials, Keys
from hadoken.sqs.dialling import Address, addresses_of
from hadoken.sqs.fast import FastTransport
from hadoken.sqs.settings import Settings
from hadoken.testing.leftovers import scheduled
from hadoken.worker.blocking import Resolver
from tests.support.waiting import GLOBAL

T = TypeVar("T")
Loop = Callable[[], asyncio.AbstractEventLoop]

LOOPS: Final[dict[str, Loop]] = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
KEYS: Final = Keys("key", "secret", None)
LIMIT: Final = 10.0  # seconds that a call may take unless the test says otherwise


def run(loop: Loop, body: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a loop of this kind, to its end or for as long as a test may wait."""

    async def bounded() -> T:
        async with asyncio.timeout(GLOBAL):
            return await body

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(bounded())


class Blocking:
    """A thread that may block, with what the transport asks of it.

    Attributes:
        done: what was offloaded, in order.
        threads: in which threads it was done.
    """

    def __init__(self) -> None:
        self.done: list[Callable[[], Any]] = []
        self.threads: set[int] = set()
        self._resolver = Resolver()
        self._thread = threading.Thread(target=self._resolver.run, name="resolver")
        self._thread.start()

    def offload(self, call: Callable[[], T], /) -> asyncio.Future[T]:
        """See `api.Offload`."""

        def noted() -> T:
            self.done.append(call)
            self.threads.add(threading.get_ident())
            return call()

        return self._resolver.submit(noted, asyncio.get_running_loop(), unwanted=lambda _: None)

    def resolve(self, host: str, port: int) -> asyncio.Future[list[Address]]:
        """See `dialling.Resolve`."""
        loop = asyncio.get_running_loop()
        return self._resolver.submit(partial(addresses_of, host, port), loop, unwanted=lambda _: None)

    def close(self) -> None:
        """End the thread."""
        self._resolver.stop()
        self._thread.join(GLOBAL)
        assert not self._thread.is_alive()


@asynccontextmanager
async def opened(
    url: str,
    *,
    blocking: Blocking | None = None,
    resolve: Callable[[str, int], asyncio.Future[list[Address]]] | None = None,
    **settings: Any,
) -> AsyncIterator[FastTransport]:
    """A transport, closed at the end of the block; nothing may be left of it then.

    Args:
        url: of the endpoint.
        blocking: the thread behind it, for tests that look at what was offloaded; ended here.
        resolve: in the place of the resolver thread.
        **settings: fields of `Settings`; a call and a connection may take ten seconds each unless said otherwise.
    """
    given = {"credentials": Credentials.fixed(KEYS), "call_timeout": LIMIT, "connect_timeout": LIMIT} | settings
    blocking = blocking or Blocking()
    loop = asyncio.get_running_loop()
    before = asyncio.all_tasks()
    try:
        transport = FastTransport(
            Settings(url, "us-east-1", **given), loop, resolve=resolve or blocking.resolve, offload=blocking.offload
        )
        try:
            yield transport
        finally:
            transport.close()
            await until(lambda: not left(transport) and asyncio.all_tasks() <= before)
    finally:
        blocking.close()


def left(transport: FastTransport) -> list[object]:
    """What a transport still has: lines, requests that wait, connections on their way; once closed, a timer."""
    lines = transport.lines
    timer = lines._deadlines._timer
    return [
        *lines._idle,
        *lines._waiting,
        *lines._waiting_for_new,
        *lines._opening,
        *lines._deadlines._things,
        *([timer] if timer is not None and lines._closed else []),
    ]


def timers() -> int:
    """How many timers the running loop has, on asyncio's own loop; the test's own time limit is one."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, asyncio.BaseEventLoop)
    return sum(not timer.cancelled() for timer in scheduled(loop))


async def until(holds: Callable[[], bool]) -> None:
    """Let the loop turn until a fact of it holds; the test's own time limit ends it otherwise."""
    while not holds():  # noqa: ASYNC110 -- facts of the loop and of the peer, which set no event
        await asyncio.sleep(0)
