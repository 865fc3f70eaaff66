"""Opening a connection on a loop: the name, its addresses one after the other, TCP and TLS.

Rules of this file:
- Nothing here blocks and nothing starts a thread: the loop's own ways to a name or to a connection may ask their
  resolver threads, so names go to the resolver that is given, and sockets are connected by themselves.
- A connection has one time limit for all of it.
"""

from __future__ import annotations

import asyncio
import errno
import math
import os
import random
import socket
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

from hadoken.clock import SYSTEM
from hadoken.sqs.kept import MAX_AGE, PROBES
from hadoken.sqs.line import Line, Owner
from hadoken.sqs.target import Target
from hadoken.sqs.tls import Tls

Address: TypeAlias = tuple[int, int, int, str, Any]  # as socket.getaddrinfo gives it
Resolve: TypeAlias = "Callable[[str, int], asyncio.Future[list[Address]]]"

BUFFER: Final = 262_144  # bytes of one read, at most; one buffer serves all connections
# OpenSSL's words for bytes that are no TLS.
_NOT_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"})
_LEAST_TRY: Final = 1.2  # seconds for one of several addresses: a lost SYN is repeated after one second
_KNOWN_FOR: Final = 10.0  # seconds in which connections share one look-up; hundreds are opened at once at boot


def addresses_of(host: str, port: int) -> list[Address]:
    """Look a name up. Blocks: for the thread behind a `Resolve`."""
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


class Dialler:
    """Opens the connections to one endpoint.

    Args:
        loop: where they live.
        target: where they lead.
        context: of TLS; None for plain HTTP.
        resolve: looks names up, without blocking.
        seconds: for a connection, from its name to its TLS.

    Thread: that of the loop.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        target: Target,
        context: ssl.SSLContext | None,
        resolve: Resolve,
        seconds: float,
    ) -> None:
        self._loop = loop
        self._target = target
        self._context = context
        self._resolve = resolve
        self._seconds = seconds
        self._buffer = memoryview(bytearray(BUFFER))
        self._looking: asyncio.Future[list[Address]] | None = None
        self._known: list[Address] = []
        self._known_until = -math.inf
        self._session: ssl.SSLSession | None = None
        self._session_until = -math.inf

    async def open(self, owner: Owner) -> Line:
        """Open a connection.

        Raises:
            OSError: there is none, for the reason that `reason_of` says; TimeoutError among them.
        """
        place = f"{self._target.host}:{self._target.port}"
        stage = f"the look-up of {self._target.host}"
        try:
            async with asyncio.timeout(self._seconds) as limit:
                addresses = await self._addresses()
                stage = f"the connection to {place}"
                sock = await self._first_that_answers(addresses, limit.when() or math.inf)
                stage = f"the TLS handshake with {place}"
                return await self._line(owner, sock)
        except TimeoutError:
            self._known_until = -math.inf
            raise TimeoutError(f"{stage} took more than {self._seconds:g} s") from None
        except OSError:
            self._known_until = -math.inf
            raise

    def remember(self, line: Line) -> None:
        """Keep the TLS session of a line that has given an answer, for the next one."""
        if line.tls is not None and self._session_until < self._loop.time():
            self._session = line.tls.session
            self._session_until = line.good_until

    async def _addresses(self) -> list[Address]:
        host, port = self._target.host, self._target.port
        if self._known_until > self._loop.time():
            return self._known
        numeric = _numeric(host, port)
        if numeric:
            return numeric
        if self._looking is None:
            self._looking = self._resolve(host, port)
            self._looking.add_done_callback(self._looked)
        self._known = await asyncio.shield(self._looking)
        self._known_until = self._loop.time() + _KNOWN_FOR
        return self._known

    def _looked(self, looking: asyncio.Future[list[Address]]) -> None:
        self._looking = None
        if not looking.cancelled():
            looking.exception()  # those who waited may all have given up: then nobody else asks for it

    async def _first_that_answers(self, addresses: Sequence[Address], until: float) -> socket.socket:
        """Connect to one address after the other; one that is silent leaves time for those after it."""
        trouble: OSError = OSError("the name has no address")
        for at, address in enumerate(addresses):
            left = until - self._loop.time()
            try:
                async with asyncio.timeout(max(_LEAST_TRY, left / (len(addresses) - at))):
                    return await _connected(self._loop, address)
            except TimeoutError:
                trouble = TimeoutError("no answer")
            except OSError as error:
                trouble = error
        raise trouble

    async def _line(self, owner: Owner, sock: socket.socket) -> Line:
        context = self._context
        session = self._session if self._session_until > self._loop.time() else None
        try:
            tls = None if context is None else Tls(context, self._target.host, session)
        except BaseException:
            sock.close()
            raise
        line = Line(owner, self._buffer, tls, self._loop)
        connecting = self._loop.create_task(self._loop.create_connection(lambda: line, sock=sock))
        connecting.add_done_callback(partial(self._handed_over, sock))
        try:
            await asyncio.shield(connecting)  # a matter of a turn or two; cancelled, nobody knows whose the socket is
            await line.ready
        except BaseException:
            line.close()
            raise
        # Not all at once, where all were opened at once. The certificate is looked at again by the next one.
        age = random.uniform(0.8, 1.0) * MAX_AGE  # noqa: S311 -- spreads load, guards nothing
        if tls is not None:
            age = min(age, tls.expires() - SYSTEM.wall())
        line.good_until = self._loop.time() + age
        return line

    def _handed_over(self, sock: socket.socket, _: object) -> None:
        # The loop has the socket now. uvloop closes it by its number, and an object that is left would do so again,
        # when that may be the number of another file.
        if not isinstance(self._loop, asyncio.BaseEventLoop):
            sock.detach()


def reason_of(error: BaseException, target: Target) -> str:
    """Say why there is no connection."""
    place = f"{target.host}:{target.port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {place} is refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        hint = "; does it speak plain HTTP?" if error.reason in _NOT_TLS else ""
        return f"TLS with {place} failed: {error.reason or error}{hint}"
    if isinstance(error, socket.gaierror):
        return f"the name {target.host} cannot be resolved: {error.strerror}"
    if isinstance(error, TimeoutError):
        return f"no connection in time: {error}"
    if isinstance(error, OSError):
        return f"no connection to {place}: {error.strerror or error}"
    return f"no connection to {place}: {type(error).__name__}: {error}"


def _numeric(host: str, port: int) -> list[Address]:
    """The address that a host is already; empty where it is a name."""
    try:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))
    except (OSError, UnicodeError):
        return []


async def _connected(loop: asyncio.AbstractEventLoop, address: Address) -> socket.socket:
    family, kind, protocol, _, place = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)  # noqa: FBT003 -- its only argument
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in PROBES:
            if hasattr(socket, name):  # not on every system
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        await _connect(loop, sock, place)
    except BaseException:
        sock.close()
        raise
    return sock


async def _connect(loop: asyncio.AbstractEventLoop, sock: socket.socket, place: Any) -> None:  # noqa: ANN401 -- of any family
    code = sock.connect_ex(place)
    if code in {errno.EINPROGRESS, errno.EWOULDBLOCK}:
        await _writable(loop, sock)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


async def _writable(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    written: asyncio.Future[None] = loop.create_future()
    loop.add_writer(sock.fileno(), _done, written)
    try:
        await written
    finally:
        loop.remove_writer(sock.fileno())


def _done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
