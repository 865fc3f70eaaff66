"""One HTTP/1.1 answer after another out of the bytes of a connection, read by httptools. No I/O.

Rules of this file:
- What is kept is bounded: `MAX_HEAD` bytes in which there is no body, a body of `MAX_BODY`, and one piece of input.
- An answer that cannot be read ends its connection: nobody knows where the next one would begin. So does one after
  which there is more, for nothing else was asked: it is given, and what follows is dropped.
- How the bytes are cut into pieces makes no difference to an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final, NamedTuple

import httptools
from httptools import HttpParserError, HttpParserUpgrade

MAX_HEAD: Final = 65_536  # bytes; SQS's own heads have some 300
# bytes; ten messages of 1 MiB each, in which JSON may escape every character, and room for attributes
MAX_BODY: Final = 32 * 1024 * 1024
# Seconds since 1970, 2020 and 2100: no clock of a server that tells another time can be believed.
_SANE: Final = (1_577_836_800.0, 4_102_444_800.0)
_DATE: Final = 64  # bytes of a Date that are looked at; one has 29


class BadAnswer(ValueError):
    """What came is no answer in HTTP/1.1, or is larger than any of SQS can be. Its text says what was wrong."""


class Answer(NamedTuple):
    """A whole answer.

    Attributes:
        status: 200..999.
        headers: by lower-case name; of one that came twice, the last. Those after a chunked body are left out.
        body: without transfer coding.
        keep_alive: whether the connection may be used again.
    """

    status: int
    headers: Mapping[bytes, bytes]
    body: bytes
    keep_alive: bool

    def header(self, name: bytes) -> str:
        """A header's value, empty where there is none."""
        return self.headers.get(name, b"").decode("latin-1")

    @property
    def date(self) -> float | None:
        """When the server says it answered, in seconds since 1970; None where it does not say."""
        return seconds_of(self.headers.get(b"date", b""))


class AnswerReader:
    """Reads the answers of one connection; httptools calls the methods named `on_`.

    Thread: one at a time.
    """

    __slots__ = ("_answer", "_begun", "_body", "_headers", "_in_body", "_open_ended", "_parser", "_silent", "_wrong")

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)  # holds us, as we hold it: `close` breaks the circle
        self._headers: dict[bytes, bytes] = {}
        self._body: bytes | bytearray = b""
        self._answer: Answer | None = None
        self._begun = False
        self._in_body = False
        self._open_ended = False
        self._wrong = ""  # what httptools would let pass
        self._silent = 0  # bytes of this answer, and of interim ones before it, since the last byte of a body

    @property
    def idle(self) -> bool:
        """Whether no part of an answer has been read that is not complete."""
        return not self._begun

    def feed(self, data: bytes) -> Answer | None:
        """Read on; give the answer once it is complete.

        Raises:
            BadAnswer: it is none; nothing can be read any more, and nothing is kept.
        """
        room = MAX_HEAD - self._silent
        return self._read(data) if len(data) <= room or self._in_body else self._read_large(data, room)

    def eof(self) -> Answer | None:
        """Take in that the other side closed; gives an answer whose end was not announced, None if none had begun.

        Raises:
            BadAnswer: it ends in the middle.
        """
        if not self._begun:
            return None
        if not self._open_ended:
            raise self._bad("the connection was closed in the middle of an answer")
        answer = Answer(self._parser.get_status_code(), self._headers, bytes(self._body), keep_alive=False)
        self._drop()
        return answer

    def close(self) -> None:
        """Let go of the parser and of what was read; nothing can be read any more."""
        self._drop()
        if hasattr(self, "_parser"):
            del self._parser

    def _read(self, data: bytes) -> Answer | None:
        before = len(self._body)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if self._answer is None:
                raise self._bad(f"this is no HTTP/1.1 answer: {type(error).__name__}: {error}") from None
            self._begun = True  # an answer, and then garbage
        answer = self._answer
        if answer is None:
            self._check(len(data), grown=len(self._body) > before)
            return None
        self._answer = None
        self._silent = 0
        if self._begun:  # bytes that nobody asked for
            self._drop()
            return answer._replace(keep_alive=False)
        return answer

    def _read_large(self, data: bytes, room: int) -> Answer | None:
        """Read a piece that is larger than what the head may still have."""
        answer = self._read(data[:room])
        if answer is not None:
            return answer._replace(keep_alive=False)
        if not self._in_body:
            raise self._bad(f"the head of the answer is above {MAX_HEAD} bytes")
        return self._read(data[room:])

    def _check(self, size: int, *, grown: bool) -> None:
        """Judge what is kept after a piece of so many bytes, which may have brought some of the body."""
        if self._wrong:
            raise self._bad(self._wrong)
        self._silent = 0 if grown else self._silent + size
        if len(self._body) > MAX_BODY:
            raise self._bad(f"the body of the answer is above {MAX_BODY} bytes")
        if self._silent > MAX_HEAD:
            what = "what is around the body" if self._in_body else "the head"
            raise self._bad(f"{what} of the answer is above {MAX_HEAD} bytes")

    def _bad(self, reason: str) -> BadAnswer:
        self._drop()
        return BadAnswer(reason)

    def _drop(self) -> None:
        self._headers = {}
        self._body = b""
        self._answer = None
        self._begun = False

    def on_message_begin(self) -> None:
        """Begin an answer."""
        self._begun = True
        self._headers = {}
        self._open_ended = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep one header; those that follow a chunked body say nothing that we ask for."""
        if not self._in_body:
            self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """See where the body ends; lengths that contradict each other or the coding are refused by httptools."""
        self._in_body = True
        headers = self._headers
        if b"content-length" not in headers:
            coding = headers.get(b"transfer-encoding")
            self._open_ended = coding is None
            if coding is not None and coding.strip().lower() != b"chunked":
                self._wrong = f"the answer has a transfer coding that nobody asked for: {coding[:40]!r}"

    def on_body(self, body: bytes) -> None:
        """Keep one part of the body; most come in one."""
        if not self._body:
            self._body = body
        elif len(self._body) <= MAX_BODY:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += body

    def on_message_complete(self) -> None:
        """Close the answer; one of the 1xx kind only says that the real one will come."""
        self._in_body = False
        status = self._parser.get_status_code()
        if status < 200 or self._wrong:
            self._open_ended = False
            return
        body, self._body = self._body, b""
        self._begun = self._answer is not None  # then this is a second one
        if not self._begun:
            self._answer = Answer(status, self._headers, bytes(body), self._parser.should_keep_alive())


@lru_cache(maxsize=4)
def seconds_of(date: bytes) -> float | None:
    """An HTTP date in seconds since 1970, None if it is none; answers of the same second share one parse.

    What lies before 2020 or after 2100 counts as none: no lease and no signature could be measured by it.
    """
    try:
        when = parsedate_to_datetime(date[:_DATE].decode("latin-1"))
        seconds = (when if when.tzinfo is not None else when.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return seconds if _SANE[0] <= seconds <= _SANE[1] else None
