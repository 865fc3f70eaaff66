"""The door for sending: blocking in the calling thread, or awaited on the caller's loop.

Rules of this file:
- No lock and no thread for `send`: safe in any thread, and after a fork.
- Both ways are the same but for who waits; what is decided stands in `delivery`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Generator, Sequence

from hadoken.clock import Wake
from hadoken.errors import SQSError
from hadoken.sending.delivery import Delivery, Sending
from hadoken.sending.routes import Door, Route
from hadoken.sqs.api import SendEntry
from hadoken.sqs.connection import Connection


class Sender:
    """Sends entries to queues. Opens nothing before the first send.

    Args:
        pause: waits between tries, in the place of the real wait.
        draw: 0..1, by chance.

    Thread: any, several at once. A send ends when SQS has answered, after at most `TRIES` requests a batch.
    """

    def __init__(
        self,
        *,
        pause: Callable[[float], object] | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._route = Route(Connection())
        self._pause = pause
        self._draw = draw

    def connect(self, door: Door) -> None:
        """Send by this door from now on; by the same door as before nothing changes, and its client is kept."""
        if door != self._route.door:
            self._route = Route(door)

    @contextlib.contextmanager
    def diverted(self, door: Door, pause: Callable[[float], object] | None = None) -> Generator[None]:
        """Send by this door for as long as a block lasts, then by the one before it again, with its client.

        Args:
            door: where to.
            pause: waits between tries meanwhile; None: as before.
        """
        before = self._route, self._pause
        self._route, self._pause = Route(door), pause or self._pause
        try:
            yield
        finally:
            self._route, self._pause = before

    def send(self, address: str, entry: SendEntry) -> str:
        """Send one message and return its id. Blocks.

        Raises:
            QueueNotFound: there is no such queue.
            SQSError: it was not accepted, after bounded retries where that could help.
        """
        sending = Sending(address, (entry,))
        for delivery in sending.deliveries():
            self._deliver(address, delivery)
        return sending.only_id()

    def send_many(self, address: str, entries: Sequence[SendEntry]) -> list[str]:
        """Send messages in order, at most ten and 1 MiB a request, and return their ids in the same order. Blocks.

        Raises:
            QueueNotFound: there is no such queue; nothing was sent.
            BatchFailed: some were not accepted; all others were sent. Raised after every batch was tried.
        """
        sending = Sending(address, entries)
        for delivery in sending.deliveries():
            self._deliver(address, delivery)
        return sending.ids()

    async def asend(self, address: str, entry: SendEntry) -> str:
        """Send one message as `send` does, on the running loop."""
        sending = Sending(address, (entry,))
        for delivery in sending.deliveries():
            await self._adeliver(address, delivery)
        return sending.only_id()

    async def asend_many(self, address: str, entries: Sequence[SendEntry]) -> list[str]:
        """Send messages as `send_many` does, on the running loop."""
        sending = Sending(address, entries)
        for delivery in sending.deliveries():
            await self._adeliver(address, delivery)
        return sending.ids()

    def _deliver(self, address: str, delivery: Delivery) -> None:
        while True:
            try:
                client, url = self._route.way(address)
                again = delivery.took(client.send_batch(delivery.request(url)))
            except SQSError as error:
                again = delivery.refused(error)
            if not again:
                return
            seconds = delivery.pause(self._draw())
            if self._pause is None:
                Wake().wait(seconds)
            else:
                self._pause(seconds)

    async def _adeliver(self, address: str, delivery: Delivery) -> None:
        while True:
            try:
                client, url = await self._route.loops_way(address)
                again = delivery.took(await client.send_batch(delivery.request(url)))
            except SQSError as error:
                again = delivery.refused(error)
            if not again:
                return
            seconds = delivery.pause(self._draw())
            if self._pause is None:
                await asyncio.sleep(seconds)
            else:
                self._pause(seconds)
