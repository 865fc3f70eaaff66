"""SQS for a loop that is not ours: what `asend` uses."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from hadoken.clock import SYSTEM
from hadoken.errors import ConfigurationError, SQSDenied
from hadoken.sqs.api import BlockingSQS, ForLoops, LoopSQS, Offload, SendBatch, SentBatch
from hadoken.sqs.dialling import Address, addresses_of
from hadoken.sqs.fast import FastTransport
from hadoken.sqs.settings import Settings
from hadoken.sqs.stepping import Aside
from hadoken.sqs.target import target_of
from hadoken.sqs.trust import client_context

log = logging.getLogger("hadoken.sqs")

T = TypeVar("T")

REFRESH_EVERY: Final = 60.0  # seconds; botocore renews credentials 10 to 15 minutes before they expire


class ByThread:
    """botocore for all loops of a process: each call is made in the thread of `offload`.

    Args:
        make: makes the client; called in that thread at the first call.

    Thread: any.
    """

    def __init__(self, make: Callable[[], BlockingSQS]) -> None:
        self._make = make
        self._client: BlockingSQS | None = None

    def on_loop(self, offload: Offload) -> LoopSQS:
        """See `api.ForLoops`."""
        return _CallsByThread(self.client, offload)

    def client(self) -> BlockingSQS:
        """The client. Thread: that of `offload`."""
        if self._client is None:
            self._client = self._make()
        return self._client


class _CallsByThread:
    """One loop's calls of a client that blocks."""

    def __init__(self, client: Callable[[], BlockingSQS], offload: Offload) -> None:
        self._client = client
        self._offload = offload

    def send_batch(self, request: SendBatch) -> asyncio.Future[SentBatch]:
        """See `api.SQS.send_batch`."""
        return self._offload(lambda: self._client().send_batch(request))

    def queue_url(self, name: str) -> asyncio.Future[str]:
        """See `api.SQS.queue_url`."""
        return self._offload(lambda: self._client().queue_url(name))

    def close(self) -> None:
        """Nothing of a loop's is open."""


class Stepping:
    """Our own transport for all loops of a process, which steps aside as `SteppingClient` does.

    Args:
        settings: of our own transport.
        aside: makes a client of botocore; called in the thread of `offload`.
        client: the user's own, where there is one: what is put on it counts too.

    Thread: any; blocks when made.
    Raises: `ConfigurationError` when made: the certificates to trust cannot be read.
    """

    def __init__(self, settings: Settings, aside: Callable[[], BlockingSQS], client: Any = None) -> None:  # noqa: ANN401 -- botocore ships no types
        self._settings = settings
        self._aside = aside
        self._client = client
        if target_of(settings.endpoint_url).tls:  # read here, where it may block, and not on a loop
            try:
                client_context(settings.ca_bundle, verify=settings.verify)
            except OSError as error:
                raise ConfigurationError(str(error)) from error

    def on_loop(self, offload: Offload) -> LoopSQS:
        """See `api.ForLoops`."""
        loop = asyncio.get_running_loop()
        fast = FastTransport(self._settings, loop, resolve=partial(_resolve, offload), offload=offload)
        return _SteppingOnLoop(self._settings, fast, self._aside, self._client, offload)


class _SteppingOnLoop:
    """One loop's client: each request looks first whether the way is clear."""

    def __init__(
        self,
        settings: Settings,
        fast: LoopSQS,
        aside: Callable[[], BlockingSQS],
        client: Any,  # noqa: ANN401 -- botocore ships no types
        offload: Offload,
    ) -> None:
        self._credentials = settings.credentials
        self._fast = fast
        self._aside = Aside(lambda: ByThread(aside).on_loop(offload), client)
        self._offload = offload
        self._look_at = SYSTEM.lease() + REFRESH_EVERY
        # Connections and timers outlive the call that begins them, and would keep its context variables as long.
        self._context = contextvars.Context()

    def send_batch(self, request: SendBatch) -> asyncio.Future[SentBatch]:
        """See `api.SQS.send_batch`."""
        aside = self._aside.needed()
        return aside.send_batch(request) if aside else self._context.run(self._own().send_batch, request)

    def queue_url(self, name: str) -> asyncio.Future[str]:
        """See `api.SQS.queue_url`."""
        aside = self._aside.needed()
        return aside.queue_url(name) if aside else self._context.run(self._own().queue_url, name)

    def close(self) -> None:
        """Close connections; what is under way ends by itself."""
        self._fast.close()

    def _own(self) -> LoopSQS:
        """Our own transport, with its keys looked after."""
        if self._credentials.expire and SYSTEM.lease() >= self._look_at:
            self._look_at = SYSTEM.lease() + REFRESH_EVERY
            self._offload(self._refresh)
        return self._fast

    def _refresh(self) -> None:
        """Renew keys that are about to expire. Thread: that of `offload`."""
        try:
            self._credentials.refresh()
        except SQSDenied as error:
            log.warning("%s", error)


class Waiting:
    """botocore for all loops of a process, for as long as something stands in its place; then what is chosen anew.

    Args:
        choose: finds out what clients are made of then; called in the thread of `offload`.
        aside: makes a client of botocore, likewise.

    Thread: any.
    """

    def __init__(self, choose: Callable[[], ForLoops], aside: Callable[[], BlockingSQS]) -> None:
        self._choose = choose
        self._aside = aside
        self._chosen: ForLoops | None = None

    def on_loop(self, offload: Offload) -> LoopSQS:
        """See `api.ForLoops`."""
        return _WaitingOnLoop(self.chosen, self._aside, offload)

    def chosen(self) -> ForLoops:
        """What was chosen. Thread: that of `offload`."""
        if self._chosen is None:
            self._chosen = self._choose()
        return self._chosen


class _WaitingOnLoop:
    """One loop's client: the first request that finds the way clear has the transport chosen anew."""

    def __init__(self, choose: Callable[[], ForLoops], aside: Callable[[], BlockingSQS], offload: Offload) -> None:
        self._choose = choose
        self._aside = Aside(lambda: ByThread(aside).on_loop(offload))
        self._offload = offload
        self._choosing: asyncio.Future[ForLoops] | None = None
        self._chosen: LoopSQS | None = None

    def send_batch(self, request: SendBatch) -> asyncio.Future[SentBatch]:
        """See `api.SQS.send_batch`."""
        return self._by(lambda client: client.send_batch(request))

    def queue_url(self, name: str) -> asyncio.Future[str]:
        """See `api.SQS.queue_url`."""
        return self._by(lambda client: client.queue_url(name))

    def close(self) -> None:
        """Close what was chosen; what is under way ends by itself."""
        if self._chosen is not None:
            self._chosen.close()

    def _by(self, call: Callable[[LoopSQS], asyncio.Future[T]]) -> asyncio.Future[T]:
        client = self._aside.needed() or self._chosen
        return asyncio.ensure_future(self._once_chosen(call)) if client is None else call(client)

    async def _once_chosen(self, call: Callable[[LoopSQS], asyncio.Future[T]]) -> T:
        """Choose, once for all that wait for it; a choice that failed is made again by the next call."""
        if self._choosing is None or self._choosing.done():
            self._choosing = self._offload(self._choose)
        found = await asyncio.shield(self._choosing)
        if self._chosen is None:
            self._chosen = found.on_loop(self._offload)
        return await call(self._chosen)


def _resolve(offload: Offload, host: str, port: int) -> asyncio.Future[list[Address]]:
    return offload(lambda: addresses_of(host, port))
