from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from tests.support.local_sqs import Sqs, Virtual
from tests.support.refused import PREFIX, invalid, refused


def with_dead_letters(sqs: Sqs, receives: int, *, fifo: bool = False, **attributes: object) -> tuple[str, str]:
    """A queue and its dead-letter queue; `attributes` are those of the latter."""
    target = sqs.queue(attributes, fifo=fifo)
    policy = {"deadLetterTargetArn": sqs.arn(target), "maxReceiveCount": receives}
    return sqs.queue({"RedrivePolicy": policy, "MessageRetentionPeriod": "600"}, fifo=fifo), target


@pytest.mark.parametrize("receives", [1, 3])
def test_56_after_its_receives_a_message_moves_and_keeps_what_it_was(virtual: Virtual, receives: int) -> None:
    """After its receives a message moves and keeps what it was."""
    url, target = with_dead_letters(virtual, receives)
    attributes = {"a": {"DataType": "Number", "StringValue": "1"}}
    (sent,) = virtual.send(url, "x", MessageAttributes=attributes)
    for count in range(1, receives + 1):
        (message,) = virtual.receive(url)
        assert message["Attributes"]["ApproximateReceiveCount"] == str(count)
        virtual.advance(30)
        assert virtual.counts(target) == (0, 0, 0)  # not by expiry, but by the receive that would be one too many
    assert virtual.receive(url) == []
    assert (virtual.counts(url), virtual.counts(target)) == ((0, 0, 0), (1, 0, 0))
    (dead,) = virtual.receive(target)
    assert dead["MessageId"] == sent["MessageId"]
    assert dead["MessageAttributes"] == attributes
    assert dead["Attributes"]["SentTimestamp"] == message["Attributes"]["SentTimestamp"]
    assert dead["Attributes"]["ApproximateReceiveCount"] == str(receives + 1)
    assert dead["Attributes"]["DeadLetterQueueSourceArn"] == virtual.arn(url)
    moved = next(event for event in virtual.events(url) if event["what"] == "moved")
    assert moved["target"] == target.rpartition("/")[2]
    virtual.delete(url, message)  # its handle is of the source, where it is no more
    assert virtual.counts(target) == (0, 1, 0)


def test_56_the_policy_names_a_queue_that_exists_and_is_of_the_same_kind(sqs: Sqs) -> None:
    """The policy names a queue that exists and is of the same kind."""
    url, target = sqs.queue(), sqs.queue()
    fifo = sqs.arn(sqs.queue(fifo=True))
    good = {"deadLetterTargetArn": sqs.arn(target), "maxReceiveCount": "5"}
    for change in (
        {"deadLetterTargetArn": sqs.arn(target) + "-not"},
        {"deadLetterTargetArn": fifo},
        {"maxReceiveCount": 0},
        {"maxReceiveCount": 1_001},
        {"maxReceiveCount": "many"},
    ):
        with invalid("RedrivePolicy"):
            redrive(sqs, url, {**good, **change})
    with invalid("RedrivePolicy"):
        sqs.client.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": "not JSON"})
    redrive(sqs, url, good)
    found = sqs.client.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]
    assert json.loads(found["RedrivePolicy"]) == good
    sqs.client.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": ""})
    assert "Attributes" not in sqs.client.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])


def redrive(sqs: Sqs, url: str, policy: Mapping[str, object]) -> None:
    """Set a redrive policy."""
    sqs.client.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": json.dumps(policy)})


def test_57_fifo_after_the_move_the_next_is_delivered_and_order_is_kept(virtual: Virtual) -> None:
    """On FIFO queues, after the move the next is delivered and order is kept."""
    url, target = with_dead_letters(virtual, 1, fifo=True)
    virtual.send(url, "a", "b", "c", MessageGroupId="g")
    assert virtual.bodies(url, 2) == ["a", "b"]
    virtual.advance(30)
    assert virtual.bodies(url) == ["c"]
    dead = virtual.receive(target)
    assert [message["Body"] for message in dead] == ["a", "b"]
    assert [message["Attributes"]["MessageDeduplicationId"] for message in dead] == [
        message["MessageId"] for message in dead
    ]


def test_57_fifo_one_receive_moves_the_head_and_takes_all_that_stands_behind_it(virtual: Virtual) -> None:
    """On FIFO queues, one receive moves the head and takes all that stands behind it."""
    url, target = with_dead_letters(virtual, 1, fifo=True)
    virtual.send(url, "a", "b", "c", "d", MessageGroupId="g")
    assert virtual.bodies(url, 1, VisibilityTimeout=0) == ["a"]
    assert virtual.bodies(url, 3) == ["b", "c", "d"]
    assert virtual.counts(target) == (1, 0, 0)


def test_61_retention_ends_visible_delayed_and_in_flight_messages(virtual: Virtual) -> None:
    """Retention ends visible delayed and in flight messages."""
    url = virtual.queue({"MessageRetentionPeriod": "60"})
    virtual.send(url, "in flight", "visible")
    assert virtual.bodies(url, 1, VisibilityTimeout=600) == ["in flight"]
    virtual.send(url, "delayed", DelaySeconds=300)
    assert virtual.counts(url) == (1, 1, 1)
    virtual.advance(59)
    assert virtual.counts(url) == (1, 1, 1)
    virtual.advance(1)
    assert virtual.counts(url) == (0, 0, 0)
    assert [event["what"] for event in virtual.events(url)][-3:] == ["retired"] * 3


def test_61_a_changed_period_counts_for_what_is_there(virtual: Virtual) -> None:
    """A changed period counts for what is there."""
    url = virtual.queue()
    virtual.send(url, "x")
    virtual.advance(90)
    virtual.client.set_queue_attributes(QueueUrl=url, Attributes={"MessageRetentionPeriod": "60"})
    assert virtual.counts(url) == (0, 0, 0)


@pytest.mark.parametrize("fifo", [False, True])
def test_61_a_dead_letter_keeps_its_time_on_standard_and_starts_anew_on_fifo(virtual: Virtual, fifo: bool) -> None:
    """A dead letter keeps its time on standard and starts anew on FIFO."""
    url, target = with_dead_letters(virtual, 1, fifo=fifo, MessageRetentionPeriod="100")
    virtual.send(url, "x", **({"MessageGroupId": "g"} if fifo else {}))
    virtual.receive(url)
    virtual.advance(80)
    virtual.receive(url)
    assert virtual.counts(target) == (1, 0, 0)
    virtual.advance(20)
    assert virtual.counts(target) == ((1, 0, 0) if fifo else (0, 0, 0))
    virtual.advance(80)
    assert virtual.counts(target) == (0, 0, 0)


def test_63_the_same_queue_again_is_the_same_and_another_is_refused_by_name(sqs: Sqs) -> None:
    """The same queue again is the same and another is refused by name."""
    url = sqs.queue({"VisibilityTimeout": "5"})
    name = url.rpartition("/")[2]
    for attributes in ({}, {"VisibilityTimeout": "5"}, {"VisibilityTimeout": "5", "DelaySeconds": "0"}):
        assert sqs.client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"] == url
    with refused("QueueNameExists", "QueueAlreadyExists", "DelaySeconds", 400):
        sqs.client.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "5", "DelaySeconds": "1"})


def test_65_unknown_attributes_are_refused_and_defaults_are_those_of_the_documents(sqs: Sqs) -> None:
    """Unknown attributes are refused and defaults are those of the documents."""
    url = sqs.queue()
    with refused("InvalidAttributeName", words="Unknown Attribute Colour."):
        sqs.client.get_queue_attributes(QueueUrl=url, AttributeNames=["Colour"])
    with refused("InvalidAttributeName", words="Colour"):
        sqs.client.set_queue_attributes(QueueUrl=url, Attributes={"Colour": "red"})
    for name, bad in (
        ("VisibilityTimeout", "43201"),
        ("DelaySeconds", "-1"),
        ("MessageRetentionPeriod", "59"),
        ("MaximumMessageSize", "1023"),
        ("ReceiveMessageWaitTimeSeconds", "x"),
    ):
        with refused("InvalidAttributeValue", words=name):
            sqs.client.set_queue_attributes(QueueUrl=url, Attributes={name: bad})
    assert "Attributes" not in sqs.client.get_queue_attributes(QueueUrl=url)
    found = sqs.client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    expected = {
        "DelaySeconds": "0",
        "MaximumMessageSize": "1048576",
        "MessageRetentionPeriod": "345600",
        "ReceiveMessageWaitTimeSeconds": "0",
        "VisibilityTimeout": "30",
        "ApproximateNumberOfMessages": "0",
        "ApproximateNumberOfMessagesNotVisible": "0",
        "ApproximateNumberOfMessagesDelayed": "0",
    }
    assert expected.items() <= found.items()
    assert found["QueueArn"].endswith(":" + url.rpartition("/")[2])
    assert found["CreatedTimestamp"].isdigit()


def test_65_the_three_counters_are_right(sqs: Sqs) -> None:
    """The three counters are right."""
    url = sqs.queue()
    sqs.send(url, *"abcde")
    sqs.send(url, "later", DelaySeconds=600)
    first, *_ = sqs.receive(url, 3)
    assert sqs.counts(url) == (2, 3, 1)
    sqs.delete(url, first)
    assert sqs.counts(url) == (2, 2, 1)


def test_66_pages_of_queues_hold_all_and_none_twice(virtual: Virtual) -> None:
    """Pages of queues hold all and none twice."""
    urls = sorted(virtual.queue() for _ in range(7))
    other = virtual.client.create_queue(QueueName="other")["QueueUrl"]
    assert virtual.client.list_queues()["QueueUrls"] == [*urls, other]
    assert "NextToken" not in virtual.client.list_queues()
    pages, token = [], {}
    while True:
        page = virtual.client.list_queues(QueueNamePrefix="it-", MaxResults=3, **token)
        pages.append(page["QueueUrls"])
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [url for page in pages for url in page] == urls
    assert "QueueUrls" not in virtual.client.list_queues(QueueNamePrefix="none")
    with invalid("NextToken"):
        virtual.client.list_queues(QueueNamePrefix="it-", NextToken="other")
    with invalid("MaxResults"):
        virtual.client.list_queues(MaxResults=1_001)


def test_a_queue_of_another_account_does_not_exist(sqs: Sqs) -> None:
    """A queue of another account does not exist."""
    name = sqs.queue().rpartition("/")[2]
    with refused("QueueDoesNotExist", PREFIX + "NonExistentQueue"):
        sqs.client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId="123456789012")
