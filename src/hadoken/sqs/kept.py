"""HTTP/1.1 in the calling thread: one write, few reads, over connections that are kept open.

Rules of this file:
- No thread and no lock: lists change in single steps, and a connection is used by one thread at a time.
- Every wait ends at the deadline of its exchange, however the other side spreads its bytes. Only the system's resolver
  takes the time it takes: a thread of our own would be needed to leave it behind.
- Sockets do not block by themselves: where nothing can be read or written yet, `select` waits. Under gevent that is
  gevent's own, so other greenlets run meanwhile; likewise under eventlet.
- Who takes a connection out of the idle ones owns it, and who puts it there touches it no more.
- A request is sent once; once more only where a kept connection turns out to have been closed before.
- A connection is used again only after an answer that was read to its end, and only by the process that opened it.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import weakref
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Final

from hadoken.clock import SYSTEM
from hadoken.sqs.answer import Answer, AnswerReader
from hadoken.sqs.target import Target
from hadoken.sqs.tls import expiry

CHUNK: Final = 65_536  # bytes of one read: ten small messages fit
LOOK_AFTER: Final = 1.0  # seconds of idleness after which a connection is looked at before it is used
MAX_IDLE: Final = 60.0  # seconds without use; routers forget a silent connection, the shortest after about so long
MAX_AGE: Final = 300.0  # seconds; then the name is resolved anew, so a move of the endpoint is followed. Guess
MAX_KEPT: Final = 64  # idle connections; as many threads may send in turns without opening one
# Seconds after which a silent connection is probed, and between probes, and how many are lost before it is given up:
# a poll is silent for 20 s, and some routers forget a connection so.
PROBES: Final = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
_LEAST_TRY: Final = 1.2  # seconds for one of several addresses: a lost SYN is repeated after one second

_EITHER: Final = select.POLLIN | select.POLLOUT

_Address = tuple[int, int, int, str, Any]


class NotConnected(OSError):
    """No connection came about, so nothing was sent.

    Attributes:
        cause: what was wrong: with the last of the addresses that were tried, or with TLS there.
    """

    def __init__(self, cause: OSError | UnicodeError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Stale(ConnectionError):
    """A connection that was kept open turned out to be closed: the request is sent once more on a new one.

    The other side may have applied it all the same; everything that is asked of SQS bears to be asked twice, for a
    message is delivered at least once in any case.
    """


class KeptLines:
    """Connections of one client, kept open between its requests.

    Args:
        connect_timeout: seconds for a connection with its TLS, over all addresses of a name.
        trust: makes the context of TLS; called at the first connection that needs it.

    Thread: any, several at once.
    """

    def __init__(self, *, connect_timeout: float, trust: Callable[[], ssl.SSLContext]) -> None:
        self._connect_timeout = connect_timeout
        self._trust = trust
        self._idle: list[Line] = []
        self._pid = os.getpid()
        self._closed = False
        # Clients are often just dropped: then their connections close with them.
        weakref.finalize(self, _close_all, self._idle)

    def exchange(self, target: Target, data: bytes, seconds: float) -> Answer:
        """Send a request and read its answer, whatever its status.

        Args:
            target: where to.
            data: the whole request.
            seconds: for all of it, from the first byte sent to the last one read. The time that a new connection takes
                is not counted; it has a limit of its own.

        Raises:
            NotConnected: nothing was sent.
            TimeoutError: no whole answer in time.
            OSError: the connection broke.
            BadAnswer: what came is no answer.
        """
        deadline = SYSTEM.lease() + seconds
        line = self._idle_line(target)
        if line is not None:
            try:
                return self._kept(line, _answer(line, data, deadline))
            except Stale:
                pass
            except TimeoutError:
                # What silenced it, a router that was replaced or a dead host, may have silenced all that are idle, and
                # another try would wait for the next of them.
                self._close_unused_since(deadline - seconds)
                raise
        before = SYSTEM.lease()
        line = self._connect(target)
        return self._kept(line, _answer(line, data, deadline + SYSTEM.lease() - before))

    def close(self) -> None:
        """Close all connections, those in use as soon as their answer is there; a later call opens one for itself."""
        self._closed = True
        _close_all(self._idle)

    def _kept(self, line: Line, answer: Answer) -> Answer:
        """Keep a connection that has given its answer, if it may be used again."""
        if not answer.keep_alive:
            line.close()
            return answer
        line.idle_since = now = SYSTEM.lease()
        idle = self._idle
        idle.append(line)
        if len(idle) > MAX_KEPT:
            _close_one(idle, 0)
        self._close_unused_since(now - MAX_IDLE)
        if self._closed:  # asked for only now: `close` may have run while the answer was read
            self.close()
        return answer

    def _idle_line(self, target: Target) -> Line | None:
        """The connection used last, which is the one least likely to have been closed by the other side."""
        if self._pid != os.getpid():  # after a fork these are the parent's: what we close, it still has
            _close_all(self._idle)
            self._pid = os.getpid()
        while (line := _taken(self._idle, -1)) is not None:
            if line.leads_to(target) and line.is_usable():
                return line
            line.close()
        return None

    def _close_unused_since(self, at: float) -> None:
        """Close those that have been idle since before `at`; the longest idle one is the first."""
        idle = self._idle
        # A slice, for other threads take lines out meanwhile; so the one that is closed may be another one.
        while (oldest := idle[:1]) and oldest[0].idle_since < at:
            _close_one(idle, 0)

    def _connect(self, target: Target) -> Line:
        try:
            return connected(target, self._tls if target.tls else None, self._connect_timeout)
        except (OSError, UnicodeError) as error:
            raise NotConnected(error) from error

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return self._trust()


class Line:
    """One connection, and the answer that is being read from it.

    Attributes:
        idle_since: lease clock of its last use.
        good_until: lease clock of its end; then name and certificate are looked at anew, by another one.
    """

    def __init__(self, sock: socket.socket, target: Target) -> None:
        self.idle_since = 0.0
        age = min(MAX_AGE, expiry(sock) - SYSTEM.wall()) if isinstance(sock, ssl.SSLSocket) else MAX_AGE
        self.good_until = SYSTEM.lease() + age
        self._sock = sock
        self._end = target[:3]
        self._reader = AnswerReader()
        self._used = False

    def exchange(self, data: bytes, deadline: float) -> Answer:
        """Send one request and read its answer, until `deadline` of the lease clock.

        An answer may come before the request was taken whole, where the other side does not want to read it: then the
        rest is not sent, and the connection cannot be used again.

        Raises:
            Stale: an earlier answer was read here, and nothing came of this one.
            TimeoutError, OSError, BadAnswer: as for `KeptLines.exchange`.
        """
        used, self._used = self._used, True
        try:
            early = self._send(data, deadline)
            chunk = early or self._first(deadline)
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
            if not used:
                raise
            raise Stale(str(error)) from error
        if not chunk and used:
            raise Stale("the other side had closed the connection")
        answer = self._read(chunk, deadline)
        return answer._replace(keep_alive=False) if early else answer

    def leads_to(self, target: Target) -> bool:
        """Whether requests to this target may use it."""
        return self._end == target[:3]

    def is_usable(self) -> bool:
        """Whether it is young, and likely to be open still; what can be read from an idle connection is its end."""
        now = SYSTEM.lease()
        idle = now - self.idle_since
        if idle > MAX_IDLE or now > self.good_until:
            return False
        return idle < LOOK_AFTER or not _poll(self._sock, select.POLLIN, 0)

    def close(self) -> None:
        """Close it."""
        self._sock.close()
        self._reader.close()

    def _send(self, data: bytes, deadline: float) -> bytes:
        """Send it all, or until an answer comes; returns the beginning of that one, which is empty as a rule."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._sock.send(rest) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                wait(self._sock, _EITHER, deadline)
                if early := self._early():
                    return early
            except ssl.SSLWantReadError:
                wait(self._sock, select.POLLIN, deadline)
            except (ConnectionError, ssl.SSLEOFError):
                if early := self._last_words():
                    return early
                raise
        return b""

    def _early(self) -> bytes:
        """What can be read at once; empty where nothing can.

        Raises:
            ConnectionError: the other side has closed the connection.
        """
        try:
            early = self._sock.recv(CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return b""
        if not early:
            raise ConnectionResetError("the other side closed the connection")
        return early

    def _last_words(self) -> bytes:
        """What the other side had said before it broke the connection off; empty where nothing can be read any more."""
        try:
            return self._early()
        except OSError:
            return b""

    def _first(self, deadline: float) -> bytes:
        wait(self._sock, select.POLLIN, deadline)  # nothing is there so soon
        return self._receive(deadline)

    def _read(self, chunk: bytes, deadline: float) -> Answer:
        """Read on until there is an answer."""
        reader = self._reader
        while True:
            answer = reader.feed(chunk) if chunk else reader.eof()
            if answer is not None:
                return answer
            if not chunk:
                raise ConnectionResetError("the other side closed the connection")
            if SYSTEM.lease() > deadline:  # asked for here too: bytes may come without a wait, and without an end
                raise TimeoutError("no whole answer in time")
            chunk = self._receive(deadline)

    def _receive(self, deadline: float) -> bytes:
        while True:
            try:
                return self._sock.recv(CHUNK)
            except (BlockingIOError, ssl.SSLWantReadError):
                wait(self._sock, select.POLLIN, deadline)
            except ssl.SSLWantWriteError:
                wait(self._sock, select.POLLOUT, deadline)


def _answer(line: Line, data: bytes, deadline: float) -> Answer:
    """Ask by a connection of ours, which is closed where no answer comes."""
    try:
        return line.exchange(data, deadline)
    except BaseException:
        line.close()
        raise


def connected(target: Target, tls: ssl.SSLContext | None, seconds: float) -> Line:
    """Open a connection, with TLS where a context is given, within so many seconds after the name was resolved.

    Raises:
        OSError: none of the addresses answered in time, or TLS was refused by one of the sides.
        UnicodeError: this is no name of a host.
    """
    addresses = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    deadline = SYSTEM.lease() + seconds
    sock = _first_that_answers(addresses, deadline)
    try:
        sock.settimeout(0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in PROBES:
            if hasattr(socket, name):  # not on every system
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        if tls is not None:
            sock = tls.wrap_socket(sock, server_hostname=target.host, do_handshake_on_connect=False)
            _shake_hands(sock, deadline)
        return Line(sock, target)
    except BaseException:
        sock.close()
        raise


def wait(sock: socket.socket, event: int, deadline: float) -> None:
    """Wait until a socket can be read or written.

    Raises:
        TimeoutError: it was not until `deadline` of the lease clock.
    """
    left = deadline - SYSTEM.lease()
    if left <= 0 or not _poll(sock, event, left * 1000):
        raise TimeoutError("no answer in time")


def _first_that_answers(addresses: Sequence[_Address], deadline: float) -> socket.socket:
    """Connect to one address after the other; one that is silent leaves time for those after it."""
    trouble: OSError = OSError("the name has no address")
    for at, (family, kind, protocol, _, address) in enumerate(addresses):
        left = deadline - SYSTEM.lease()
        if left <= 0:
            break
        sock = socket.socket(family, kind, protocol)
        sock.settimeout(min(left, max(_LEAST_TRY, left / (len(addresses) - at))))
        try:
            sock.connect(address)
        except OSError as error:
            sock.close()
            trouble = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise trouble


def _shake_hands(sock: ssl.SSLSocket, deadline: float) -> None:
    while True:
        try:
            sock.do_handshake()
        except ssl.SSLWantReadError:
            wait(sock, select.POLLIN, deadline)
        except ssl.SSLWantWriteError:
            wait(sock, select.POLLOUT, deadline)
        else:
            return


def _poll(sock: socket.socket, event: int, milliseconds: float) -> bool:
    if not hasattr(select, "poll"):  # eventlet takes it away: it can wait in `select` only
        reads, writes = ([sock] if event & each else [] for each in (select.POLLIN, select.POLLOUT))
        return any(select.select(reads, writes, [], milliseconds / 1000))
    poll = select.poll()  # a new one for each wait: gevent ties it to the thread that made it
    poll.register(sock, event)
    return bool(poll.poll(milliseconds))


def _taken(lines: list[Line], at: int) -> Line | None:
    """Take a line out, unless another thread was faster."""
    try:
        return lines.pop(at)
    except IndexError:
        return None


def _close_one(lines: list[Line], at: int) -> None:
    line = _taken(lines, at)
    if line is not None:
        line.close()


def _close_all(lines: list[Line]) -> None:
    while (line := _taken(lines, -1)) is not None:
        line.close()
