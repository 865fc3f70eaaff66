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
import logging
import select
import socket
import struct
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

import httptools

from hadoken.local.faults import SOUND
from hadoken.local.http import protocol, replies
from hadoken.local.http.admin import PREFIX
from hadoken.local.state.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hadoken.local.http.protocol import Reply
    from hadoken.local.state.parking import Parked

MAX_HEAD: Final = 65_536
# A batch of 1 MiB, each character written as a six-byte escape, with room for base64 and names.
MAX_BODY: Final = 8 * 1_048_576
# What may follow a head on the wire: a body in chunks brings their sizes and trailers with it.
_MAX_REST: Final = 2 * MAX_BODY
# Requests read ahead on one connection before we stop reading. Guess; boto3 sends one at a time.
MAX_AHEAD: Final = 32
# Seconds for a request to be complete once it has begun, and for a client to read an answer that fills its socket.
# Guess: an SDK sends a request at once, and gives up an answer after 60 s.
PATIENCE: Final = 30.0
_LINGER: Final = 2.0  # seconds to go on reading behind a refusal, so that the kernel does not drop it. Guess
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER of zero seconds: what is not sent is dropped, RST is sent
_logger = logging.getLogger(__name__)
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
        turned_away: notes a request that was refused before it was an operation: its target, client, and answer.
        admin: answers what is not for SQS, given the request and the address it comes from.
        wall: seconds since 1970, for the Date header.
        connections: all that are open.
        verify: raises a `Refusal` if a request is not signed as it must be; None where signatures are not required.
        patience: see `PATIENCE`.
    """

    call: Callable[..., Parked | None]
    withdraw: Callable[[Parked], object]
    turned_away: Callable[[str, str, Reply], None]
    admin: Callable[[HTTPRequest, str], Reply]
    wall: Callable[[], float]
    connections: set[Connection]
    verify: Callable[[HTTPRequest], None] | None = None
    patience: float = PATIENCE


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
        self._host = self._client = ""
        self._fd = -1
        self._ahead: deque[HTTPRequest] = deque()
        self._busy = False
        self._running = False
        self._parked: Parked | None = None
        self._closing = False
        self._full = False
        self._number = 0
        self._completed = False
        self._begun = False
        # What ends a request that does not come, answers that are not read, a delay of a fault, a refusal's reading on.
        self._incomplete: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._delayed: asyncio.TimerHandle | None = None
        self._lingering: asyncio.TimerHandle | None = None
        self._begin()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember who it is."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 -- narrows the type; a server makes no other
        self._transport = transport
        self._host, port = transport.get_extra_info("peername")[:2]
        self._client = f"{self._host}:{port}"
        self._fd = transport.get_extra_info("socket").fileno()
        self._site.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- why it ended changes nothing
        """Withdraw what waits; drop what was read ahead."""
        self._closing = True
        self._transport = None
        for timer in (self._incomplete, self._unread, self._lingering):
            if timer is not None:
                timer.cancel()
        self._site.connections.discard(self)
        self.ended.set_result(None)
        self._drop()

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
            self._bound(len(data))
        self._watch()
        self._run()

    def pause_writing(self) -> None:
        """The client does not read its answers: do no more requests, and do not keep what it does not want for ever."""
        self._full = True
        self._unread = asyncio.get_running_loop().call_later(self._site.patience, self.abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        self._full = False
        if self._unread is not None:
            self._unread.cancel()
        self._run()

    # What httptools calls.

    def on_message_begin(self) -> None:
        """Start a request."""
        self._begin()
        self._begun = True

    def on_url(self, url: bytes) -> None:
        """Collect the path."""
        self._path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the headers of the head; those behind a body in chunks would change what its head said."""
        if self._in_head:
            self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Let a client send the body that it announced, unless it is too long."""
        self._part_bytes = 0
        self._in_head = False
        length = self._headers.get(b"content-length", b"")
        if length.isdigit() and (len(length) > len(str(MAX_BODY)) or int(length) > MAX_BODY):
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A body is at most {MAX_BODY} bytes.")
        elif self._headers.get(b"expect", b"").lower() == b"100-continue":
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
        self._begun = False
        if self._incomplete is not None:
            self._incomplete.cancel()
            self._incomplete = None
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
        self._in_head = True
        self._part_bytes = 0  # read so far: of the head, then of what follows it, sizes of chunks and trailers included

    def _header(self, name: bytes) -> str:
        return self._headers.get(name, b"").decode("latin-1")

    def _bound(self, size: int) -> None:
        if self._completed:
            return  # how much of this chunk belongs to the request after it is not known, and the next one will count
        self._part_bytes += size
        if not self._in_head:
            if self._part_bytes > _MAX_REST:
                self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A body is at most {MAX_BODY} bytes.")
        elif self._part_bytes > MAX_HEAD:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"A head is at most {MAX_HEAD} bytes.")

    def _watch(self) -> None:
        """Give a request that has begun its time to be complete; one that comes in one piece needs no timer."""
        if self._begun and self._incomplete is None and not self._closing:
            self._incomplete = asyncio.get_running_loop().call_later(self._site.patience, self._give_up)

    def _give_up(self) -> None:
        self._incomplete = None
        if self._busy or self._ahead:
            self._watch()  # it may wait behind others, which are ours to answer
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "The request did not come to its end in time.")

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
        try:
            self._dispatch(request)
        except Exception:
            _logger.exception("a request of %s failed by a fault of the local SQS", self._client)
            if self._busy:
                text = "The local SQS failed; its log says why."
                self._answer(request, protocol.refused(Refusal("InternalFailure", text)))

    def _dispatch(self, request: HTTPRequest) -> None:
        answer = functools.partial(self._answer, request)
        if request.method == b"GET" or request.path.startswith(PREFIX):
            answer(self._site.admin(request, self._host))
        elif request.method != b"POST":
            answer(protocol.refused(Refusal("UnknownOperationException", "SQS takes POST requests only.")))
        elif (refusal := replies.not_spoken(request.content_type) or self._denied(request)) is not None:
            self._site.turned_away(request.target, self._client, refusal)
            answer(refusal)
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
        self._parked = None
        if self._closing:
            return  # a poll that takes messages although its client is gone, and what was refused meanwhile
        self._number += 1
        if reply.fault is SOUND:
            data = replies.whole(reply, self._request_id(), self._site.wall(), keep_alive=request.keep_alive)
            self._send(data, keep_alive=request.keep_alive)
        elif reply.fault.delay:
            loop = asyncio.get_running_loop()
            self._delayed = loop.call_later(reply.fault.delay, self._spoil, request, reply)
        else:
            self._spoil(request, reply)

    def _spoil(self, request: HTTPRequest, reply: Reply) -> None:
        """Answer as a fault wants it. A call that hangs keeps the connection busy until its client gives up."""
        if reply.fault.answer == "hang" or self._transport is None:
            return
        if reply.fault.silent:
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.abort()
            return
        sent = replies.spoilt(reply, self._request_id(), self._site.wall(), keep_alive=request.keep_alive)
        self._send(sent.data, keep_alive=sent.keep_alive)

    def _send(self, data: bytes, *, keep_alive: bool) -> None:
        self._busy = False
        self._write(data)
        if not keep_alive:
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
        """Answer what is no SQS request at all, and end the connection, but let the client read the answer."""
        if self._closing or self._transport is None:
            return
        self._closing = True
        self._drop()
        reply = protocol.refused(Refusal("SerializationException", text))._replace(status=status, query_error="")
        self._write(replies.whole(reply, self._request_id(), self._site.wall(), keep_alive=False))
        if self._transport.can_write_eof():  # TLS cannot; its client learns from Content-Length where the answer ends
            self._transport.write_eof()
        self._lingering = asyncio.get_running_loop().call_later(_LINGER, self.abort)

    def _drop(self) -> None:
        """Forget what nobody can be answered any more: the poll that waits, the late answer, what was read ahead."""
        self._ahead.clear()
        if self._delayed is not None:
            self._delayed.cancel()
        if self._parked is not None:
            self._site.withdraw(self._parked)
            self._parked = None

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
