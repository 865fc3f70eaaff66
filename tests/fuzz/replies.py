"""What every answer of the local SQS must look like, whatever was asked."""

from __future__ import annotations

from http import HTTPStatus

import msgspec


class Failed(AssertionError):
    """An answer that no client should ever get."""


def check(status: int, body: bytes) -> None:
    """Judge one answer.

    Raises:
        Failed: it blames the server, or an error has not the shape of one.
    """
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise Failed(f"{status}: {body!r}")
    if status >= HTTPStatus.BAD_REQUEST and body.startswith(b"<?xml") and b"<Message>" in body:
        return  # what a client of the older protocol can read
    try:
        found = msgspec.json.decode(body) if body else {}
    except msgspec.DecodeError as error:
        raise Failed(f"{status}: {body!r} is no JSON") from error
    if not isinstance(found, dict):
        raise Failed(f"no object: {body!r}")
    if status >= HTTPStatus.BAD_REQUEST and not (found.get("__type") and isinstance(found.get("message"), str)):
        raise Failed(f"an error without a name or a sentence: {status}, {body!r}")


def split(stream: bytes) -> list[tuple[int, bytes]]:
    """The answers of one connection, as (status, body); interim ones are left out.

    Raises:
        Failed: the bytes are no sequence of whole answers.
    """
    answers: list[tuple[int, bytes]] = []
    while stream:
        head, found, rest = stream.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        version, _, words = first.partition(b" ")
        if not found or version != b"HTTP/1.1":
            raise Failed(f"no answer: {stream[:200]!r}")
        status = int(words[:3])
        headers = dict(line.lower().split(b": ", 1) for line in lines)
        length = int(headers.get(b"content-length", b"0"))
        if len(rest) < length:
            raise Failed(f"an answer of {length} bytes ends after {len(rest)}")
        if status >= HTTPStatus.OK:
            answers.append((status, rest[:length]))
        stream = rest[length:]
    return answers
