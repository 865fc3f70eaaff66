"""The other side of a connection, by a script: a server for one test that answers as it likes, or does not.

One answer of the script is taken for each request that has come whole, whatever connection it came by. An answer is
bytes, or a function of the `Served` connection that does something worse.
"""

from __future__ import annotations

import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Final, Self

LIMIT: Final = 10.0  # seconds for anything here that waits
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


class HungUp(Exception):
    """An action is through with its connection."""


class Served:
    """One connection as the other side sees it, known by the port that it comes from."""

    def __init__(self, peer: Peer, sock: socket.socket) -> None:
        self.peer = peer
        self.port: int = sock.getpeername()[1]
        self.sock = sock
        self._rest = b""

    def request(self) -> bytes:
        """Read one whole request; empty where the connection has ended."""
        data = self._rest
        while (found := _whole(data)) is None:
            part = self.sock.recv(65_536)
            if not part:
                return b""
            data += part
        self._rest = data[found:]
        return data[:found]

    def send(self, data: bytes) -> None:
        """Send all of it, unless the client has gone."""
        try:
            self.sock.sendall(data)
        except OSError:
            raise HungUp from None

    def wait_for_end(self) -> None:
        """Wait until the client gives up, or the test ends."""
        while not self.peer.ending.is_set():
            try:
                self.sock.settimeout(0.05)
                if not self.sock.recv(65_536):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        raise HungUp


Action = bytes | Callable[[Served], None]


def hang_up(_: Served) -> None:
    """Close without an answer."""
    raise HungUp


def reset(served: Served) -> None:
    """Break the connection off, so that the client sees an error and not an end."""
    served.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise HungUp


def silence(served: Served) -> None:
    """Give no answer."""
    served.wait_for_end()


def then_hang_up(data: bytes) -> Action:
    """Answer, then close, whatever the answer announced."""

    def act(served: Served) -> None:
        served.send(data)
        raise HungUp

    return act


def split(data: bytes, at: int) -> Action:
    """Answer in two pieces."""

    def act(served: Served) -> None:
        served.send(data[:at])
        served.peer.ending.wait(0.001)
        served.send(data[at:])

    return act


def drip(data: bytes, *, pause: float = 0.02) -> Action:
    """Answer a byte at a time, then go on with zeros until the client gives up."""

    def act(served: Served) -> None:
        sent = 0
        while not served.peer.ending.wait(pause):
            served.send(data[sent : sent + 1] or b"0")
            sent += 1

    return act


def endless(head: bytes, chunk: bytes) -> Action:
    """Answer as fast as it is read, without end."""

    def act(served: Served) -> None:
        served.send(head)
        while not served.peer.ending.is_set():
            served.send(chunk)

    return act


class Peer:
    """A server on loopback that answers by a script.

    Args:
        *script: one answer each; where it has ended, connections are closed.
        tls: the context of its side.
        reads: whether it reads at all; else requests pile up.

    Attributes:
        requests: whole requests, in the order in which they came.
        ports: the port that each of them came from.
        connections: how many were accepted.
        hung_up: set once a connection was closed by us.
        ending: set when the test is over.
    """

    def __init__(self, *script: Action, tls: ssl.SSLContext | None = None, reads: bool = True) -> None:
        self.script = list(script)
        self.requests: list[bytes] = []
        self.ports: list[int] = []
        self.connections = 0
        self.hung_up = threading.Event()
        self.ending = threading.Event()
        self._tls = tls
        self._reads = reads
        self._noting = threading.Lock()  # guards what belongs together in the lists above
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://localhost:{self.port}/"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        for sock in (self._listener, *self._open):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(LIMIT)
            assert not thread.is_alive()
        self._listener.close()

    def _start(self, body: Callable[[], None]) -> None:
        thread = threading.Thread(target=body, name="peer")
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(plain)
            self._start(lambda plain=plain: self._connection(plain))

    def _connection(self, plain: socket.socket) -> None:
        plain.settimeout(LIMIT)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with closing(plain):
            try:
                sock = self._tls.wrap_socket(plain, server_side=True) if self._tls else plain
            except OSError:  # TLS is refused by the client: that is its right
                return
            self._open.append(sock)
            with closing(sock), suppress(OSError):  # a client may have gone before we ask who it is
                self._serve(Served(self, sock))
        self.hung_up.set()

    def _serve(self, served: Served) -> None:
        try:
            if not self._reads:
                self.ending.wait(LIMIT)
                return
            while self.script and (request := served.request()):
                with self._noting:
                    self.requests.append(request)
                    self.ports.append(served.port)
                    action = self.script.pop(0)
                self._answer(served, action)
        except (HungUp, OSError):
            return

    @staticmethod
    def _answer(served: Served, action: Action) -> None:
        if isinstance(action, bytes):
            served.send(action)
            if b"connection: close" in action.lower():
                raise HungUp
        else:
            action(served)


def answer(body: bytes = b"{}", *headers: str, status: str = "200 OK") -> bytes:
    """A whole answer in HTTP/1.1."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def _whole(data: bytes) -> int | None:
    """Where the first request ends; None while it has not."""
    head = data.find(b"\r\n\r\n")
    if head < 0:
        return None
    length = _LENGTH.search(data[: head + 2])
    end = head + 4 + (int(length[1]) if length else 0)
    return end if len(data) >= end else None
