"""TLS for the local SQS: its certificate, and a port that can be closed in the middle of handshakes."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from typing import TYPE_CHECKING, Final

from hadoken.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_BACKLOG: Final = 100  # connections that wait to be accepted; what asyncio takes
# Seconds for a client to answer the end of TLS with its own; most close the socket without. Guess
_FAREWELL: Final = 2.0
_PAUSE: Final = 1.0  # seconds without accepting, where no file descriptor is left; what asyncio takes
_FULL: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_logger = logging.getLogger(__name__)


def server_context(cert: Path, key: Path | None = None) -> ssl.SSLContext:
    """Load what a server shows its clients.

    Args:
        cert: PEM file of the certificate, followed by those between it and its authority, if any.
        key: PEM file of its private key; None: it stands in `cert` too.

    Raises:
        ConfigurationError: a file cannot be read, the key is encrypted, or the two do not belong together.

    Thread: any; reads files.
    """

    def no_password() -> str:
        raise ConfigurationError(f"the private key {key or cert} is encrypted", hint="give one without a password")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key, no_password)
    except OSError as error:  # ssl.SSLError is one
        which = f"{cert}" if key is None else f"{cert} with {key}"
        raise ConfigurationError(f"the certificate {which} cannot be used: {error.strerror or error}") from error
    return context


def chosen(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """What the options `--cert` and `--key` ask for; None is plain HTTP.

    Raises:
        ConfigurationError: there is a key without a certificate; see `server_context` for more.
    """
    if cert is not None:
        return server_context(cert, key)
    if key is not None:
        raise ConfigurationError(f"a private key is given, {key}, but no certificate", hint="give both")
    return None


class TLSPort:
    """Accepts connections and hands them on once their handshake is done.

    `loop.create_server(ssl=...)` knows no way to end a handshake that its client does not go on with, and its end
    would wait for it.

    Args:
        listening: the bound socket; owned from here on.
        connect: makes the protocol of a connection.
        context: see `server_context`.
        patience: seconds for a handshake.

    Attributes:
        port: where it listens.

    Thread: the running loop.
    """

    def __init__(
        self,
        listening: socket.socket,
        connect: Callable[[], asyncio.Protocol],
        context: ssl.SSLContext,
        patience: float,
    ) -> None:
        self.port: int = listening.getsockname()[1]
        self._socket = listening
        self._connect = connect
        self._context = context
        self._patience = patience
        self._handshakes: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.ensure_future(self._accept())

    async def close(self) -> None:
        """Stop listening and cut off the handshakes; connections that stand stay."""
        ending = [self._accepting, *self._handshakes]
        for task in ending:
            task.cancel()
        await asyncio.wait(ending)
        self._socket.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, address = await loop.sock_accept(self._socket)
            except ConnectionError:
                continue  # gone again before it was accepted
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                _logger.error("no connection can be accepted for now: %s", error)  # noqa: TRY400 -- a limit is no bug
                await asyncio.sleep(_PAUSE)
                continue
            task = asyncio.ensure_future(self._shake_hands(client, f"{address[0]}:{address[1]}"))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, client: socket.socket, who: str) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._connect,
                client,
                ssl=self._context,
                ssl_handshake_timeout=self._patience,
                ssl_shutdown_timeout=_FAREWELL,
            )
        except OSError as error:  # ssl.SSLError, ConnectionError
            _logger.info("the TLS handshake with %s failed: %s", who, error)


def listening_socket(address: str, port: int) -> socket.socket:
    """Bind a socket and listen; port 0 takes a free one.

    Raises:
        OSError: the address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.create_server((address, port), family=family, backlog=_BACKLOG)
    listening.settimeout(0)  # no call on it blocks
    return listening
