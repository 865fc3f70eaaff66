"""Answers as bytes of HTTP/1.1: whole, or spoilt as a fault says."""

from __future__ import annotations

import functools
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

from hadoken.local.http.protocol import CONTENT_TYPE, Reply, refused
from hadoken.local.state.refusals import Refusal

_QUERY: Final = "application/x-www-form-urlencoded"
_NOTHING: Final = b"{}"  # stands for an empty body, where something is needed that can be cut
_CHUNK: Final = 64  # bytes of a chunk; small, so that even a short answer has several


class Sent(NamedTuple):
    """What goes to the client.

    Attributes:
        data: all bytes of it.
        keep_alive: whether the connection stays open behind them.
    """

    data: bytes
    keep_alive: bool


def whole(reply: Reply, request_id: str, wall: float, *, keep_alive: bool) -> bytes:
    """An answer as it should be.

    Args:
        reply: what is answered.
        request_id: of x-amzn-RequestId.
        wall: seconds since 1970, for the Date header.
        keep_alive: whether the connection stays open.
    """
    head = _head(reply, request_id, wall, keep_alive=keep_alive)
    return head + b"Content-Length: %d\r\n\r\n" % len(reply.body) + reply.body


def spoilt(reply: Reply, request_id: str, wall: float, *, keep_alive: bool) -> Sent:
    """An answer as its fault wants it; the parameters are those of `whole`."""
    fault = reply.fault
    body = reply.body or _NOTHING
    wall += fault.clock_offset
    if fault.answer == "truncated":
        head = _head(reply, request_id, wall, keep_alive=True)
        return Sent(head + b"Content-Length: %d\r\n\r\n" % len(body) + body[: len(body) // 2], keep_alive=False)
    if fault.answer == "malformed":
        reply = reply._replace(body=body[: len(body) // 2])
    if fault.answer == "chunked":
        head = _head(reply, request_id, wall, keep_alive=keep_alive)
        chunks = (body[at : at + _CHUNK] for at in range(0, len(body), _CHUNK))
        written = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
        return Sent(head + b"Transfer-Encoding: chunked\r\n\r\n" + written + b"0\r\n\r\n", keep_alive)
    keep_alive = keep_alive and fault.answer != "close"
    return Sent(whole(reply, request_id, wall, keep_alive=keep_alive), keep_alive)


def not_spoken(content_type: str) -> Reply | None:
    """The refusal of a request in another language than AWS JSON 1.0; None if it is in that.

    A client of the older query protocol reads XML, so that is how it is told.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == CONTENT_TYPE:
        return None
    said = f"The content type is {content_type or 'missing'}; the local SQS speaks AWS JSON 1.0 only: {CONTENT_TYPE}."
    reply = refused(Refusal("UnknownOperationException", said))
    if kind != _QUERY:
        return reply
    error = f"<Error><Type>Sender</Type><Code>UnknownOperationException</Code><Message>{escape(said)}</Message></Error>"
    page = f'<?xml version="1.0"?><ErrorResponse>{error}</ErrorResponse>\n'.encode()
    return reply._replace(body=page, content_type="text/xml")


def _head(reply: Reply, request_id: str, wall: float, *, keep_alive: bool) -> bytes:
    """The head without its last lines: how long the body is."""
    extra = f"x-amzn-query-error: {reply.query_error}\r\n" if reply.query_error else ""
    if not keep_alive:
        extra += "Connection: close\r\n"
    return (
        f"HTTP/1.1 {int(reply.status)} {_reason(reply.status)}\r\n"
        f"x-amzn-RequestId: {request_id}\r\n"
        f"Date: {_date(int(wall))}\r\n"
        f"Content-Type: {reply.content_type}\r\n"
        f"{extra}"
    ).encode("latin-1")


@functools.lru_cache(maxsize=2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


@functools.lru_cache(maxsize=32)
def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # a fault script may make up a status
        return "Made To Fail"
