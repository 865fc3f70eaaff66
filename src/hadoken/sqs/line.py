"""One connection to SQS on a loop: a request goes out, its answer comes in, and then the next one.

Rules of this file:
- One request at a time; its bytes are written once and in one piece.
- Whatever ends a connection, whoever waits on it is told once: by `answered`, `again` or `fail`.
- What is read is used up before anything else is read, so all connections of a loop share one buffer.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Protocol, cast

from hadoken.sqs.answer import Answer, AnswerReader, BadAnswer
from hadoken.sqs.api import NO_ANSWER
from hadoken.sqs.tls import Tls
from hadoken.sqs.wire import UNREADABLE


class Request(Protocol):
    """What a line sends, and whom it tells what came of it.

    Attributes:
        data: the request as bytes.
        line: where it is being answered.
    """

    data: bytes
    line: Line | None

    def answered(self, answer: Answer) -> None:
        """Take the answer, whatever its status."""
        ...

    def again(self) -> None:
        """Be sent once more by a new connection: this one had been closed before the request came to it."""
        ...

    def fail(self, code: str, reason: str) -> None:
        """Take in that there will be no answer."""
        ...


class Owner(Protocol):
    """Who keeps the lines."""

    def back(self, line: Line) -> None:
        """Take back a line that has given its answer and may be used again."""
        ...

    def gone(self, line: Line) -> None:
        """Take in that a line is closed."""
        ...


class Line(asyncio.BufferedProtocol):
    """A connection, from the moment it is connected.

    Args:
        owner: who keeps it while it is idle.
        buffer: what is read into.
        tls: its TLS; None for plain HTTP.
        loop: the loop it lives on.

    Attributes:
        closed: whether it is closed.
        ready: done once requests may be sent; fails where TLS does.
        deadline: seconds of the loop's clock until which it may stay idle.
        good_until: seconds of the loop's clock after which it sends no more requests.

    Thread: that of the loop.
    """

    __slots__ = (
        "_buffer",
        "_clogged",
        "_connected",
        "_loop",
        "_owner",
        "_reader",
        "_request",
        "_transport",
        "_used",
        "closed",
        "deadline",
        "good_until",
        "ready",
        "tls",
    )

    def __init__(self, owner: Owner, buffer: memoryview, tls: Tls | None, loop: asyncio.AbstractEventLoop) -> None:
        self._owner = owner
        self._buffer = buffer
        self._loop = loop
        self._reader = AnswerReader()
        self._request: Request | None = None
        self._clogged = False  # whether bytes of ours wait to be taken by the system
        self._connected = False
        self.closed = False
        self._used = False
        self.tls = tls
        self.ready: asyncio.Future[None] = loop.create_future()
        self.deadline = self.good_until = 0.0

    def send(self, request: Request) -> None:
        """Send a request; it is told the answer."""
        self._request = request
        request.line = self
        data = request.data
        if self.tls is not None:
            try:
                data = self.tls.encrypt(data)
            except ssl.SSLError as error:
                self._broken(error)
                return
        self._transport.write(data)

    def close(self) -> None:
        """Close it. A request under way is not told: whoever closes it knows."""
        if self.closed:
            return
        idle = self._request is None
        self._end()
        self.ready.cancel()
        if not self._connected or self._loop.is_closed():  # it is closed when it is connected, or went with the loop
            return
        tls = self.tls
        if tls is not None and idle and tls.established and not self._clogged:
            self._transport.write(tls.goodbye())
            if not self._clogged:
                self._transport.close()
                return
        self._transport.abort()

    def expire(self) -> None:
        """Close it: it has been idle for long."""
        self.close()

    # ---- called by the loop ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin TLS, or be ready."""
        self._transport = cast("asyncio.Transport", transport)
        self._connected = True
        if self.closed:
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(0)  # so that `pause_writing` says whether all was sent
        if self.tls is None:
            self.ready.set_result(None)
        else:
            self._transport.write(self.tls.start())

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 -- asyncio's signature
        """Where to read into."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Read what came."""
        data = bytes(self._buffer[:nbytes])
        if self.tls is None:
            self._read(data)
        else:
            self._read_tls(self.tls, data)

    def eof_received(self) -> None:
        """Take in that the other side sends no more; the transport closes itself then."""
        # Under TLS the end is said within TLS; an end that anybody could have made completes no answer.
        self._ended(whole=self.tls is None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take in that it is closed."""
        if not self.closed:
            self._broken(exc or ConnectionResetError("the other side closed it"))

    def pause_writing(self) -> None:
        """Take in that not all was sent."""
        self._clogged = True

    def resume_writing(self) -> None:
        """Take in that all was sent."""
        self._clogged = False

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _read(self, data: bytes) -> None:
        request = self._request
        if request is None:  # nobody has asked for anything
            self.close()
            return
        try:
            answer = self._reader.feed(data)
        except BadAnswer as error:
            self.close()
            _tell(request, UNREADABLE, str(error))
            return
        if answer is not None:
            self._answered(request, answer)

    def _read_tls(self, tls: Tls, data: bytes) -> None:
        try:
            plain = tls.feed(data)
        except ssl.SSLError as error:
            if tls.pending:
                self._transport.write(tls.take())  # what is wrong, for the other side's log
            self._broken(error)
            return
        if tls.pending:
            self._transport.write(tls.take())
        if tls.established and not self.ready.done():
            self.ready.set_result(None)
        if plain:
            self._read(plain)
        if tls.ended and not self.closed:
            self._ended(whole=True)

    def _answered(self, request: Request, answer: Answer) -> None:
        self._request = None
        request.line = None
        self._used = True
        if answer.keep_alive and not self._clogged:
            self._owner.back(self)
        else:
            self.close()
        request.answered(answer)

    def _ended(self, *, whole: bool) -> None:
        """The other side has ended it, in a way that may complete an answer, or not."""
        request = self._request
        if request is None or self._reader.idle:
            self._broken(ConnectionResetError("the other side closed it"))
            return
        try:
            answer = self._reader.eof() if whole else None
        except BadAnswer as error:
            self.close()
            _tell(request, UNREADABLE, str(error))
            return
        if answer is None:
            self._broken(ConnectionResetError("the other side closed it in the middle of an answer"))
        else:
            self._answered(request, answer)

    def _broken(self, error: Exception) -> None:
        request = self._request
        stale = self._used and self._reader.idle
        if not self.ready.done():
            self.ready.set_exception(error)
        self.close()
        if request is None:
            return
        if stale:
            request.line = None
            request.again()
        else:
            _tell(request, NO_ANSWER, f"the connection broke: {error}")

    def _end(self) -> None:
        self.closed = True
        self._request = None
        self._reader.close()
        self._owner.gone(self)


def _tell(request: Request, code: str, reason: str) -> None:
    request.line = None
    request.fail(code, reason)
