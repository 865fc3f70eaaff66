"""One HTTP/1.1 answer after another out of the bytes of a connection, read by httptools. No I/O.

Rules of this file:
- What is kept is bounded: a head of `MAX_HEAD` bytes, a body of `MAX_BODY`; more is an answer that cannot be trusted.
- An answer that cannot be read ends its connection: nobody knows where the next one would begin.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final, NamedTuple

import httptools
from httptools import HttpParserError, HttpParserUpgrade

MAX_HEAD: Final = 65_536  # bytes; SQS's own heads have some 300
# bytes; ten messages of 1 MiB each, in which JSON may escape every character, and room for attributes
MAX_BODY: Final = 32 * 1024 * 1024


class BadAnswer(ValueError):
    """What came is no answer in HTTP/1.1, or is larger than any of SQS can be. Its text says what was wrong."""


class Answer(NamedTuple):
    """A whole answer.

    Attributes:
        status: 200..599.
        headers: by lower-case name; of one that came twice, the last.
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

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._answer: Answer | None = None
        self._begun = False
        self._head_size = 0
        self._body_size = 0
        self._in_body = False
        self._open_ended = False

    @property
    def idle(self) -> bool:
        """Whether no part of an answer has been read that is not complete."""
        return not self._begun

    def feed(self, data: bytes) -> Answer | None:
        """Read on; give the answer once it is complete.

        Raises:
            BadAnswer: it is none.
        """
        if not self._in_body:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            raise BadAnswer(f"this is no HTTP/1.1 answer: {type(error).__name__}: {error}") from None
        answer, self._answer = self._answer, None
        if answer is None:
            self._check_sizes()
        elif self._begun:  # bytes that nobody asked for: where the next answer begins cannot be known
            return answer._replace(keep_alive=False)
        return answer

    def eof(self) -> Answer | None:
        """Take in that the other side closed; gives an answer whose end was not announced, None if none had begun.

        Raises:
            BadAnswer: it ends in the middle.
        """
        if not self._begun:
            return None
        if not self._open_ended:
            raise BadAnswer("the connection was closed in the middle of an answer")
        self._begun = False
        return Answer(self._parser.get_status_code(), self._headers, b"".join(self._body), keep_alive=False)

    def _check_sizes(self) -> None:
        if self._head_size > MAX_HEAD:
            raise BadAnswer(f"the head of the answer is above {MAX_HEAD} bytes")
        if self._body_size > MAX_BODY:
            raise BadAnswer(f"the body of the answer is above {MAX_BODY} bytes")

    def on_message_begin(self) -> None:
        """Begin an answer."""
        self._begun = True
        self._headers = {}
        self._body = []
        self._body_size = 0
        self._in_body = False
        self._open_ended = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep one header; those that follow a chunked body count for the head."""
        if self._in_body:
            self._head_size += len(name) + len(value)
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """See where the body ends."""
        self._in_body = True
        headers = self._headers
        self._open_ended = b"content-length" not in headers and b"transfer-encoding" not in headers

    def on_body(self, body: bytes) -> None:
        """Keep one part of the body."""
        self._body_size += len(body)
        if self._body_size <= MAX_BODY:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """Close the answer; one of the 1xx kind only says that the real one will come."""
        status = self._parser.get_status_code()
        self._begun = False
        self._in_body = False
        self._head_size = 0
        if status >= 200:
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            self._answer = Answer(status, self._headers, body, self._parser.should_keep_alive())
        self._body = []


@lru_cache(maxsize=4)
def seconds_of(date: bytes) -> float | None:
    """An HTTP date in seconds since 1970, None if it is none; answers of the same second share one parse."""
    try:
        return parsedate_to_datetime(date.decode("latin-1")).timestamp()
    except (TypeError, ValueError):
        return None
