"""What is rare on a kept connection: TLS that must read to write, an interrupt in the middle, a deadline."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import pytest

from hadoken.clock import SYSTEM
from hadoken.sqs import kept
from hadoken.sqs.kept import KeptLines, Line, connected
from hadoken.sqs.target import target_of
from tests.support.authority import Authority
from tests.support.peer import LIMIT, Peer, answer, drip, silence

OK = answer(b"{}")
REFUSED = answer(b"too large", status="413 Payload Too Large")
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


class Hasty(list[Line]):
    """A list that another thread takes each line from as soon as it is there."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[Line] = []

    def append(self, line: Line) -> None:
        """Put it in, and lose it."""
        super().append(line)
        self.taken.append(self.pop())


def test_a_connection_that_another_thread_takes_at_once_is_its_own() -> None:
    """Whoever put it back returns its answer, and leaves it open."""
    mine = lines()
    with Peer(OK, OK) as peer:
        mine._idle = hasty = Hasty()
        target = target_of(peer.url)
        assert mine.exchange(target, ASK, LIMIT).body == b"{}"
        (line,) = hasty.taken
        with closing(line):
            assert line.exchange(ASK, SYSTEM.lease() + LIMIT).body == b"{}"
    assert peer.connections == 1


def test_after_a_silence_no_older_connection_is_trusted() -> None:
    """What took one away may have taken all: each further try would wait for the next dead one."""
    mine = lines()
    with Peer(OK, OK, silence, OK) as peer:
        target = target_of(peer.url)
        first = connected(target, None, LIMIT)
        first.exchange(ASK, SYSTEM.lease() + LIMIT)
        first.idle_since = SYSTEM.lease()
        mine.exchange(target, ASK, LIMIT)
        mine._idle.insert(0, first)
        with pytest.raises(TimeoutError):
            mine.exchange(target, ASK, 0.1)
        assert not mine._idle
        assert mine.exchange(target, ASK, LIMIT).body == b"{}"
        mine.close()
    assert (peer.connections, len(set(peer.ports))) == (3, 3)


def test_one_that_has_answered_meanwhile_is_trusted() -> None:
    """The silence of one says nothing against a connection that was used since it began."""
    mine = lines()
    with Peer(OK, silence) as peer:
        target = target_of(peer.url)
        mine.exchange(target, ASK, LIMIT)
        other = connected(target, None, LIMIT)
        other.idle_since = SYSTEM.lease() + LIMIT
        mine._idle.insert(0, other)
        with pytest.raises(TimeoutError):
            mine.exchange(target, ASK, 0.1)
        assert mine._idle == [other]
        mine.close()


class Late:
    """A clock that is so many seconds ahead of the system's."""

    def __init__(self, ahead: float) -> None:
        self._ahead = ahead

    def lease(self) -> float:
        """Seconds of the lease clock."""
        return SYSTEM.lease() + self._ahead

    def wall(self) -> float:
        """Seconds since 1970."""
        return SYSTEM.wall() + self._ahead


@pytest.mark.parametrize(("ahead", "connections"), [(0.0, 1), (40.0, 1), (50.0, 2)], ids=["now", "before", "after"])
def test_no_connection_outlives_the_certificate_of_its_server(
    tmp_path: Path, ahead: float, connections: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was trusted then is looked at again once the certificate has expired, by a new connection."""
    authority = Authority(tmp_path)
    mine = KeptLines(connect_timeout=LIMIT, trust=authority.client_context)
    with Peer(OK, OK, tls=authority.server_context(lasting=46.0)) as peer:
        target = target_of(peer.url)
        mine.exchange(target, ASK, LIMIT)
        monkeypatch.setattr(kept, "SYSTEM", Late(ahead))
        mine.exchange(target, ASK, LIMIT)
        mine.close()
    assert peer.connections == connections


def test_connections_are_probed_and_send_at_once() -> None:
    """The system's own first probe comes after two hours, when routers have long forgotten the connection."""
    with Peer() as peer, closing(connected(target_of(peer.url), None, LIMIT)) as line:
        assert line._sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        options = (socket.TCP_NODELAY, socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        assert [line._sock.getsockopt(socket.IPPROTO_TCP, one) for one in options] == [1, 30, 10, 3]


@pytest.mark.parametrize(("ahead", "connections"), [(59.0, 1), (61.0, 2)], ids=["before", "after"])
def test_a_connection_idle_for_too_long_is_not_used(
    ahead: float, connections: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A router may have forgotten it by then."""
    mine = lines()
    with Peer(OK, OK) as peer:
        target = target_of(peer.url)
        mine.exchange(target, ASK, LIMIT)
        monkeypatch.setattr(kept, "SYSTEM", Late(ahead))
        mine.exchange(target, ASK, LIMIT)
        mine.close()
    assert peer.connections == connections


def test_what_an_idle_connection_has_to_say_is_its_end() -> None:
    """It is looked at after a second without use, before anything is sent by it."""
    near, far = socket.socketpair()
    with near, far:
        line = Line(near, target_of("http://sqs.invalid/"))
        line.idle_since = SYSTEM.lease() - 2 * kept.LOOK_AFTER
        assert line.is_usable()
        far.close()
        assert not line.is_usable()
        line.idle_since = SYSTEM.lease() + LIMIT
        assert line.is_usable()  # used just now: not looked at
        line.close()


class Impatient:
    """A server that reads the beginning of one request and answers.

    Args:
        tls: the context of its side, or None.
        stays: whether it keeps the connection open after its answer; else what it has not read breaks it off.
    """

    def __init__(self, tls: ssl.SSLContext | None, *, stays: bool) -> None:
        self._tls, self._stays = tls, stays
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.target = target_of(f"{'https' if tls else 'http'}://localhost:{self._listener.getsockname()[1]}/")
        self.over = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._thread.join(LIMIT)
        assert not self._thread.is_alive()
        self._listener.close()

    def _serve(self) -> None:
        plain, _ = self._listener.accept()
        plain.settimeout(LIMIT)
        with plain, self._tls.wrap_socket(plain, server_side=True) if self._tls else plain as sock:
            sock.recv(1000)
            sock.sendall(REFUSED)
            if self._stays:
                self.over.wait(LIMIT)


@pytest.mark.parametrize(
    ("tls", "stays"), [(False, True), (False, False), (True, True)], ids=["plain", "broken off", "tls"]
)
def test_an_answer_before_the_request_is_whole_is_read(tmp_path: Path, *, tls: bool, stays: bool) -> None:
    """A proxy that refuses the size of a body says so and reads no more: its words count, and no time-out.

    TLS that is broken off may read nothing more, so there it is left to chance.
    """
    authority = Authority(tmp_path)
    context = ssl.create_default_context(cafile=str(authority.bundle))
    mine = KeptLines(connect_timeout=LIMIT, trust=lambda: context)
    with Impatient(authority.server_context() if tls else None, stays=stays) as server:
        given = mine.exchange(server.target, ASK[:-2] + bytes(32 * 1024 * 1024), LIMIT)
    assert (given.status, given.body, given.keep_alive) == (413, b"too large", False)
    assert not mine._idle


def test_bytes_that_never_make_one_wait_end_at_the_deadline() -> None:
    """The deadline holds where each read brings something at once."""
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        far.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1")
        line = Line(near, target_of("http://sqs.invalid/"))
        with pytest.raises(TimeoutError, match="no whole answer"):
            line._read(near.recv(1000), SYSTEM.lease() - 1)
        line.close()


def test_without_poll_select_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under eventlet there is no `select.poll`."""
    monkeypatch.delattr(select, "poll")
    near, far = socket.socketpair()
    with near, far:
        assert not kept._poll(near, select.POLLIN, 1)
        assert kept._poll(near, select.POLLOUT, 1)
        assert kept._poll(near, kept._EITHER, 1)
        far.sendall(b"x")
        assert kept._poll(near, select.POLLIN, LIMIT * 1000)
