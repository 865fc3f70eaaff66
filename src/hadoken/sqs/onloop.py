"""SQS for a loop that is not ours: what `asend` uses."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from hadoken.clock import SYSTEM
from hadoken.errors import ConfigurationError, SQSDenied
from hadoken.sqs.api import BlockingSQS, LoopSQS, Offload, SendBatch, SentBatch
from hadoken.sqs.dialling import Address, addresses_of
from hadoken.sqs.fast import FastTransport
from hadoken.sqs.settings import Settings
from hadoken.sqs.target import target_of
from hadoken.sqs.trust import client_context

log = logging.getLogger("hadoken.sqs")

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
        self._make_aside = aside
        self._aside: LoopSQS | None = None  # made anew each time, so that it sees what was put into botocore meanwhile
        from hadoken.sqs.choose import still_clear  # noqa: PLC0415 -- it loads botocore

        self._is_clear = partial(still_clear, client)
        self._offload = offload
        self._look_at = SYSTEM.lease() + REFRESH_EVERY

    def send_batch(self, request: SendBatch) -> asyncio.Future[SentBatch]:
        """See `api.SQS.send_batch`."""
        return self._now().send_batch(request)

    def queue_url(self, name: str) -> asyncio.Future[str]:
        """See `api.SQS.queue_url`."""
        return self._now().queue_url(name)

    def close(self) -> None:
        """Close connections; what is under way ends by itself."""
        self._fast.close()

    def _now(self) -> LoopSQS:
        """Whoever may send at this moment."""
        if not self._is_clear():
            if self._aside is None:
                self._aside = ByThread(self._make_aside).on_loop(self._offload)
            return self._aside
        self._aside = None
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


def _resolve(offload: Offload, host: str, port: int) -> asyncio.Future[list[Address]]:
    return offload(lambda: addresses_of(host, port))
