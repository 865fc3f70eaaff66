"""The local SQS as a server: one loop, no threads, loopback unless told otherwise.

Besides SQS it answers some private addresses with JSON, for tests and benchmarks: see `admin`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sqlite3
from typing import TYPE_CHECKING

from hadoken.clock import SYSTEM
from hadoken.local.faults import Faults
from hadoken.local.http.admin import Admin
from hadoken.local.http.connection import PATIENCE, Connection, Site
from hadoken.local.http.protocol import Protocol
from hadoken.local.http.sigv4 import Signatures
from hadoken.local.http.tls import TLSPort, listening_socket
from hadoken.local.state.parking import Parking
from hadoken.local.state.profile import AWS
from hadoken.local.state.queues import Queues
from hadoken.local.state.refusals import Refusal
from hadoken.local.store import Store

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Coroutine, Mapping
    from pathlib import Path

    from hadoken.clock import Clock
    from hadoken.local.http.protocol import Reply
    from hadoken.local.state.eventlog import EventLog
    from hadoken.local.state.parking import Parked
    from hadoken.local.state.profile import Profile

HOST = "127.0.0.1"
PORT = 9324
_CHUNK = 65_536
_logger = logging.getLogger(__name__)


class Server:
    """A running local SQS.

    Attributes:
        port: where it listens.
        url: of the endpoint, to be given to boto3 as `endpoint_url`.
        sqs: the state: queues, event log, counters.
        faults: which calls fail.

    Args:
        queues: the state.
        signatures: verifies requests; None verifies none.
        store: keeps the state; None keeps nothing.
        faults: none by default.
        patience: seconds for a request to be complete, for an answer to be read, and for a TLS handshake.
        tls: what it shows to clients; None speaks plain HTTP.

    Thread: the loop that started it.
    """

    def __init__(
        self,
        queues: Queues,
        *,
        signatures: Signatures | None = None,
        store: Store | None = None,
        faults: Faults | None = None,
        patience: float = PATIENCE,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.sqs = queues
        self.faults = Faults() if faults is None else faults
        self._patience = patience
        self._signatures = signatures
        self._store = store
        self.port = 0
        self._parking = Parking(queues)
        self._protocol = Protocol(queues, self._parking, self.faults, None if store is None else self._kept)
        self._connections: set[Connection] = set()
        self._admin = Admin(
            queues, self.faults, connections=lambda: len(self._connections), parked=lambda: len(self._parking)
        )
        self._tls = tls
        self._listener: asyncio.Server | None = None
        self._tls_port: TLSPort | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    @property
    def url(self) -> str:
        """The endpoint."""
        return self.sqs.url

    @property
    def parked(self) -> int:
        """How many long polls wait."""
        return len(self._parking)

    @property
    def connections(self) -> tuple[Connection, ...]:
        """All that are open."""
        return tuple(self._connections)

    @property
    def site(self) -> Site:
        """What its connections share."""
        verify = None if self._signatures is None else self._signatures.verify
        return Site(
            call=self._call,
            withdraw=self._protocol.withdraw,
            turned_away=self._protocol.turned_away,
            admin=self._admin.answer,
            wall=self.sqs.clock.wall,
            connections=self._connections,
            verify=verify,
            patience=self._patience,
        )

    async def listen(self, host: str, port: int) -> None:
        """Start to listen on the first address that `host` stands for; port 0 takes a free one.

        Raises:
            OSError: the address is taken or not ours.
        """
        site = self.site
        # Looked up here, once, because a loop that is given a name starts threads to look it up.
        address = str(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][4][0])
        if self._tls is None:
            loop = asyncio.get_running_loop()
            self._listener = await loop.create_server(lambda: Connection(site), address, port)
            self.port = self._listener.sockets[0].getsockname()[1]
        else:
            listening = listening_socket(address, port)
            self._tls_port = TLSPort(listening, lambda: Connection(site), self._tls, self._patience)
            self.port = self._tls_port.port
        scheme = "http" if self._tls is None else "https"
        self.sqs.url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    async def close(self) -> None:
        """Stop listening, end all connections and timers; parked polls take nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._listener is not None:
            self._listener.close()
        if self._tls_port is not None:
            await self._tls_port.close()
        await self._end_connections()
        if self._listener is not None:
            await self._listener.wait_closed()
        if self._store is not None:
            self._store.close()

    async def _end_connections(self) -> None:
        open_ones = self.connections
        for connection in open_ones:
            connection.abort()
        await asyncio.gather(*(connection.ended for connection in open_ones))

    def _call(
        self, target: str, body: bytes, *, client: str, answer: Callable[[Reply], None], alive: Callable[[], bool]
    ) -> Parked | None:
        parked = self._protocol.call(target, body, client=client, answer=answer, alive=alive)
        self._arm()
        return parked

    def _kept(self) -> Refusal | None:
        """Write what is about to be answered into the data file, or say why that cannot be.

        The operation has been done in memory all the same, as it may have been on AWS when an answer is an error; a
        later flush writes it.
        """
        try:
            if self._store is not None:
                self._store.flush()
        except sqlite3.Error as error:
            return Refusal("InternalFailure", f"The data file cannot be written: {error}.")
        return None

    def _arm(self) -> None:
        """Have the timer ring at the next known time, or earlier: one ring too many costs less than moving it often."""
        at = self._parking.next()
        if at is None or (self._timer is not None and self._timer_at <= at):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        delay = max(0.0, at - self.sqs.clock.lease())
        self._timer = asyncio.get_running_loop().call_later(delay, self._ring)

    def _ring(self) -> None:
        self._timer = None
        try:
            self._parking.wake(self.sqs.clock.lease())
            if self._store is not None:
                self._store.flush()  # what time alone has done
        except sqlite3.Error as error:
            _logger.error("the data file cannot be written; the next call tries again: %s", error)  # noqa: TRY400 -- a full disk is no bug
        finally:
            self._arm()  # whatever went wrong with one poll, the others are still to be woken


async def start(
    host: str = HOST,
    port: int = 0,
    *,
    clock: Clock = SYSTEM,
    log: EventLog | None = None,
    keys: Mapping[str, str] | None = None,
    data: str | Path | None = None,
    profile: Profile = AWS,
    seed: int = 0,
    faults: Faults | None = None,
    tls: ssl.SSLContext | None = None,
) -> Server:
    """Start a local SQS on the running loop.

    Args:
        host: the address to listen on; loopback unless you know why.
        port: 0 takes a free one.
        clock: what time it is; its lease clock must move with real time, because the timers of the loop do.
        log: where events go; a new one by default.
        keys: secret access keys by access key id, by one of which every request must be signed; None verifies none.
        data: the file that keeps queues and messages over restarts, made if it is not there; None keeps nothing.
        profile: how kind it is.
        seed: of everything that is left to chance, but for the fault script's own.
        faults: which calls fail; none by default. `Server.faults` and an admin call change it later.
        tls: the server's side of TLS, such as `tls.server_context(cert, key)`; None speaks plain HTTP.

    Raises:
        OSError: the address is taken or not ours.
        ConfigurationError: the data file cannot be used; see `Store`.
    """
    signatures = None if keys is None else Signatures(keys, clock)
    store = None if data is None else Store(data, clock)
    queues = Queues(clock=clock, log=log, witness=store, profile=profile, seed=seed)
    server = Server(queues, signatures=signatures, store=store, faults=faults, tls=tls)
    try:
        if store is not None:
            store.load(server.sqs)
        await server.listen(host, port)
    except BaseException:
        await server.close()
        raise
    return server


def run(
    host: str = HOST,
    port: int = PORT,
    *,
    ready: Callable[[str], None] | None = None,
    until: int | None = None,
    keys: Mapping[str, str] | None = None,
    data: str | Path | None = None,
    profile: Profile = AWS,
    seed: int = 0,
    faults: Faults | None = None,
    log: EventLog | None = None,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, or until a pipe ends.

    Args:
        host: the address to listen on.
        port: 0 takes a free one.
        ready: called once with the URL, when it listens.
        until: a file descriptor of a pipe or socket, such as 0: at its end the server ends. A child that reads its
            parent's pipe does not outlive the parent.
        keys: see `start`.
        data: see `start`.
        profile: see `start`.
        seed: see `start`.
        faults: see `start`.
        log: see `start`.
        tls: see `start`.

    Raises:
        OSError: the address is taken or not ours.
        PermissionError: `until` is a plain file, which cannot be watched.
        ConfigurationError: the data file cannot be used.

    Thread: main; blocks until the end. Starts no thread.
    """
    started = start(host, port, log=log, keys=keys, data=data, profile=profile, seed=seed, faults=faults, tls=tls)
    asyncio.run(_serve(started, ready, until))


async def _serve(
    started: Coroutine[None, None, Server], ready: Callable[[str], None] | None, until: int | None
) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    server = await started
    try:
        if until is not None:
            os.set_blocking(until, False)
            loop.add_reader(until, _read_to_end, until, ended)
        if ready is not None:
            ready(server.url)
        await ended.wait()
    finally:
        if until is not None:
            loop.remove_reader(until)
        await server.close()


def _read_to_end(pipe: int, ended: asyncio.Event) -> None:
    try:
        if os.read(pipe, _CHUNK):
            return
    except BlockingIOError:
        return
    ended.set()
