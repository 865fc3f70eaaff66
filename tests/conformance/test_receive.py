from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection

import pytest

from hadoken.clock import SYSTEM
from tests.support import polls
from tests.support.digests import attribute_digest
from tests.support.local_sqs import Server, Sqs, boto3_client
from tests.support.polls import open_poll
from tests.support.refused import invalid
from tests.support.waiting import GLOBAL, wait_until

# Seconds within which a parked poll answers what wakes it: a liveness bound on a loaded machine, far below a poll's 20.
# That nothing is waited for in between is shown exactly in virtual time.
AT_ONCE = 2.0


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


def after_send(sqs: Sqs) -> tuple[str, float, Callable[[], object]]:
    """A queue, seconds, and what to do so that after them a poll gets what is sent."""
    url = sqs.queue()
    return url, 0, lambda: sqs.send(url, "x")


def after_expiry(sqs: Sqs) -> tuple[str, float, Callable[[], object]]:
    """A queue, seconds, and what to do so that after them a poll gets what has lost its lease."""
    url = sqs.queue()
    sqs.send(url, "x")
    sqs.receive(url, VisibilityTimeout=1)
    return url, 1, lambda: None


def after_delay(sqs: Sqs) -> tuple[str, float, Callable[[], object]]:
    """A queue, seconds, and what to do so that after them a poll gets what was delayed."""
    url = sqs.queue()
    return url, 1, lambda: sqs.send(url, "x", DelaySeconds=1)


def after_unblocking(sqs: Sqs) -> tuple[str, float, Callable[[], object]]:
    """A queue, seconds, and what to do so that after them a poll gets what stood behind a head that is deleted."""
    url = sqs.queue(fifo=True)
    sqs.send(url, "head", "x", MessageGroupId="g")
    (head,) = sqs.receive(url, 1)
    return url, 0, lambda: sqs.delete(url, head)


WAKES = [after_send, after_expiry, after_delay, after_unblocking]
Prepare = Callable[[Sqs], tuple[str, float, Callable[[], object]]]


@pytest.mark.differs(
    "moto",
    aws=(
        "WaitTimeSeconds: the duration for which the call waits for a message to arrive. If a message is available, "
        "the call returns sooner than WaitTimeSeconds."
    ),
    only=("after_unblocking",),
)
@pytest.mark.parametrize("prepare", WAKES)
def test_10_a_long_poll_answers_at_once_when_something_can_be_received(sqs: Sqs, prepare: Prepare) -> None:
    """A long poll answers at once when something can be received: in virtual time, at that very moment."""
    url, seconds, act = prepare(sqs)
    start = sqs.now()
    with sqs.poll(url, wait=5) as poll:
        act()
        sqs.advance(seconds)
        (message,) = poll.answer()["Messages"]
    assert message["Body"] == "x"
    assert sqs.now() - start <= seconds + sqs.slack


@pytest.mark.parametrize("prepare", WAKES)
def test_in_real_time_a_long_poll_answers_at_once_too(server: Server, http: Sqs, prepare: Prepare) -> None:
    """And so it does in real time, where a timer has to ring for what time alone brings about."""
    url, seconds, act = prepare(http)
    start = SYSTEM.lease()
    with open_poll(server.url, url) as poll:
        assert parked(server, 1)
        act()
        (message,) = poll.answer()["Messages"]
    assert message["Body"] == "x"
    assert SYSTEM.lease() - start < seconds + AT_ONCE


def test_10_a_long_poll_sees_a_lease_and_a_delay_end(sqs: Sqs) -> None:
    """A long poll sees a lease and a delay end, not before and at once."""
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
    """200 open polls block neither sends nor each other: one is answered alone, then each by a message of its own."""
    urls = [http.queue() for _ in range(20)]
    with ExitStack() as stack:
        polls = {url: [stack.enter_context(open_poll(server.url, url)) for _ in range(10)] for url in urls}
        assert parked(server, 200)
        start = SYSTEM.lease()
        http.send(urls[7], "x")
        (message,) = polls[urls[7]].pop(0).answer()["Messages"]  # the longest waiting poll of that queue
        assert message["Body"] == "x"
        assert SYSTEM.lease() - start < AT_ONCE
        assert server.get("state")["parked"] == 199
        for url in urls:
            sent = [str(number) for number in range(len(polls[url]))]
            http.send(url, *sent)
            answers = [poll.answer()["Messages"] for poll in polls[url]]
            assert [[message["Body"] for message in answer] for answer in answers] == [[body] for body in sent]
    assert parked(server, 0)


def test_13_a_poll_on_a_deleted_queue_ends_by_its_deadline_with_nothing(server: Server, http: Sqs) -> None:
    """A poll on a deleted queue ends by its deadline with nothing, whatever the queue held, or is called since."""
    url = http.queue(fifo=True)
    http.send(url, "hidden", "behind", MessageGroupId="g")
    http.receive(url, 1, VisibilityTimeout=1)  # would be received within the poll's time
    start = SYSTEM.lease()
    with open_poll(server.url, url, wait=2) as poll:
        assert parked(server, 1)
        http.client.delete_queue(QueueUrl=url)
        http.client.create_queue(QueueName=url.rpartition("/")[2], Attributes={"FifoQueue": "true"})
        http.send(url, "of the new queue", MessageGroupId="g")
        assert "Messages" not in poll.answer()
    assert SYSTEM.lease() - start < 2 + AT_ONCE
    assert parked(server, 0)
    assert http.bodies(url) == ["of the new queue"]


def test_14_a_dropped_connection_does_not_swallow_the_next_message(server: Server, http: Sqs) -> None:
    """A dropped connection does not swallow the next message."""
    url = http.queue()
    with open_poll(server.url, url):
        assert parked(server, 1)
    http.send(url, "x")
    assert http.bodies(url, WaitTimeSeconds=5) == ["x"]


def test_14_nor_does_one_that_is_dropped_while_the_send_is_on_its_way(server: Server, http: Sqs) -> None:
    """Nor does one that is dropped while the send is on its way."""
    url = http.queue()
    with closing(boto3_client(server.url)) as other:
        other.list_queues()
        for number in range(20):
            with open_poll(server.url, url):
                assert parked(server, 1)
                sender = threading.Thread(
                    target=other.send_message, kwargs={"QueueUrl": url, "MessageBody": f"{number}"}
                )
            sender.start()
            (message,) = http.receive(url, WaitTimeSeconds=5)
            sender.join()
            assert (message["Body"], message["Attributes"]["ApproximateReceiveCount"]) == (f"{number}", "1")


def test_14_nor_does_one_whose_end_is_read_together_with_the_send(server: Server, http: Sqs) -> None:
    """A server that finds a send and the end of a poll at once, the send first, gives the message to nobody."""
    url = http.queue()
    body = json.dumps({"QueueUrl": url, "MessageBody": "x"}).encode()
    for _ in range(5):
        with closing(HTTPConnection("127.0.0.1", server.port, timeout=GLOBAL)) as sender:
            sender.connect()
            with ExitStack() as stopped, open_poll(server.url, url):
                assert parked(server, 1)
                os.kill(server.pid, signal.SIGSTOP)
                stopped.callback(os.kill, server.pid, signal.SIGCONT)
                sender.request("POST", "/", body, polls.headers("AmazonSQS.SendMessage"))
            assert sender.getresponse().status == 200
        (message,) = http.receive(url, WaitTimeSeconds=5)
        assert message["Attributes"]["ApproximateReceiveCount"] == "1"
        http.delete(url, message)


@contextmanager
def swallowing(server: Server) -> Iterator[None]:
    """A fault script by which the next receive takes messages although its client is gone."""
    script = json.dumps({"rules": [{"operation": "ReceiveMessage", "swallow": True, "nth": 1}]})
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=GLOBAL)) as admin:
        admin.request("POST", "/_hadoken/faults", script)
        response = admin.getresponse()
        assert response.status == 200, response.read()
        response.read()
        yield
        admin.request("DELETE", "/_hadoken/faults")
        assert admin.getresponse().status == 200


def test_14_except_when_the_fault_script_says_so(server: Server, http: Sqs) -> None:
    """A dropped connection swallows the next message where the fault script says so; it comes after its timeout."""
    url = http.queue({"VisibilityTimeout": "1"})
    with swallowing(server):
        with open_poll(server.url, url):
            assert parked(server, 1)
        http.send(url, "x")
        assert http.counts(url) == (0, 1, 0)
        (message,) = http.receive(url, WaitTimeSeconds=5)
    assert message["Attributes"]["ApproximateReceiveCount"] == "2"


@pytest.mark.ours  # AWS itself has been seen to give a message to a poll whose client was gone
@pytest.mark.needs_wire
def test_14_nor_does_one_at_another_door(sqs: Sqs) -> None:
    """A dropped connection swallows no message: the send comes after it, and the next receive gets what is sent."""
    url = sqs.queue()
    with sqs.poll(url):
        pass
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
    sqs.send(url, "x", MessageAttributes=attributes)
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
        covered = attribute_digest({name: attributes[name] for name in expected}) if expected else None
        assert message.get("MD5OfMessageAttributes") == covered
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
