from __future__ import annotations

import itertools

import pytest

from tests.support.local_sqs import Sqs
from tests.support.refused import invalid, missing, refused


@pytest.fixture
def three(sqs: Sqs) -> tuple[str, list[dict[str, str]]]:
    """A FIFO queue with m0 m1 m2 of one message_group_id, all in flight for 2 s."""
    url = sqs.queue({"VisibilityTimeout": "2"}, fifo=True)
    sqs.send(url, "m0", "m1", "m2", MessageGroupId="g")
    return url, sqs.receive(url)


@pytest.mark.differs(
    "moto",
    "ministack",
    "roto-aws",
    aws=(
        "Recorded: m0 m1 m2 received, one extended, the rest expired: what stands before the extended one is received."
    ),
    only=("1-expected1", "2-expected2"),
)
@pytest.mark.parametrize(("extended", "expected"), [(0, []), (1, ["m0"]), (2, ["m0", "m1"])])
def test_31_only_the_prefix_before_the_first_invisible_message_is_received(
    sqs: Sqs, three: tuple[str, list[dict[str, str]]], extended: int, expected: list[str]
) -> None:
    """Only the prefix before the first invisible message is received."""
    url, received = three
    sqs.change(url, received[extended], 600)
    sqs.advance(2)
    assert sqs.bodies(url) == expected


@pytest.mark.differs("moto", "ministack", "roto-aws", aws="Recorded: m0 released while m1 is in flight comes alone.")
def test_32_a_released_head_comes_alone_while_the_next_is_in_flight(sqs: Sqs) -> None:
    """A released head comes alone while the next is in flight."""
    url = sqs.queue(fifo=True)
    sqs.send(url, "m0", "m1", MessageGroupId="g")
    received = sqs.receive(url)
    sqs.send(url, "m2", MessageGroupId="g")
    sqs.send(url, "other", MessageGroupId="h")
    sqs.change(url, received[0], 0)
    assert sorted(sqs.bodies(url)) == ["m0", "other"]


def test_33_the_third_comes_when_both_before_it_are_deleted(sqs: Sqs) -> None:
    """The third comes when both before it are deleted."""
    url = sqs.queue(fifo=True)
    sqs.send(url, *"01234", MessageGroupId="g")
    first, second = sqs.receive(url, 2)
    sqs.delete(url, first)
    assert sqs.bodies(url) == []
    sqs.delete(url, second)
    assert sqs.bodies(url, 1) == ["2"]


@pytest.mark.differs(
    "moto",
    "ministack",
    "roto-aws",
    aws=(
        "When receiving messages from a FIFO queue with multiple message group IDs, SQS first attempts to "
        "return as many messages with the same message group ID as possible."
    ),
)
def test_34_as_many_as_possible_of_one_message_group_id_come_first(sqs: Sqs) -> None:
    """As many as possible of one message group id come first."""
    url = sqs.queue(fifo=True)
    for number, name in enumerate("abaa"):
        sqs.send(url, f"{name}{number}", MessageGroupId=name)
    assert sqs.bodies(url) == ["a0", "a2", "a3", "b1"]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=lambda order: "".join(map(str, order)))
def test_35_released_in_any_order_one_receive_takes_all(
    sqs: Sqs, three: tuple[str, list[dict[str, str]]], order: tuple[int, ...]
) -> None:
    """Released last to first, or in any other order before the next receive, one receive takes all, in their order."""
    url, received = three
    for position in order:
        sqs.change(url, received[position], 0)
    assert sqs.bodies(url) == ["m0", "m1", "m2"]


@pytest.mark.differs("moto", "ministack", "roto-aws", aws="Recorded: m0 released while m1 is in flight comes alone.")
def test_35_released_first_to_last_the_order_stays(sqs: Sqs, three: tuple[str, list[dict[str, str]]]) -> None:
    """Released first to last the order stays, and what is behind a message in flight stays away."""
    url, received = three
    sqs.change(url, received[0], 0)
    (head,) = sqs.receive(url, VisibilityTimeout=20)
    assert head["Body"] == "m0"
    sqs.change(url, received[1], 0)
    assert sqs.receive(url) == []
    sqs.delete(url, head)
    sqs.change(url, received[2], 0)
    assert sqs.bodies(url) == ["m1", "m2"]


@pytest.mark.differs("moto", aws="Recorded: an emptied message group works again, in order.")
def test_36_order_is_kept_after_expiry_and_an_emptied_message_group_id_works_again(
    sqs: Sqs, three: tuple[str, list[dict[str, str]]]
) -> None:
    """Order is kept after expiry and an emptied message group id works again."""
    url, _ = three
    sqs.advance(2)
    received = sqs.receive(url)
    assert [message["Body"] for message in received] == ["m0", "m1", "m2"]
    for message in received:
        sqs.delete(url, message)
    sqs.send(url, "m3", MessageGroupId="g")
    assert sqs.bodies(url) == ["m3"]


@pytest.mark.differs(
    "ministack",
    aws=(
        "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly."
    ),
)
def test_42_a_send_needs_a_message_group_id_and_a_deduplication_id(sqs: Sqs) -> None:
    """A send needs a message group id and a deduplication id."""
    url = sqs.queue(fifo=True)
    with missing("MessageGroupId"):
        sqs.client.send_message(QueueUrl=url, MessageBody="x", MessageDeduplicationId="d")
    with invalid("ContentBasedDeduplication"):
        sqs.client.send_message(QueueUrl=url, MessageBody="x", MessageGroupId="g")
    good = {"Id": "0", "MessageBody": "x", "MessageGroupId": "g", "MessageDeduplicationId": "d"}
    with invalid("ContentBasedDeduplication"):
        sqs.client.send_message_batch(
            QueueUrl=url, Entries=[good, {"Id": "1", "MessageBody": "x", "MessageGroupId": "g"}]
        )
    assert sqs.counts(url) == (0, 0, 0)
    content = sqs.queue({"ContentBasedDeduplication": "true"}, fifo=True)
    sqs.client.send_message(QueueUrl=content, MessageBody="x", MessageGroupId="g")
    assert sqs.counts(content) == (1, 0, 0)


def test_43_a_delay_of_a_message_is_refused(sqs: Sqs) -> None:
    """A delay of a message is refused."""
    with invalid("DelaySeconds"):
        sqs.send(sqs.queue(fifo=True), "x", MessageGroupId="g", DelaySeconds=2)


@pytest.mark.differs(
    "moto",
    "roto-aws",
    aws="When you set FifoQueue, you can't set DelaySeconds per message; recorded: zero counts as not set.",
)
def test_43_a_delay_of_zero_means_the_queues(sqs: Sqs) -> None:
    """A delay of zero means the queue's."""
    url = sqs.queue({"DelaySeconds": "2"}, fifo=True)
    sqs.send(url, "x", MessageGroupId="g", DelaySeconds=0)
    assert sqs.receive(url, WaitTimeSeconds=0) == []
    sqs.advance(2)
    assert sqs.bodies(url) == ["x"]


@pytest.mark.differs("moto", aws="SequenceNumber continues to increase for a particular MessageGroupId.")
def test_44_sequence_numbers_grow_and_equal_the_received_ones(sqs: Sqs) -> None:
    """Sequence numbers grow within each of two message group ids, and equal the received ones."""
    url = sqs.queue(fifo=True)
    # Five each, because another server's are drawn by lot, and the order of three is right by chance once in six runs.
    sent: dict[str, list[str]] = {"a": [], "b": []}
    for group in "ababababab":
        (answer,) = sqs.send(url, group, MessageGroupId=group)
        sent[group].append(answer["SequenceNumber"])
    for numbers in sent.values():
        assert numbers == sorted(set(numbers), key=int)
        if sqs.ours:
            assert {len(number) for number in numbers} == {20}
    received = [message["Attributes"] for message in sqs.receive(url) + sqs.receive(url)]
    for group, numbers in sent.items():
        assert [one["SequenceNumber"] for one in received if one["MessageGroupId"] == group] == numbers


@pytest.mark.differs(
    "moto",
    "ministack",
    aws="A FIFO queue name must end with the .fifo suffix; recorded: and the suffix needs the attribute.",
)
def test_45_fifo_is_a_suffix_and_an_attribute(sqs: Sqs) -> None:
    """FIFO is a suffix and an attribute, never one alone."""
    with invalid("FIFO queue"):
        sqs.client.create_queue(QueueName="it-plain", Attributes={"FifoQueue": "true"})
    with invalid("alphanumeric"):
        sqs.client.create_queue(QueueName="it-fifo.fifo")


@pytest.mark.differs("moto", "ministack", "roto-aws", aws="FifoQueue: You can't change it for an existing queue.")
def test_45_neither_changes(sqs: Sqs) -> None:
    """Neither changes."""
    with refused("InvalidAttributeName", words="FifoQueue"):
        sqs.client.set_queue_attributes(QueueUrl=sqs.queue(fifo=True), Attributes={"FifoQueue": "false"})
    with refused("InvalidAttributeName", words="FifoQueue"):
        sqs.client.set_queue_attributes(QueueUrl=sqs.queue(), Attributes={"FifoQueue": "true"})
    with refused("InvalidAttributeName", words="ContentBasedDeduplication"):
        sqs.client.set_queue_attributes(QueueUrl=sqs.queue(), Attributes={"ContentBasedDeduplication": "true"})
