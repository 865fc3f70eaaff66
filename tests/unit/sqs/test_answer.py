"""Answers out of bytes: whole, cut anywhere, hostile; and what is kept meanwhile."""

from __future__ import annotations

import gc
import time
import tracemalloc
import weakref
from collections.abc import Iterable

import pytest

from hadoken.sqs.answer import MAX_HEAD, Answer, AnswerReader, BadAnswer, seconds_of

OK = b"HTTP/1.1 200 OK\r\n"
DATE = b"Date: Tue, 24 Nov 2026 19:52:30 GMT\r\n"
PLAIN = OK + DATE + b'x-amzn-RequestId: abc\r\nContent-Length: 15\r\n\r\n{"Messages":[]}'
CHUNKED = (
    OK
    + DATE
    + b'Transfer-Encoding: chunked\r\n\r\n4\r\n{"Me\r\nb;ext=1\r\nssages":[]}\r\n0\r\nDate: x\r\nTr: y\r\n\r\n'
)
CONTINUED = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + PLAIN
CLOSING = PLAIN.replace(DATE, DATE + b"Connection: close\r\n")
OLD = PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0")
OPEN_ENDED = OK + DATE + b'\r\n{"Messages":[]}'
EMPTY = b"HTTP/1.1 204 No Content\r\n" + DATE + b"\r\n"
PAGE = b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>"
MOVED = b"HTTP/1.1 301 Moved\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n"
GZIPPED = OK + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08"
SOUND = {
    "plain": (PLAIN, True),
    "chunked": (CHUNKED, True),
    "continued": (CONTINUED, True),
    "closing": (CLOSING, False),
    "old": (OLD, False),
    "open-ended": (OPEN_ENDED, False),
    "empty": (EMPTY, True),
    "page": (PAGE, True),
    "moved": (MOVED, True),
    "gzipped": (GZIPPED, True),
}
HOSTILE = {
    "garbage": b"\x00\x01\x02 nonsense\r\n\r\n",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x46",
    "HTTP/0.9": b"<html>hello</html>",
    "request": b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "bare line feeds": PLAIN.replace(b"\r\n", b"\n"),
    "folded header": OK + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "NUL in a header": OK + b"X: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "space before a colon": OK + b"Content-Length : 2\r\n\r\n{}",
    "negative length": OK + b"Content-Length: -2\r\n\r\n{}",
    "signed length": OK + b"Content-Length: +2\r\n\r\n{}",
    "hexadecimal length": OK + b"Content-Length: 0x2\r\n\r\n{}",
    "list of lengths": OK + b"Content-Length: 2, 2\r\n\r\n{}",
    "endless length": OK + b"Content-Length: 99999999999999999999\r\n\r\n{}",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}!",
    "the same length twice": OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "length, then chunked": OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "chunked, then length": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "gzip, then chunked": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "chunked, then gzip": OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "unknown coding": OK + b"Transfer-Encoding: xchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "huge chunk": OK + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n{}",
    "negative chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}",
    "chunk without its end": OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}XX0\r\n\r\n",
    "upgrade": b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
}


def read(pieces: Iterable[bytes], *, ended: bool = False) -> Answer | None:
    """What a new reader makes of pieces: the first answer, or None."""
    reader = AnswerReader()
    try:
        for piece in pieces:
            answer = reader.feed(piece)
            if answer is not None:
                return answer
        return reader.eof() if ended else None
    finally:
        reader.close()


def feed(reader: AnswerReader, piece: bytes, times: int) -> None:
    """Feed a piece again and again, which is never an answer."""
    for _ in range(times):
        assert reader.feed(piece) is None


def singly(data: bytes) -> Iterable[bytes]:
    """Byte by byte."""
    return (data[at : at + 1] for at in range(len(data)))


@pytest.mark.parametrize("name", SOUND)
def test_an_answer_is_read_the_same_however_it_is_cut(name: str) -> None:
    """An answer cut into two anywhere, or into single bytes, is the one that comes whole."""
    data, keep_alive = SOUND[name]
    whole = read([data], ended=True)
    assert whole is not None
    assert whole.keep_alive is keep_alive
    assert read(singly(data), ended=True) == whole
    for at in range(1, len(data)):
        assert read([data[:at], data[at:]], ended=True) == whole


@pytest.mark.parametrize("name", SOUND)
def test_half_an_answer_is_an_error_and_nothing_is_none(name: str) -> None:
    """A connection that ends within an answer is an error at every byte; before the first one it only ends."""
    data, _ = SOUND[name]
    assert read([], ended=True) is None
    if name == "open-ended":  # nobody can know that it was longer
        data = data[: data.index(b"\r\n\r\n") + 3]
    for at in range(1, len(data)):
        with pytest.raises(BadAnswer, match="middle of an answer"):
            read([data[:at]], ended=True)


def test_what_is_read_is_what_was_sent() -> None:
    """Status, headers by lower-case name, date and body of an answer are its own."""
    answer = read([PLAIN])
    assert answer is not None
    assert answer == Answer(
        200,
        {b"date": DATE[6:-2], b"x-amzn-requestid": b"abc", b"content-length": b"15"},
        b'{"Messages":[]}',
        keep_alive=True,
    )
    assert answer.header(b"x-amzn-requestid") == "abc"
    assert answer.header(b"location") == ""
    assert answer.date == 1_795_549_950


def test_headers_after_a_chunked_body_change_nothing() -> None:
    """Trailers are read past: they cannot take the place of a header."""
    answer = read([CHUNKED])
    assert answer is not None
    assert (answer.body, answer.date) == (b'{"Messages":[]}', 1_795_549_950)
    assert b"tr" not in answer.headers


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_answer_is_refused_however_it_is_cut(name: str) -> None:
    """What is no answer, or could be read in two ways, is refused with a reason, and nothing of it is kept."""
    data = HOSTILE[name]
    reader = AnswerReader()
    with pytest.raises(BadAnswer, match=r"HTTP/1\.1|coding"):
        reader.feed(data)
    assert reader.idle
    reader.close()
    for at in range(1, len(data)):
        with pytest.raises(BadAnswer):
            read([data[:at], data[at:]], ended=True)
    with pytest.raises(BadAnswer):
        read(singly(data), ended=True)


@pytest.mark.parametrize(
    "rest", [PLAIN, PAGE, b"x", b"\x00", CONTINUED + PLAIN, PLAIN[:30], b"HTTP/1.1 200 OK\r\n\r\n"]
)
@pytest.mark.parametrize("name", ["plain", "chunked", "continued", "closing", "empty"])
def test_what_follows_an_answer_never_takes_its_place(name: str, rest: bytes) -> None:
    """Bytes after an answer are dropped with the connection; the answer is the first one."""
    data, _ = SOUND[name]
    first = read([data])
    assert first is not None
    assert read([data + rest]) == first._replace(keep_alive=False)
    for at in range(1, len(data)):
        assert read([data[:at], data[at:] + rest]) == first._replace(keep_alive=False)


def test_bytes_on_an_idle_connection_are_seen() -> None:
    """What comes after an answer was taken makes the reader busy: it is no answer to the next request."""
    reader = AnswerReader()
    assert reader.feed(PLAIN) is not None
    assert (reader.idle, reader.feed(PLAIN[:5])) == (True, None)
    assert not reader.idle
    reader.close()


def test_after_an_interim_answer_the_connection_is_not_idle() -> None:
    """A server that says 100 and closes has begun an answer: the request is not just sent again."""
    reader = AnswerReader()
    assert reader.feed(b"HTTP/1.1 100 Continue\r\n\r\n") is None
    assert not reader.idle
    with pytest.raises(BadAnswer, match="middle"):
        reader.eof()


def test_one_reader_reads_one_answer_after_another() -> None:
    """Nothing of an answer is seen in the next one, whatever their kinds."""
    reader = AnswerReader()
    kept = [data for data, keep_alive in SOUND.values() if keep_alive]
    for data in kept + kept[::-1]:
        assert reader.feed(data) == read([data])
        assert reader.idle
    reader.close()


@pytest.mark.parametrize(
    ("start", "endless", "words"),
    [
        (OK, b"X: " + b"y" * 1000 + b"\r\n", "the head"),
        (OK + b"X: ", b"y" * 1000, "the head"),
        (OK, b"y" * 1000, "the head"),
        (b"HTTP/1.1 200 ", b"O" * 1000, "the head"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 40, "the head"),
        (b"", b"\r\n" * 500, "the head"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: ", b"y" * 1000, "around the body"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", b"X: " + b"y" * 1000 + b"\r\n", "around the body"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2;", b"y" * 1000, "around the body"),
        (OK + b"\r\n", b"y" * 100_000, "body"),
        (OK + b"Content-Length: 99999999999\r\n\r\n", b"y" * 100_000, "body"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"4000\r\n" + b"y" * 0x4000 + b"\r\n", "body"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\ny\r\n" * 20_000, "body"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFF\r\n", b"y" * 100_000, "body"),
    ],
)
def test_an_endless_answer_is_refused_in_bounded_memory(
    start: bytes, endless: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heads, bodies, chunks, interim answers and trailers without end are refused before they take much memory."""
    monkeypatch.setattr("hadoken.sqs.answer.MAX_BODY", 1024 * 1024)  # 32 times as much takes as much longer
    bound = 1024 * 1024 if words == "body" else MAX_HEAD
    reader = AnswerReader()
    tracemalloc.start()
    try:
        assert reader.feed(start) is None
        with pytest.raises(BadAnswer, match=f"{words} of the answer is above {bound} bytes"):
            feed(reader, endless, 40 * bound // len(endless))
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 100_000  # all is let go with the error
    assert peak < 2.5 * bound + 4 * len(endless) + 100_000  # a growing buffer is twice there for a moment
    reader.close()


def test_a_head_in_one_piece_has_the_same_bound() -> None:
    """Ten mebibytes of headers in one piece are refused; a head below the bound passes, with a body far above it."""
    header = b"X-Fill: " + b"y" * 990 + b"\r\n"
    with pytest.raises(BadAnswer, match="head of the answer"):
        read([OK + header * 10_000 + b"Content-Length: 0\r\n\r\n"])
    size = 5 * 1024 * 1024
    sound = OK + header * 60 + b"Content-Length: %d\r\n\r\n" % size + b"z" * size
    for pieces in ([sound], [sound[:70_000], sound[70_000:]], [sound[:30_000], sound[30_000:]]):
        answer = read(pieces)
        assert answer is not None
        assert (len(answer.body), answer.keep_alive) == (size, True)


def test_a_whole_answer_and_more_in_one_large_piece_is_given_and_closed() -> None:
    """An answer at the start of a piece larger than any head is given, and what follows is dropped."""
    answer = read([PLAIN + PLAIN * 1_000])
    assert answer is not None
    assert (answer.body, answer.keep_alive) == (b'{"Messages":[]}', False)


def test_ten_messages_of_one_mebibyte_are_read() -> None:
    """The largest answer of SQS, in pieces as a socket gives them, is read whole."""
    body = bytes(range(256)) * (4 * 1024 * 10)
    data = OK + b"Content-Length: %d\r\n\r\n" % len(body) + body
    answer = read(data[at : at + 65_536] for at in range(0, len(data), 65_536))
    assert answer is not None
    assert answer.body == body


def test_a_closed_reader_is_freed_without_the_garbage_collector() -> None:
    """A reader and its parser hold each other until `close`; then both go, in the middle of an answer too."""
    reader = Watched()
    reader.feed(PLAIN[:-3])
    gone = weakref.ref(reader)
    gc.disable()
    try:
        reader.close()
        reader.close()
        del reader
        assert gone() is None
    finally:
        gc.enable()


class Watched(AnswerReader):
    """A reader that can be watched going."""

    __slots__ = ("__weakref__",)


@pytest.mark.parametrize(
    "date",
    [
        b"",
        b"yesterday",
        b"Tue, 24 Nov 2026 25:61:61 GMT",
        b"Thu, 01 Jan 1970 00:00:00 GMT",
        b"Fri, 31 Dec 9999 23:59:59 GMT",
        b"Tue, 24 Nov 0000 19:52:30 GMT",
        b"Tue, 24 Nov 99999999999999999999 19:52:30 GMT",
        b"Tue, 24 Nov 2026 19:52:30 +99999999999999999999",
        b"\xff\xfe" * 40,
        b"1" * 5_000,
        b"," * 64,
    ],
)
def test_a_date_that_is_none_or_nonsense_is_not_taken(date: bytes) -> None:
    """No time is read out of what is no time of this century."""
    assert seconds_of(date) is None


@pytest.mark.parametrize("zone", [b"GMT", b"UTC", b"-0000", b"+0000", b"", b"Z"])
def test_a_date_is_read_in_universal_time_wherever_we_are(zone: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A date without a zone, or with an odd one, is not taken for local time."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    seconds_of.cache_clear()
    try:
        assert seconds_of(b"Tue, 24 Nov 2026 19:52:30 " + zone) == 1_795_549_950
    finally:
        monkeypatch.undo()
        time.tzset()
