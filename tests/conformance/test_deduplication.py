from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import pytest

from hadoken.local.state.eventlog import What
from tests.support.local_sqs import Sqs
from tests.support.ours import Ours

INTERVAL = 300


def send(sqs: Sqs, url: str, body: str = "x", name: str = "d", group: str = "g", **options: Any) -> Mapping[str, Any]:
    """Send one message under a deduplication id; "" sends none."""
    own = {"MessageDeduplicationId": name} if name else {}
    found: Mapping[str, Any] = sqs.client.send_message(
        QueueUrl=url, MessageBody=body, MessageGroupId=group, **own, **options
    )
    return found


def known_by(answer: Mapping[str, Any]) -> tuple[str, str]:
    """What a send says the message is known by."""
    return answer["MessageId"], answer["SequenceNumber"]


@pytest.mark.differs(
    "moto",
    aws=(
        "If a message with a particular MessageDeduplicationId is sent successfully, any messages sent with "
        "the same MessageDeduplicationId are accepted successfully but aren't delivered during the 5-minute "
        "deduplication interval."
    ),
)
def test_39_a_repeated_send_is_answered_with_the_first_message_and_delivered_once(sqs: Sqs) -> None:
    """A repeated send is answered with the first message and delivered once."""
    url = sqs.queue(fifo=True)
    first = send(sqs, url, "first")
    again = send(sqs, url, "another body")
    assert known_by(again) == known_by(first)
    assert again["MD5OfMessageBody"] == hashlib.md5(b"another body", usedforsecurity=False).hexdigest()
    assert sqs.bodies(url) == ["first"]
    assert sqs.counts(url) == (0, 1, 0)


@pytest.mark.differs(
    "moto",
    "roto-aws",
    aws=(
        "If a message with a particular MessageDeduplicationId is sent successfully, any messages sent with "
        "the same MessageDeduplicationId are accepted successfully but aren't delivered during the 5-minute "
        "deduplication interval."
    ),
)
def test_39_and_so_it_is_while_in_flight_and_after_the_delete(sqs: Sqs) -> None:
    """And so it is while in flight and after the delete."""
    url = sqs.queue(fifo=True)
    first = send(sqs, url)
    (message,) = sqs.receive(url)
    assert known_by(send(sqs, url)) == known_by(first)
    sqs.delete(url, message)
    assert known_by(send(sqs, url)) == known_by(first)
    assert sqs.receive(url) == []
    assert sqs.counts(url) == (0, 0, 0)


@pytest.mark.needs_time(2 * INTERVAL)
def test_39_five_minutes_count_from_the_first_send_and_then_it_is_a_new_message(sqs: Sqs) -> None:
    """Five minutes count from the first send and then it is a new message."""
    url = sqs.queue(fifo=True)
    first = send(sqs, url)
    sqs.advance(INTERVAL - 1)
    assert known_by(send(sqs, url)) == known_by(first)  # does not prolong it
    sqs.advance(1)
    second = send(sqs, url)
    assert second["MessageId"] != first["MessageId"]
    assert int(second["SequenceNumber"]) > int(first["SequenceNumber"])
    assert known_by(send(sqs, url)) == known_by(second)
    assert len(sqs.receive(url)) == 2


@pytest.mark.differs("moto", "ministack", aws="Recorded: an answer leaves a list or map out that has nothing in it.")
def test_39_entries_of_a_batch_are_deduplicated_against_the_past_and_each_other(sqs: Sqs) -> None:
    """Entries of a batch are deduplicated against the past and each other."""
    url = sqs.queue(fifo=True)
    before = send(sqs, url, "0", "old")
    names = ["old", "new", "new", "other", "old"]
    entries = [
        {"Id": str(at), "MessageBody": str(at), "MessageGroupId": "g", "MessageDeduplicationId": name}
        for at, name in enumerate(names)
    ]
    answer = sqs.client.send_message_batch(QueueUrl=url, Entries=entries)
    assert "Failed" not in answer
    known = {one["Id"]: known_by(one) for one in answer["Successful"]}
    assert known["0"] == known["4"] == known_by(before)
    assert known["1"] == known["2"]
    assert len(set(known.values())) == 3
    assert sqs.bodies(url) == ["0", "1", "3"]


@pytest.mark.differs(
    "moto",
    "roto-aws",
    aws=(
        "If a message contains characters outside the allowed set, Amazon SQS rejects the message and "
        "returns an InvalidMessageContents error."
    ),
)
def test_39_a_refused_send_is_not_remembered(sqs: Sqs) -> None:
    """A refused send is not remembered."""
    url = sqs.queue(fifo=True)
    entries = [
        {"Id": "bad", "MessageBody": "\x08", "MessageGroupId": "g", "MessageDeduplicationId": "d"},
        {"Id": "good", "MessageBody": "x", "MessageGroupId": "g", "MessageDeduplicationId": "d"},
    ]
    answer = sqs.client.send_message_batch(QueueUrl=url, Entries=entries)
    assert [one["Id"] for one in answer["Failed"]] == ["bad"]
    assert sqs.bodies(url) == ["x"]


def test_39_a_standard_queue_takes_no_deduplication_id(ours: Ours) -> None:
    """A standard queue remembers nothing: equal messages are two, in equal message group ids too."""
    url = ours.queue()
    ours.send(url, "x", "x", MessageGroupId="g")
    assert ours.bodies(url) == ["x", "x"]
    assert ours.held(url).sends == 0


def test_39_the_memory_ends_after_five_minutes_and_the_log_tells_repeats(ours: Ours) -> None:
    """The memory ends after five minutes and the log tells repeats."""
    url = ours.queue(fifo=True)
    for number in range(500):
        send(ours, url, name=str(number))
    repeated = send(ours, url, name="7")
    assert ours.held(url).sends == 500
    told = [event for event in ours.events(url) if event["what"] == What.DUPLICATE]
    assert [event["id"] for event in told] == [repeated["MessageId"]]
    ours.advance(INTERVAL)
    assert ours.held(url).sends == 0


def test_39_a_purge_forgets(ours: Ours) -> None:
    """What was sent before a purge can be sent again after it."""
    url = ours.queue(fifo=True)
    first = send(ours, url)
    ours.client.purge_queue(QueueUrl=url)
    assert send(ours, url)["MessageId"] != first["MessageId"]
    assert ours.bodies(url) == ["x"]


@pytest.mark.differs(
    "moto",
    "roto-aws",
    aws=("DeduplicationScope - Specifies whether message deduplication occurs at the message group or queue level."),
    only=("messageGroup",),
)
@pytest.mark.parametrize("scope", ["", "queue", "messageGroup"], ids=["default", "queue", "messageGroup"])
def test_40_one_id_in_two_message_groups_counts_by_the_scope(sqs: Sqs, scope: str) -> None:
    """One id in two message groups is one message of scope queue, the default, and two of scope messageGroup."""
    url = sqs.queue({"DeduplicationScope": scope} if scope else {}, fifo=True)
    for group in ("a", "b", "b"):
        send(sqs, url, group, group=group)
    received = sqs.bodies(url) + sqs.bodies(url)  # a receive may bring the messages of one alone
    assert sorted(received) == (["a", "b"] if scope == "messageGroup" else ["a"])


@pytest.mark.differs(
    "moto",
    aws=(
        "When ContentBasedDeduplication is in effect, messages with identical content sent within the "
        "deduplication interval are treated as duplicates and only one copy of the message is delivered."
    ),
)
def test_41_equal_bodies_are_duplicates_whatever_their_attributes(sqs: Sqs) -> None:
    """Equal bodies are duplicates whatever their attributes, and the id is the digest of the body."""
    url = sqs.queue({"ContentBasedDeduplication": "true"}, fifo=True)
    other = {"attribute": {"DataType": "String", "StringValue": "other"}}
    first = send(sqs, url, "größe", name="")
    assert known_by(send(sqs, url, "größe", name="", MessageAttributes=other)) == known_by(first)
    assert send(sqs, url, "grösse", name="")["MessageId"] != first["MessageId"]
    received = sqs.receive(url)
    assert [one["Body"] for one in received] == ["größe", "grösse"]
    digest = hashlib.sha256("größe".encode()).hexdigest()
    assert received[0]["Attributes"]["MessageDeduplicationId"] == digest
    assert "MessageAttributes" not in received[0]  # the first is kept, not the last


@pytest.mark.differs(
    "moto",
    aws=(
        "When ContentBasedDeduplication is in effect, messages with identical content sent within the "
        "deduplication interval are treated as duplicates and only one copy of the message is delivered."
    ),
)
def test_41_an_id_of_its_own_beats_the_content(sqs: Sqs) -> None:
    """An id of its own beats the content: equal bodies are two messages, and the id may be another body's digest."""
    url = sqs.queue({"ContentBasedDeduplication": "true"}, fifo=True)
    first = send(sqs, url, "x", name="one")
    assert send(sqs, url, "x", name="two")["MessageId"] != first["MessageId"]
    by_content = send(sqs, url, "y", name="")
    digest = hashlib.sha256(b"y").hexdigest()
    assert known_by(send(sqs, url, "z", name=digest)) == known_by(by_content)
    assert sqs.bodies(url) == ["x", "x", "y"]
