"""HTTP/1.1 for botocore's requests, in the calling thread: one write, and reads straight into httptools.

botocore sends through urllib3 and http.client: two writes a request, a handful of short reads, headers read by a parser
for mail. That is half of what a call costs, and each of these steps lets go of the interpreter lock and queues for it
again (in a worker at full load: 132 us of CPU a message that way, 80 us this way). Its event `before-send` lets
a handler answer in its place; all else about the client stays botocore's: credentials, endpoints, signing, parsing.

Rules of this file:
- One request is sent once. Errors are botocore's own, so that whoever calls sees no difference.
- Where the way is not clear (`is_way_clear`), botocore sends as ever.
- A connection is used by one thread at a time, and again only after an answer that was read to its end.
"""

from __future__ import annotations

import select
import socket
import ssl
import weakref
from functools import cached_property
from typing import Any, NamedTuple

import httptools
from botocore import exceptions as errors
from botocore.awsrequest import AWSResponse
from botocore.handlers import BUILTIN_HANDLERS
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies

from hadoken.clock import SYSTEM
from hadoken.sqs.target import Target, target_of

CHUNK = 65_536  # bytes of one read: ten small messages fit
IDLE = 1.0  # seconds after which a connection is looked at before it is used: the other side may have closed it


class Exchange:
    """Sends the requests of one client over connections that are kept open.

    Args:
        connect_timeout, read_timeout: seconds; of a connection, and of each read.
        ca_bundle: path of the certificates to trust; None trusts those that botocore does.

    Thread: any, several at once; a call blocks until the answer.
    """

    def __init__(self, *, connect_timeout: float, read_timeout: float, ca_bundle: str | None = None) -> None:
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._ca_bundle = ca_bundle
        self._idle: list[Line] = []
        self._closed = False
        # Clients of botocore are often just dropped: then their connections close with them, as urllib3's do.
        weakref.finalize(self, _close_all, self._idle)

    def __call__(self, request: Any, **_: object) -> AWSResponse:  # noqa: ANN401 -- botocore ships no types
        """Answer botocore's event `before-send`: send the request and return its answer, whatever the status.

        Raises:
            EndpointConnectionError, ConnectTimeoutError, ReadTimeoutError, ConnectionClosedError, SSLError: botocore's.
            ValueError: a header holds a line break.
        """
        url: str = request.url
        target = target_of(url)
        data = _written(request, target)
        line = self._idle_line(target) or self._connect(target, url)
        try:
            try:
                answer = line.exchange(data)
            except Stale:
                line.close()
                line = self._connect(target, url)
                answer = line.exchange(data)
        except BaseException as error:
            line.close()
            if isinstance(error, (OSError, httptools.HttpParserError)):
                raise _broken(request, error) from error
            raise
        if answer.keep_alive:
            self._keep(line)
        else:
            line.close()
        return AWSResponse(url, answer.status, answer.headers, answer)

    def close(self) -> None:
        """Close all connections, those in use as soon as their answer is there; a later call opens one for itself."""
        self._closed = True
        _close_all(self._idle)

    def _keep(self, line: Line) -> None:
        line.idle_since = SYSTEM.lease()
        self._idle.append(line)
        if self._closed:  # asked for only now: `close` may have run while the answer was read
            self.close()

    def _idle_line(self, target: Target) -> Line | None:
        """The connection used last, which is the one least likely to have been closed by the other side."""
        while (line := _last(self._idle)) is not None:
            if line.leads_to(target) and line.is_usable():
                return line
            line.close()
        return None

    def _connect(self, target: Target, url: str) -> Line:
        sock: socket.socket | None = None
        try:
            sock = socket.create_connection((target.host, target.port), timeout=self._connect_timeout)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a long poll is silence, which some routers end
            if target.tls:
                sock = self._tls.wrap_socket(sock, server_hostname=target.host)
            sock.settimeout(self._read_timeout)
            return Line(sock, target)
        except OSError as error:
            if sock is not None:
                sock.close()
            raise _no_connection(url, error) from error

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self._ca_bundle or get_cert_path(True))  # noqa: FBT003 -- its only argument


class Stale(ConnectionError):
    """A connection that was kept open turned out to be closed: the request is sent once more on a new one.

    The other side may have applied it all the same; everything that is asked of SQS bears to be asked twice, for a
    message is delivered at least once in any case.
    """


class Line:
    """One connection, and the answer that is being read from it; httptools calls the methods named `on_`.

    Attributes:
        idle_since: lease clock of its last use.
    """

    def __init__(self, sock: socket.socket, target: Target) -> None:
        self.idle_since = 0.0
        self._sock = sock
        self._end = target[:3]
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[tuple[str, str]] = []
        self._body: list[bytes] = []
        self._answer: Answer | None = None
        self._used = False
        self._open_ended = False

    def exchange(self, data: bytes) -> Answer:
        """Send one request and read its answer.

        Raises:
            Stale: an earlier answer was read here, and nothing came of this one.
        """
        used, self._used = self._used, True
        try:
            self._sock.sendall(data)
            chunk = self._sock.recv(CHUNK)
        except ConnectionError as error:
            raise Stale(str(error)) if used else error from error
        if not chunk and used:
            raise Stale("the other side had closed the connection")
        while True:
            self._feed(chunk)
            answer = self._taken()
            if answer is not None:
                return answer
            chunk = self._sock.recv(CHUNK)

    def _feed(self, chunk: bytes) -> None:
        """Read on; the end of the connection may be the end of an answer that did not announce its length."""
        if chunk:
            self._parser.feed_data(chunk)
        elif self._open_ended:
            self._answer = Answer(self._parser.get_status_code(), dict(self._headers), self._body, keep_alive=False)
        else:
            raise ConnectionResetError("the other side closed the connection")

    def on_message_begin(self) -> None:
        """Begin an answer."""
        self._open_ended = False

    def on_headers_complete(self) -> None:
        """See whether the headers say where the answer ends."""
        names = {name.lower() for name, _ in self._headers}
        self._open_ended = not names & {"content-length", "transfer-encoding"} and self._parser.get_status_code() >= 200

    def leads_to(self, target: Target) -> bool:
        """Whether requests to this target may use it."""
        return self._end == target[:3]

    def is_usable(self) -> bool:
        """Whether it is likely to be open still; what can be read from an idle connection is its end."""
        if SYSTEM.lease() - self.idle_since < IDLE:
            return True
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Close it."""
        self._sock.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep one header."""
        self._headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_body(self, body: bytes) -> None:
        """Keep one part of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Close the answer; one of the 1xx kind only says that the real one will come."""
        status = self._parser.get_status_code()
        if status >= 200:
            self._answer = Answer(status, dict(self._headers), self._body, self._parser.should_keep_alive())
        self._headers, self._body = [], []

    def _taken(self) -> Answer | None:
        """The answer, if it is complete; a line keeps nothing of it (I8)."""
        answer, self._answer = self._answer, None
        return answer


class Answer(NamedTuple):
    """An answer as it was read; botocore takes its body from `stream`."""

    status: int
    headers: dict[str, str]
    body: list[bytes]
    keep_alive: bool

    def stream(self) -> list[bytes]:
        """The body in parts."""
        return self.body


def is_way_clear(url: str) -> bool:
    """Whether we may send to this endpoint: not by way of a proxy, nor where something else answers `before-send`.

    Libraries that answer in the place of AWS are among botocore's built-in handlers, and botocore would call both.
    """
    return not get_environ_proxies(url) and not any(
        str(name).startswith("before-send") for name, *_ in BUILTIN_HANDLERS
    )


def _written(request: Any, target: Target) -> bytes:  # noqa: ANN401 -- botocore ships no types
    """The request as bytes; head and body in one piece, so that one write sends it."""
    lines = [f"{request.method} {target.path} HTTP/1.1\r\nHost: {target.name}\r\nAccept-Encoding: identity\r\n"]
    for name, value in request.headers.items():
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        if "\n" in text or "\r" in text:
            raise ValueError(f"header {name} holds a line break")
        lines.append(f"{name}: {text}\r\n")
    lines.append("\r\n")
    body = request.body or b""
    return "".join(lines).encode("latin-1") + (body.encode() if isinstance(body, str) else body)


def _last(lines: list[Line]) -> Line | None:
    """Take the last line, unless another thread was faster."""
    try:
        return lines.pop()
    except IndexError:
        return None


def _close_all(lines: list[Line]) -> None:
    while (line := _last(lines)) is not None:
        line.close()


def _broken(request: Any, error: Exception) -> errors.BotoCoreError:  # noqa: ANN401 -- botocore ships no types
    """The error of botocore that stands for an exchange that was cut short."""
    if isinstance(error, TimeoutError):
        return errors.ReadTimeoutError(endpoint_url=request.url, error=error)
    return errors.ConnectionClosedError(endpoint_url=request.url, request=request, error=error)


def _no_connection(url: str, error: OSError) -> errors.BotoCoreError:
    """The error of botocore that stands for a connection that was not made."""
    if isinstance(error, ssl.SSLError):
        return errors.SSLError(endpoint_url=url, error=error)
    if isinstance(error, TimeoutError):
        return errors.ConnectTimeoutError(endpoint_url=url, error=error)
    return errors.EndpointConnectionError(endpoint_url=url, error=error)
