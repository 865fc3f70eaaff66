"""HTTP/1.1 for the local SQS: one connection, its requests in order, its answers in the same order.

Rules of this file:
- Requests of one connection are done one after the other: a parked long poll holds back what was pipelined behind it.
- What a client may make us keep is bounded: head, body, and requests read ahead.
- A client that is gone takes no message: its parked poll is withdrawn, and just before a parked poll takes messages the
  socket is asked whether the other side has closed it.
"""

from __future__ import annotations

import asyncio
import functools
import select
from collections import deque
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

import httptools

from hadoken.local import protocol
from hadoken.local.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hadoken.local.parking import Parked
    from hadoken.local.protocol import Reply

MAX_HEAD: Final = 65_536
# A batch of 1 MiB, each character written as a six-byte escape, with room for base64 and names.
MAX_BODY: Final = 8 * 1_048_576
# Requests read ahead on one connection before we stop reading. Guess; boto3 sends one at a time.
MAX_AHEAD: Final = 32
_GONE: Final = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR


class HTTPRequest(NamedTuple):
    """One request as it was read; names of headers in small letters, of two with one name the last."""

    method: bytes
    path: str
    target: str
    content_type: str
    headers: Mapping[bytes, bytes]
    body: bytes
    keep_alive: bool


class Site(NamedTuple):
    """What the connections of one server share.

    Attributes:
        call: does one SQS request; see `Protocol.call`.
        withdraw: forgets a parked poll.
        get: answers a GET by its path; None where there is nothing.
        wall: seconds since 1970, for the Date header.
        connections: all that are open.
        verify: raises a `Refusal` if a request is not signed as it must be; None where signatures are not required.
    """

    call: Callable[..., Parked | None]
    withdraw: Callable[[Parked], object]
    get: Callable[[str], bytes | None]
    wall: Callable[[], float]
    connections: set[Connection]
    verify: Callable[[HTTPRequest], None] | None = None


class Connection(asyncio.Protocol):
    """One client connection.

    Attributes:
        ended: done when the connection is closed.

    Thread: the server's loop.
    """

    def __init__(self, site: Site) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._site = site
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._client = ""
        self._fd = -1
        self._ahead: deque[HTTPRequest] = deque()
        self._busy = False
        self._running = False
        self._parked: Parked | None = None
        self._closing = False
        self._full = False
        self._number = 0
        self._completed = False
        self._begin()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember who it is."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 -- narrows the type; a server makes no other
        self._transport = transport
        host, port = transport.get_extra_info("peername")[:2]
        self._client = f"{host}:{port}"
        self._fd = transport.get_extra_info("socket").fileno()
        self._site.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- why it ended changes nothing
        """Withdraw what waits; drop what was read ahead."""
        self._closing = True
        self._transport = None
        self._ahead.clear()
        self._site.connections.discard(self)
        self.ended.set_result(None)
        if self._parked is not None:
            self._site.withdraw(self._parked)
            self._parked = None

    def data_received(self, data: bytes) -> None:
        """Read requests, and do them."""
        if self._closing:
            return
        self._completed = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(HTTPStatus.BAD_REQUEST, "This server speaks HTTP/1.1 only.")
        except httptools.HttpParserError as exc:
            if not self._closing:
                self._refuse(HTTPStatus.BAD_REQUEST, f"The request cannot be read: {exc}")
        else:
            self._bound_head(len(data))
        self._run()

    def pause_writing(self) -> None:
        """The client does not read its answers: do no more requests."""
        self._full = True

    def resume_writing(self) -> None:
        """The client reads again."""
        self._full = False
        self._run()

    # What httptools calls.

    def on_message_begin(self) -> None:
        """Start a request."""
        self._begin()

    def on_url(self, url: bytes) -> None:
        """Collect the path."""
        self._path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the headers that matter."""
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Let a client send the body that it announced."""
        self._head_bytes = -1
        if self._headers.get(b"expect", b"").lower() == b"100-continue":
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Collect the body, within its bound."""
        self._body_bytes += len(body)
        if self._body_bytes > MAX_BODY:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A body is at most {MAX_BODY} bytes.")
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """Queue the request behind those before it."""
        if self._closing:
            return
        self._ahead.append(
            HTTPRequest(
                method=self._parser.get_method(),
                path=self._path.decode("latin-1"),
                target=self._header(b"x-amz-target"),
                content_type=self._header(b"content-type"),
                headers=self._headers,
                body=b"".join(self._body),
                keep_alive=self._parser.should_keep_alive(),
            )
        )
        self._begin()
        self._completed = True
        if len(self._ahead) >= MAX_AHEAD and self._transport is not None:
            self._transport.pause_reading()

    # What the server calls.

    def abort(self) -> None:
        """End the connection now, whatever the client has not read yet; a parked poll is withdrawn."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    # Ours.

    def _begin(self) -> None:
        self._path = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._head_bytes = 0

    def _header(self, name: bytes) -> str:
        return self._headers.get(name, b"").decode("latin-1")

    def _bound_head(self, size: int) -> None:
        if self._head_bytes < 0 or self._completed:
            return  # the head is complete; or how much of this chunk is head is not known, and the next one will count
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"A head is at most {MAX_HEAD} bytes.")

    def _run(self) -> None:
        """Do the requests read so far, until one has to wait."""
        if self._running:
            return  # an answer given at once; the loop below goes on
        self._running = True
        try:
            while self._ahead and not self._busy and not self._full and not self._closing:
                request = self._ahead.popleft()
                if len(self._ahead) == MAX_AHEAD - 1 and self._transport is not None:
                    self._transport.resume_reading()
                self._do(request)
        finally:
            self._running = False

    def _do(self, request: HTTPRequest) -> None:
        self._busy = True
        answer = functools.partial(self._answer, request)
        if request.method == b"GET":
            found = self._site.get(request.path)
            answer(protocol.Reply(200, found) if found is not None else _not_found(request.path))
        elif request.method != b"POST":
            answer(protocol.refused(Refusal("UnknownOperationException", "SQS takes POST requests only.")))
        elif not request.content_type.startswith(protocol.CONTENT_TYPE):
            text = f"The content type is {request.content_type or 'missing'}; SQS takes {protocol.CONTENT_TYPE}."
            answer(protocol.refused(Refusal("UnknownOperationException", text)))
        elif (denied := self._denied(request)) is not None:
            answer(denied)
        else:
            parked = self._site.call(
                request.target, request.body, client=self._client, answer=answer, alive=self._alive
            )
            self._parked = parked if self._busy else None

    def _denied(self, request: HTTPRequest) -> Reply | None:
        """The answer to a request that is not signed as it must be."""
        if self._site.verify is None:
            return None
        try:
            self._site.verify(request)
        except Refusal as refusal:
            return protocol.refused(refusal)
        return None

    def _answer(self, request: HTTPRequest, reply: Reply) -> None:
        self._busy = False
        self._parked = None
        self._number += 1
        self._write(_head(reply, self._request_id(), self._site.wall(), keep_alive=request.keep_alive) + reply.body)
        if not request.keep_alive:
            self._close()
        elif self._ahead and not self._running:
            # Not from inside the answer: the parking gives answers in the middle of its work.
            asyncio.get_running_loop().call_soon(self._run)

    def _alive(self) -> bool:
        """Whether the other side still holds the connection; asks the kernel, as a close may not have been read yet."""
        if self._transport is None or self._transport.is_closing():
            return False
        poll = select.poll()
        poll.register(self._fd, _GONE)
        return not poll.poll(0)

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        """Answer what is no SQS request at all, and end the connection."""
        reply = protocol.Reply(status, protocol.refused(Refusal("SerializationException", text)).body)
        self._write(_head(reply, self._request_id(), self._site.wall(), keep_alive=False) + reply.body)
        self._close()

    def _close(self) -> None:
        """End the connection once the client has what was written."""
        self._closing = True
        if self._transport is not None:
            self._transport.close()

    def _request_id(self) -> str:
        return f"{id(self):012x}-{self._number:08x}"

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


@functools.lru_cache(maxsize=2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


@functools.lru_cache(maxsize=32)
def _reason(status: int) -> str:
    return HTTPStatus(status).phrase


def _head(reply: Reply, request_id: str, wall: float, *, keep_alive: bool) -> bytes:
    extra = f"x-amzn-query-error: {reply.query_error}\r\n" if reply.query_error else ""
    if not keep_alive:
        extra += "Connection: close\r\n"
    return (
        f"HTTP/1.1 {int(reply.status)} {_reason(reply.status)}\r\n"
        f"x-amzn-RequestId: {request_id}\r\n"
        f"Date: {_date(int(wall))}\r\n"
        f"Content-Type: {protocol.CONTENT_TYPE}\r\n"
        f"{extra}Content-Length: {len(reply.body)}\r\n\r\n"
    ).encode("latin-1")


def _not_found(path: str) -> Reply:
    return protocol.Reply(404, protocol.refused(Refusal("UnknownOperationException", f"Nothing is at {path}.")).body)
