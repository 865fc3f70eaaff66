"""Whatever bytes come: whole answers of a known shape or a closed connection, and a server that still works."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hadoken.clock import VirtualClock
from hadoken.local.http.protocol import PREFIX, Protocol, Reply
from hadoken.local.http.server import Server
from hadoken.local.state.operations import OPERATIONS
from hadoken.local.state.parking import Parking
from hadoken.local.state.queues import Queues
from hadoken.local.state.requests import CreateQueue
from tests.support.waiting import GLOBAL

SOUND = (
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-amz-json-1.0\r\n"
    b"X-Amz-Target: AmazonSQS.ListQueues\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
)
URL = "http://x/000000000000/q"
# Field -> values that come near what is right; JSON of any kind comes beside them.
NEAR: dict[str, st.SearchStrategy[Any]] = {
    "QueueUrl": st.just(URL),
    "QueueName": st.sampled_from(["q", "q.fifo", "", "x" * 81]),
    "SourceArn": st.just("arn:aws:sqs:us-east-1:000000000000:q"),
    "MessageBody": st.text(),
    "MaxNumberOfMessages": st.integers(-1, 12),
    "WaitTimeSeconds": st.integers(-1, 21),
    "VisibilityTimeout": st.integers(-1, 43_201),
    "DelaySeconds": st.integers(-1, 901),
    "ReceiptHandle": st.text(),
    "Attributes": st.dictionaries(st.sampled_from(["VisibilityTimeout", "RedrivePolicy", "Policy", "X"]), st.text()),
    "AttributeNames": st.lists(st.sampled_from(["All", "QueueArn", "X"])),
    "NextToken": st.text(),
    "MaxResults": st.integers(-1, 1_001),
    "MessageGroupId": st.text(),
    "Tags": st.dictionaries(st.text(), st.text()),
    "TagKeys": st.lists(st.text()),
    "Label": st.text(),
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FLAT = st.fixed_dictionaries({}, optional={name: near | JSON for name, near in NEAR.items()})
ENTRIES = st.lists(FLAT.flatmap(lambda entry: st.just({"Id": "a", **entry})) | JSON, max_size=11)
BODIES = FLAT | st.builds(lambda entries, rest: {**rest, "QueueUrl": URL, "Entries": entries}, ENTRIES, FLAT) | JSON


def mutated(cut: tuple[int, int], middle: bytes, times: int) -> bytes:
    """A sound request, pipelined, with some of it replaced."""
    whole = SOUND.replace(b"Connection: close\r\n", b"") * times
    start, length = cut
    return whole[: start % len(whole)] + middle + whole[start % len(whole) + length :]


MUTATED = st.builds(
    mutated, st.tuples(st.integers(0, 1_000), st.integers(0, 40)), st.binary(max_size=40), st.integers(1, 40)
)


async def spoken(port: int, data: bytes) -> bytes:
    """What the server says to some bytes, until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        writer.write_eof()
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def check_answers(said: bytes) -> None:
    """Take answers apart: each whole, each of a known shape."""
    while said:
        head, separator, rest = said.partition(b"\r\n\r\n")
        assert separator, said
        assert head.startswith(b"HTTP/1.1 "), head
        assert b"Traceback" not in rest
        if head.startswith(b"HTTP/1.1 100"):
            said = rest
            continue
        length = int(next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")).split()[1])
        body, said = rest[:length], rest[length:]
        assert len(body) == length
        if b"Content-Type: application/x-amz-json-1.0" in head and not head.startswith(b"HTTP/1.1 200"):
            assert "__type" in json.loads(body)
        assert not head.startswith(b"HTTP/1.1 500"), body


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=200) | MUTATED, min_size=1, max_size=4))
def test_bytes_of_any_kind_leave_a_server_that_works(tried: list[bytes]) -> None:
    """Random bytes and mutated requests get whole answers or a close; then a sound request is answered."""

    async def main() -> None:
        server = Server(Queues(), patience=0.05)
        await server.listen("127.0.0.1", 0)
        try:
            for data in tried:
                check_answers(await spoken(server.port, data))
            assert (await spoken(server.port, SOUND)).startswith(b"HTTP/1.1 200")
        finally:
            await server.close()

    asyncio.run(asyncio.wait_for(main(), GLOBAL))


@settings(max_examples=150)
@given(st.lists(st.tuples(st.sampled_from(sorted(OPERATIONS)), BODIES), min_size=1, max_size=8))
def test_json_of_any_kind_is_answered_or_refused(calls: list[tuple[str, object]]) -> None:
    """Every operation takes any JSON: it answers, refuses or parks a poll, and never fails by a fault of its own."""
    clock = VirtualClock()
    queues = Queues(clock=clock)
    parking = Parking(queues)
    protocol = Protocol(queues, parking)
    queues.create_queue(CreateQueue(queue_name="q"), "test")
    replies: list[Reply] = []

    def call(name: str, body: object) -> None:
        data = json.dumps(body).encode()
        protocol.call(PREFIX + name, data, client="test", answer=replies.append, alive=lambda: True)

    for name, body in calls:
        call(name, body)
    clock.advance(21)
    parking.wake(clock.lease())
    assert len(replies) == len(calls)
    for reply in replies:
        assert reply.status in {200, 400, 403, 404}, reply
        assert (reply.status == 200) == (reply.code == "")
        if reply.code:
            assert json.loads(reply.body)["__type"].endswith("#" + reply.code)
    call("ListQueues", {})
    assert replies[-1].status == 200
