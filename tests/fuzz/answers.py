"""Fuzz what reads answers: bytes of any kind, cut anywhere, through `AnswerReader` and `Wire.read`.

Looks for any error but `BadAnswer` and `SQSError`, for an answer that depends on how its bytes were cut, for one that
is kept alive with bytes behind it, and for more being kept than the bounds allow.
"""

from __future__ import annotations

import sys
from typing import Any

import atheris

with atheris.instrument_imports(include=["hadoken.sqs", "email"]):
    from hadoken.sqs.answer import MAX_BODY, MAX_HEAD, Answer, AnswerReader, BadAnswer
    from hadoken.sqs.wire import Wire

from hadoken.clock import VirtualClock
from hadoken.errors import SQSError
from hadoken.sqs.api import ChangeVisibilityBatch, DeleteBatch, Receive, SendBatch, SendEntry
from hadoken.sqs.credentials import Credentials, Keys
from hadoken.sqs.settings import Settings
from tests.fuzz.replies import Failed

# Pieces that real answers are made of; the fuzzer puts its own bytes between them.
PIECES = (
    b"",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 400 Bad Request\r\n",
    b"HTTP/1.0 200 OK\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n",
    b"Date: Tue, 24 Nov 2026 19:52:30 GMT\r\n",
    b"Date: ",
    b"Connection: close\r\n",
    b"Content-Type: application/x-amz-json-1.0\r\n",
    b"Content-Encoding: gzip\r\n",
    b"x-amzn-query-error: AWS.SimpleQueueService.NonExistentQueue;Sender\r\n",
    b"Content-Length: 0\r\n\r\n",
    b"Content-Length: 2\r\n\r\n{}",
    b"Content-Length: 75\r\n\r\n",
    b"Content-Length: 99999999999999999999\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n",
    b"Transfer-Encoding: gzip\r\n\r\n",
    b"2\r\n{}\r\n0\r\n\r\n",
    b"4b;x=y\r\n",
    b"0\r\nX: y\r\n\r\n",
    b'{"Messages":[{"MessageId":"m","ReceiptHandle":"h","Body":"b","Attributes":{',
    b'{"Successful":[{"Id":"0","MessageId":"m"}],"Failed":[{"Id":"1","Code":"X"}]}',
    b'{"__type":"com.amazonaws.sqs#InvalidSignatureException","message":"Signature expired: "}',
    b'{"MessageAttributes":{"a":{"DataType":"Binary","BinaryValue":"',
    b'"\\ud800\\u0000\xff"',
    b"null",
    b'"}]}',
    b"\r\n",
    b"\r\n\r\n",
)
URL = "https://sqs"
CLOCK = VirtualClock()


def wire(*, check_md5: bool) -> Wire:
    """A wire to nowhere."""
    credentials = Credentials.fixed(Keys("A", "S", None))
    return Wire(Settings(URL, "eu-central-1", credentials, check_md5=check_md5), clock=CLOCK)


WIRES = [wire(check_md5=False), wire(check_md5=True)]


def read(chunks: list[bytes]) -> Answer | str | None:
    """What a new reader makes of a connection that ends: its first answer, what is wrong with it, or None."""
    reader = AnswerReader()
    try:
        for chunk in chunks:
            answer = reader.feed(chunk)
            _check_kept(reader, len(chunk))
            if answer is not None:
                return answer
        return reader.eof()
    except BadAnswer as error:
        _check_kept(reader, 0)
        return f"bad: {error}"
    finally:
        reader.close()


def _check_kept(reader: AnswerReader, piece: int) -> None:
    state: Any = reader
    headers = sum(len(name) + len(value) for name, value in state._headers.items())
    if headers > MAX_HEAD or len(state._body) > MAX_BODY + piece:
        raise Failed(f"{headers} bytes of headers and {len(state._body)} of a body are kept")


def one(data: bytes) -> None:
    """Read one stream whole, in pieces and byte by byte, and what it says for each operation."""
    provider = atheris.FuzzedDataProvider(data)
    chunks: list[bytes] = []
    while provider.remaining_bytes() and len(chunks) < 30:
        piece = provider.PickValueInList(list(PIECES))
        chunks.append(piece + provider.ConsumeBytes(provider.ConsumeIntInRange(0, 16)))
    stream = b"".join(chunks)
    chunks = [chunk for chunk in chunks if chunk]
    found = [read([stream] if stream else []), read(chunks), read([stream[at : at + 1] for at in range(len(stream))])]
    whole, *cut = [_seen(each) for each in found]
    if any(each != whole for each in cut):
        raise Failed(f"it matters how {stream!r} is cut: {found}")
    for answer in found[:1]:
        if isinstance(answer, Answer):
            _understand(answer)


def _seen(found: Answer | str | None) -> object:
    """What may not depend on the cut: whether more came with an answer does, and which words say what is wrong."""
    if isinstance(found, Answer):
        return found[:3]
    return "bad" if isinstance(found, str) else None


def _understand(answer: Answer) -> None:
    for own in WIRES:
        for call in (
            own.receive(Receive(URL, 10, 0, 30)),
            own.delete_batch(DeleteBatch(URL, ["a", "b"])),
            own.change_visibility_batch(ChangeVisibilityBatch(URL, [("a", 0), ("b", 0)])),
            own.send_batch(SendBatch(URL, [SendEntry("a"), SendEntry("b")])),
            own.queue_url("q"),
            own.queue_attributes(URL),
            own.any_call("ListQueues", {}),
        ):
            try:
                own.read(call, answer)
            except SQSError as error:
                own.should_resend(error)
                if error.operation != call.operation or not str(error):
                    raise Failed(f"an error without its operation: {error!r}") from error
            own.request(call)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
