from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from hadoken.clock import SYSTEM
from tests.support.local_sqs import Server, Sqs, boto3_client
from tests.support.refused import invalid
from tests.support.waiting import GLOBAL, wait_until

# Seconds within which a parked poll answers what wakes it: a liveness bound on a loaded machine, far below a poll's 20.
# That nothing is waited for in between is shown exactly in virtual time.
AT_ONCE = 2.0


def poll_request(url: str, wait: int, most: int = 10) -> bytes:
    """The bytes of a long poll, as a bare client sends them."""
    body = json.dumps({"QueueUrl": url, "WaitTimeSeconds": wait, "MaxNumberOfMessages": most}).encode()
    head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: {len(body)}\r\n"
    scope = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0"
    return f"{head}Authorization: {scope}\r\nX-Amz-Target: AmazonSQS.ReceiveMessage\r\n\r\n".encode() + body


@contextmanager
def open_poll(server: Server, url: str, wait: int = 20) -> Iterator[socket.socket]:
    """A long poll on a connection of its own, sent but perhaps not yet parked."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=GLOBAL) as sock:
        sock.sendall(poll_request(url, wait))
        yield sock


def answer(sock: socket.socket) -> dict[str, Any]:
    """The JSON of the one answer on a socket."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(65_536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    while len(body) < length:
        body += sock.recv(65_536)
    found: dict[str, Any] = json.loads(body)
    return found


def parked(server: Server, count: int) -> bool:
    """Wait until so many polls are parked."""
    return wait_until(lambda: server.get("state")["parked"] == count)


def test_08_an_empty_receive_has_no_messages_and_waits_as_long_as_asked(sqs: Sqs) -> None:
    """An empty receive has no messages and waits as long as asked."""
    url = sqs.queue()
    start = sqs.now()
    assert "Messages" not in sqs.client.receive_message(QueueUrl=url, WaitTimeSeconds=0)
    assert sqs.now() - start <= sqs.slack
    start = sqs.now()
    assert "Messages" not in sqs.client.receive_message(QueueUrl=url, WaitTimeSeconds=2)
    assert 2 <= sqs.now() - start <= 2 + sqs.slack


@pytest.mark.differs(
    "ministack",
    aws="WaitTimeSeconds: Valid values: An integer from 0 to 20 (seconds).",
    only=("WaitTimeSeconds--1", "WaitTimeSeconds-21"),
)
@pytest.mark.parametrize(
    ("name", "value"),
    [("MaxNumberOfMessages", 0), ("MaxNumberOfMessages", 11), ("WaitTimeSeconds", -1), ("WaitTimeSeconds", 21)],
)
def test_09_numbers_out_of_range_are_refused(sqs: Sqs, name: str, value: int) -> None:
    """Numbers out of range are refused."""
    with invalid(name):
        sqs.client.receive_message(QueueUrl=sqs.queue(), **{name: value})


def after_send(http: Sqs) -> tuple[str, float, Callable[[], object]]:
    """A queue, seconds, and what to do so that after them a poll gets what is sent."""
    url = http.queue()
    return url, 0, lambda: http.send(url, "x")


def after_expiry(http: Sqs) -> tuple[str, float, Callable[[], object]]:
    """A queue, seconds, and what to do so that after them a poll gets what has lost its lease."""
    url = http.queue()
    http.send(url, "x")
    http.receive(url, VisibilityTimeout=1)
    return url, 1, lambda: None


def after_delay(http: Sqs) -> tuple[str, float, Callable[[], object]]:
    """A queue, seconds, and what to do so that after them a poll gets what was delayed."""
    url = http.queue()
    return url, 1, lambda: http.send(url, "x", DelaySeconds=1)


def after_unblocking(http: Sqs) -> tuple[str, float, Callable[[], object]]:
    """A queue, seconds, and what to do so that after them a poll gets what stood behind a head that is deleted."""
    url = http.queue(fifo=True)
    http.send(url, "head", "x", MessageGroupId="g")
    (head,) = http.receive(url, 1)
    return url, 0, lambda: http.delete(url, head)


@pytest.mark.parametrize("prepare", [after_send, after_expiry, after_delay, after_unblocking])
def test_10_a_long_poll_answers_at_once_when_something_can_be_received(
    server: Server, http: Sqs, prepare: Callable[[Sqs], tuple[str, float, Callable[[], object]]]
) -> None:
    """A long poll answers at once when something can be received."""
    url, seconds, act = prepare(http)
    start = SYSTEM.lease()
    with open_poll(server, url) as sock:
        assert parked(server, 1)
        act()
        (message,) = answer(sock)["Messages"]
    assert message["Body"] == "x"
    assert SYSTEM.lease() - start < seconds + AT_ONCE


def test_10_a_long_poll_sees_a_lease_and_a_delay_end(sqs: Sqs) -> None:
    """A long poll sees a lease and a delay end, at once."""
    url = sqs.queue()
    sqs.send(url, "x")
    sqs.receive(url, VisibilityTimeout=2)
    start = sqs.now()
    (message,) = sqs.receive(url, WaitTimeSeconds=10)
    assert sqs.now() - start <= 2 + sqs.slack
    sqs.delete(url, message)
    sqs.send(url, "y", DelaySeconds=2)
    start = sqs.now()
    assert sqs.bodies(url, WaitTimeSeconds=10) == ["y"]
    assert sqs.now() - start <= 2 + sqs.slack


def test_11_a_long_poll_does_not_wait_to_be_full(sqs: Sqs) -> None:
    """A long poll does not wait to be full."""
    url = sqs.queue()
    sqs.send(url, "a", "b")
    start = sqs.now()
    assert sorted(sqs.bodies(url, 3, WaitTimeSeconds=5)) == ["a", "b"]
    assert sqs.now() - start <= sqs.slack


def test_12_no_wait_takes_the_queues_and_zero_overrides_it(sqs: Sqs) -> None:
    """No wait takes the queue's and zero overrides it."""
    url = sqs.queue({"ReceiveMessageWaitTimeSeconds": "3"})
    start = sqs.now()
    sqs.client.receive_message(QueueUrl=url, WaitTimeSeconds=0)
    assert sqs.now() - start <= sqs.slack
    start = sqs.now()
    sqs.client.receive_message(QueueUrl=url)
    assert 3 <= sqs.now() - start <= 3 + sqs.slack


def test_13_200_open_polls_block_neither_sends_nor_each_other(server: Server, http: Sqs) -> None:
    """200 open polls block neither sends nor each other."""
    urls = [http.queue() for _ in range(20)]
    with ExitStack() as stack:
        socks = [stack.enter_context(open_poll(server, url)) for url in urls for _ in range(10)]
        assert parked(server, 200)
        start = SYSTEM.lease()
        http.send(urls[7], "x")
        (message,) = answer(socks[70])["Messages"]  # the longest waiting poll of that queue
        assert message["Body"] == "x"
        assert SYSTEM.lease() - start < AT_ONCE
        assert server.get("state")["parked"] == 199
    assert parked(server, 0)


def test_13_a_poll_on_a_deleted_queue_ends_by_its_deadline_with_nothing(server: Server, http: Sqs) -> None:
    """A poll on a deleted queue ends by its deadline with nothing, whatever the queue held, or is called since."""
    url = http.queue(fifo=True)
    http.send(url, "hidden", "behind", MessageGroupId="g")
    http.receive(url, 1, VisibilityTimeout=1)  # would be received within the poll's time
    start = SYSTEM.lease()
    with open_poll(server, url, wait=2) as sock:
        assert parked(server, 1)
        http.client.delete_queue(QueueUrl=url)
        http.client.create_queue(QueueName=url.rpartition("/")[2], Attributes={"FifoQueue": "true"})
        http.send(url, "of the new queue", MessageGroupId="g")
        assert "Messages" not in answer(sock)
    assert SYSTEM.lease() - start < 2 + AT_ONCE
    assert parked(server, 0)
    assert http.bodies(url) == ["of the new queue"]


def test_14_a_dropped_connection_does_not_swallow_the_next_message(server: Server, http: Sqs) -> None:
    """A dropped connection does not swallow the next message."""
    url = http.queue()
    with open_poll(server, url):
        assert parked(server, 1)
    http.send(url, "x")
    assert http.bodies(url, WaitTimeSeconds=5) == ["x"]


def test_14_nor_does_one_that_is_dropped_while_the_send_is_on_its_way(server: Server, http: Sqs) -> None:
    """Nor does one that is dropped while the send is on its way."""
    url = http.queue()
    with closing(boto3_client(server.url)) as other:
        other.list_queues()
        for number in range(20):
            with open_poll(server, url):
                assert parked(server, 1)
                sender = threading.Thread(
                    target=other.send_message, kwargs={"QueueUrl": url, "MessageBody": f"{number}"}
                )
            sender.start()
            (message,) = http.receive(url, WaitTimeSeconds=5)
            sender.join()
            assert (message["Body"], message["Attributes"]["ApproximateReceiveCount"]) == (f"{number}", "1")


@pytest.mark.ours  # AWS itself has been seen to give a message to a poll whose client was gone
@pytest.mark.needs_wire
def test_14_nor_does_one_at_another_door(sqs: Sqs) -> None:
    """A dropped connection swallows no message: the send comes after it, and the next receive gets what is sent."""
    url = sqs.queue()
    with socket.create_connection((urlsplit(sqs.url).hostname, urlsplit(sqs.url).port), timeout=GLOBAL) as sock:
        sock.sendall(poll_request(url, 20))
        sqs.client.list_queues()  # answered after the poll has reached the server
    sqs.client.list_queues()
    sqs.send(url, "x")
    assert sqs.bodies(url, WaitTimeSeconds=2) == ["x"]


@pytest.mark.differs(
    "roto-aws",
    aws=(
        "MD5OfMessageAttributes: an MD5 digest of the non-URL-encoded message attribute string of what is "
        "returned; names end in .* for a prefix."
    ),
)
def test_15_attributes_come_only_if_asked_for_and_the_digest_covers_what_comes(sqs: Sqs) -> None:
    """Attributes come only if asked for and the digest covers what comes."""
    url = sqs.queue({"VisibilityTimeout": "0"})
    names = ("Foo.Bar", "Foo.Baz", "Other")
    attributes = {name: {"DataType": "String", "StringValue": name} for name in names}
    (sent,) = sqs.send(url, "x", MessageAttributes=attributes)
    plain = sqs.client.receive_message(QueueUrl=url)["Messages"][0]
    assert sorted(plain) == ["Body", "MD5OfBody", "MessageId", "ReceiptHandle"]
    for asked, expected in (
        (["All"], set(names)),
        ([".*"], set(names)),
        (["Foo.*"], {"Foo.Bar", "Foo.Baz"}),
        (["Other", "None"], {"Other"}),
        (["None"], set()),
    ):
        (message,) = sqs.receive(url, MessageAttributeNames=asked)
        assert set(message.get("MessageAttributes", {})) == expected
        whole = message.get("MD5OfMessageAttributes") == sent["MD5OfMessageAttributes"]
        assert whole == (expected == set(names))
    (message,) = sqs.receive(url, MessageSystemAttributeNames=["SentTimestamp"])
    assert set(message["Attributes"]) == {"SentTimestamp"}
    (message,) = sqs.receive(url, MessageSystemAttributeNames=[], AttributeNames=["SenderId", "Nonsense"])
    assert set(message["Attributes"]) == {"SenderId"}


def test_16_never_more_than_asked(sqs: Sqs) -> None:
    """Never more than asked."""
    url = sqs.queue()
    sqs.send(url, *"abcd")
    assert [len(sqs.receive(url, most)) for most in (1, 2, 10)] == [1, 2, 1]


@pytest.mark.differs(
    "roto-aws",
    aws="MaximumMessageSize: Valid values: An integer from 1,024 bytes (1 KiB) up to 1,048,576 bytes (1 MiB).",
)
def test_16_ten_of_the_largest_come_in_one_receive(sqs: Sqs) -> None:
    """Ten of the largest come in one receive."""
    url = sqs.queue()
    body = "x" * 1_048_576
    sqs.send(url, *[body] * 10)
    received = sqs.receive(url)
    assert len(received) == 10
    assert all(message["Body"] == body for message in received)
