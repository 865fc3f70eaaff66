"""Where clients come from: one for each process where callers block, one for each loop where they await."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import AsyncGenerator
from typing import Protocol

from hadoken.sending.background import background
from hadoken.sqs.address import url_of
from hadoken.sqs.api import BlockingSQS, ForLoops, LoopSQS, Offload


class Door(Protocol):
    """Where clients come from: a `Connection`, or what a test puts in its place."""

    def blocking(self) -> BlockingSQS:
        """Make a client that works in the calling thread."""
        ...

    def for_loops(self, offload: Offload, /) -> asyncio.Future[ForLoops]:
        """Find out what clients for loops are made of; what blocks is done by `offload`."""
        ...


class Route:
    """What belongs to one door: clients by process and loop, queue URLs by address. Replaced whole by `connect`.

    Thread: any, several at once; no lock: two threads may make a client each, and `setdefault` keeps a single one.
    """

    def __init__(self, door: Door) -> None:
        self.door = door
        self._clients: dict[int, BlockingSQS] = {}
        self._loops: dict[asyncio.AbstractEventLoop, _Loop] = {}
        self._for_loops: dict[int, ForLoops] = {}
        self._urls: dict[str, str] = {}

    def way(self, address: str) -> tuple[BlockingSQS, str]:
        """This process's client, and the URL of a queue given by name, URL or ARN."""
        client, urls = self._clients.get(os.getpid()) or self._client(), self._urls
        return client, urls.get(address) or urls.setdefault(address, url_of(address) or client.queue_url(address))

    async def loops_way(self, address: str) -> tuple[LoopSQS, str]:
        """The running loop's client, and the URL of a queue given by name, URL or ARN."""
        client, urls = await self._loops_client(), self._urls
        url = urls.get(address) or url_of(address) or await client.queue_url(address)
        return client, urls.setdefault(address, url)

    def _client(self) -> BlockingSQS:
        """Make this process's client; one that a parent left here is dropped, which closes our copy of its sockets."""
        pid, made = os.getpid(), self.door.blocking()
        for other in list(self._clients):
            if other != pid:
                self._clients.pop(other, None)
        return self._clients.setdefault(pid, made)

    async def _loops_client(self) -> LoopSQS:
        loop = asyncio.get_running_loop()
        mine = self._loops.get(loop)
        if mine is None:
            self._forget_closed()
            mine = self._loops[loop] = _Loop()
        return mine.client or await mine.opened(self)

    def _forget_closed(self) -> None:
        """Drop clients of loops that were closed without `shutdown_asyncgens`, which would have told us."""
        for loop in list(self._loops):
            if loop.is_closed():
                self._loops.pop(loop, None)

    def forget(self, loop: asyncio.AbstractEventLoop) -> None:
        """Drop the client of a loop that ends."""
        self._loops.pop(loop, None)

    def known(self) -> ForLoops | None:
        """What this process's clients for loops are made of, once it is known."""
        return self._for_loops.get(os.getpid())

    def learn(self, found: ForLoops) -> ForLoops:
        """Keep what clients for loops are made of."""
        return self._for_loops.setdefault(os.getpid(), found)


class _Loop:
    """The client of one loop, as long as that loop lives.

    Attributes:
        client: None until the first call has opened it.
    """

    def __init__(self) -> None:
        self.client: LoopSQS | None = None
        self._opening: asyncio.Future[ForLoops] | None = None
        self._life: AsyncGenerator[None] | None = None

    async def opened(self, route: Route) -> LoopSQS:
        """Open the client, once for all calls that wait for it; a call that is cancelled leaves it to the others."""
        found = route.known() or route.learn(await asyncio.shield(self._asked(route)))
        if self.client is None:
            self.client = found.on_loop(background().submit)
            self._life = _until_the_end(self.client, weakref.ref(route))
            await anext(self._life)
        return self.client

    def _asked(self, route: Route) -> asyncio.Future[ForLoops]:
        """The answer that is on its way; a failed one is asked for again."""
        asked = self._opening
        if asked is None or (asked.done() and (asked.cancelled() or asked.exception() is not None)):
            asked = self._opening = route.door.for_loops(background().submit)
        return asked


async def _until_the_end(client: LoopSQS, route: weakref.ref[Route]) -> AsyncGenerator[None]:
    """Live as long as the loop: `asyncio.run` and whoever else shuts asynchronous generators down ends it."""
    try:
        yield
    finally:
        client.close()
        if (kept := route()) is not None:
            kept.forget(asyncio.get_running_loop())
