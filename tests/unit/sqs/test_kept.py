"""What is rare on a kept connection: TLS that must read to write, an interrupt in the middle, a deadline."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from hadoken.clock import SYSTEM
from hadoken.sqs import kept
from hadoken.sqs.kept import KeptLines, Line, connected
from hadoken.sqs.target import target_of
from tests.support.peer import LIMIT, Peer, answer, drip, silence

OK = answer(b"{}")
ASK = b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"


def lines() -> KeptLines:
    """Connections without TLS."""
    return KeptLines(connect_timeout=LIMIT, trust=ssl.create_default_context)


class Moody:
    """A TLS socket that wants something else before each step; the other end of a pair says when it may go on."""

    def __init__(self, sock: socket.socket, *moods: type[ssl.SSLError | BlockingIOError]) -> None:
        self._sock = sock
        self.moods = list(moods)

    def fileno(self) -> int:
        """What to wait for."""
        return self._sock.fileno()

    def send(self, data: memoryview) -> int:
        """Send, after the moods."""
        self._sulk()
        return self._sock.send(data)

    def recv(self, size: int) -> bytes:
        """Receive, after the moods."""
        self._sulk()
        return self._sock.recv(size)

    def do_handshake(self) -> None:
        """Shake hands, after the moods."""
        self._sulk()

    def _sulk(self) -> None:
        if self.moods:
            raise self.moods.pop(0)("not yet")


@pytest.mark.parametrize(
    "moods",
    [
        (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError),
        (ssl.SSLWantWriteError, ssl.SSLWantReadError),
    ],
    ids=["read to write", "write to write"],
)
def test_tls_may_have_to_read_before_it_writes(moods: tuple[Any, ...]) -> None:
    """Sending, receiving and shaking hands wait for whatever TLS asks for, and go on."""
    near, far = socket.socketpair()
    with near, far:
        far.sendall(OK)  # so that there is something to be read whenever it is waited for
        sock = Moody(near, *moods)
        line = Line(sock, target_of("https://sqs.invalid/"))  # type: ignore[arg-type] # a double
        line._send(ASK, SYSTEM.lease() + LIMIT)
        assert (far.recv(len(ASK)), sock.moods) == (ASK, [])
        sock.moods = list(moods)
        assert line._receive(SYSTEM.lease() + LIMIT) == OK
        far.sendall(OK)
        sock.moods = [mood for mood in moods if mood is not BlockingIOError]
        kept._shake_hands(sock, SYSTEM.lease() + LIMIT)  # type: ignore[arg-type] # a double
        assert not sock.moods


@pytest.mark.parametrize("fault", [silence, drip(OK[:20])], ids=["silence", "dripping"])
def test_a_kept_connection_that_falls_silent_is_given_up(fault: Any) -> None:
    """No answer in time is no stale connection: the request is not sent again."""
    mine, target = lines(), None
    with Peer(OK, fault, OK) as peer:
        target = target_of(peer.url)
        assert mine.exchange(target, ASK, LIMIT).body == b"{}"
        with pytest.raises(TimeoutError):
            mine.exchange(target, ASK, 0.1)
        assert mine.exchange(target, ASK, LIMIT).body == b"{}"
        mine.close()
    assert (peer.connections, len(peer.requests)) == (2, 3)


@pytest.mark.parametrize("where", ["connect", "setsockopt"])
def test_an_interrupt_leaves_no_socket(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while a connection is made, or right after it, closes what was opened; the leak check looks."""
    made: list[socket.socket] = []

    class Interrupted(socket.socket):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            made.append(self)

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    setattr(Interrupted, where, interrupt)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(kept.socket, "socket", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            connected(target_of(f"http://127.0.0.1:{listener.getsockname()[1]}/"), None, LIMIT)
        monkeypatch.undo()
    assert [sock.fileno() for sock in made] == [-1]


def test_a_deadline_that_is_over_asks_for_no_more_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a name without any is an error, too."""
    known: Callable[..., list[Any]] = lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1))]
    monkeypatch.setattr(kept.socket, "getaddrinfo", known)
    with pytest.raises(OSError, match="no address"):
        connected(target_of("http://sqs.invalid/"), None, -1.0)
