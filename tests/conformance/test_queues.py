from __future__ import annotations

import json
import secrets
from collections.abc import Mapping

import pytest

from tests.support.local_sqs import Sqs
from tests.support.refused import PREFIX, invalid, refused


def with_dead_letters(sqs: Sqs, receives: int, *, fifo: bool = False, **attributes: object) -> tuple[str, str]:
    """A queue and its dead-letter queue; `attributes` are those of the latter."""
    target = sqs.queue(attributes, fifo=fifo)
    policy = {"deadLetterTargetArn": sqs.arn(target), "maxReceiveCount": receives}
    return sqs.queue({"RedrivePolicy": policy, "MessageRetentionPeriod": "600"}, fifo=fifo), target


@pytest.mark.differs("roto-aws", aws="Recorded: a dead letter keeps its id, attributes, SentTimestamp and count.")
@pytest.mark.parametrize("receives", [1, 3])
def test_56_after_its_receives_a_message_moves_and_keeps_what_it_was(sqs: Sqs, receives: int) -> None:
    """After its receives a message moves and keeps what it was."""
    url, target = with_dead_letters(sqs, receives, VisibilityTimeout="1")
    attributes = {"a": {"DataType": "Number", "StringValue": "1"}}
    (sent,) = sqs.send(url, "x", MessageAttributes=attributes)
    for count in range(1, receives + 1):
        (message,) = sqs.receive(url, VisibilityTimeout=1)
        assert message["Attributes"]["ApproximateReceiveCount"] == str(count)
        sqs.advance(1)
    assert sqs.receive(target) == []  # not by expiry, but by the receive that would be one too many
    assert sqs.receive(url) == []
    (dead,) = sqs.receive(target)
    assert dead["MessageId"] == sent["MessageId"]
    assert dead["MessageAttributes"] == attributes
    assert dead["Attributes"]["SentTimestamp"] == message["Attributes"]["SentTimestamp"]
    assert dead["Attributes"]["ApproximateReceiveCount"] == str(receives + 1)
    assert sqs.counts(url) == (0, 0, 0)


@pytest.mark.differs(
    "moto",
    "roto-aws",
    aws=(
        "DeadLetterQueueSourceArn: the message attribute of a dead letter that names the queue it came from (recorded)."
    ),
)
def test_56_a_dead_letter_names_its_source(sqs: Sqs) -> None:
    """A dead letter names its source."""
    url, target = with_dead_letters(sqs, 1)
    sqs.send(url, "x")
    sqs.receive(url, VisibilityTimeout=0)
    assert sqs.receive(url) == []
    (dead,) = sqs.receive(target)
    assert dead["Attributes"]["DeadLetterQueueSourceArn"] == sqs.arn(url)


@pytest.mark.ours
def test_56_the_move_is_logged_and_old_handles_do_not_follow(sqs: Sqs) -> None:
    """The move is logged and old handles do not follow."""
    url, target = with_dead_letters(sqs, 1)
    sqs.send(url, "x")
    (message,) = sqs.receive(url, VisibilityTimeout=0)
    assert sqs.receive(url) == []
    moved = next(event for event in sqs.events(url) if event["what"] == "moved")
    assert moved["target"] == target.rpartition("/")[2]
    sqs.delete(url, message)  # its handle is of the source, where it is no more
    assert sqs.counts(target) == (1, 0, 0)


@pytest.mark.differs(
    "moto",
    "ministack",
    "roto-aws",
    aws=(
        "The dead-letter queue of a FIFO queue must also be a FIFO queue; of one that does not exist AWS "
        "says InvalidParameterValue, Dead letter target does not exist."
    ),
)
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
        {"maxReceiveCount": None},
        {"deadLetterTargetArn": None},
    ):
        with invalid("RedrivePolicy"):
            redrive(sqs, url, {**good, **change})
    with invalid("RedrivePolicy"):
        sqs.client.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": "not JSON"})


def test_56_a_policy_is_given_back_and_removed_by_nothing(sqs: Sqs) -> None:
    """A policy is given back and removed by an empty one."""
    url, target = sqs.queue(), sqs.queue()
    good = {"deadLetterTargetArn": sqs.arn(target), "maxReceiveCount": "5"}
    redrive(sqs, url, good)
    found = sqs.client.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]
    given = json.loads(found["RedrivePolicy"])
    assert {**given, "maxReceiveCount": str(given["maxReceiveCount"])} == good
    sqs.client.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": ""})
    assert not sqs.client.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"]).get("Attributes")


def redrive(sqs: Sqs, url: str, policy: Mapping[str, object]) -> None:
    """Set a redrive policy."""
    sqs.client.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": json.dumps(policy)})


@pytest.mark.differs("moto", aws="Recorded: after the move the next message of that message group is delivered.")
def test_57_fifo_after_the_move_the_next_is_delivered_and_order_is_kept(sqs: Sqs) -> None:
    """On FIFO queues, after the move the next is delivered and order is kept."""
    url, target = with_dead_letters(sqs, 1, fifo=True)
    sqs.send(url, "a", "b", "c", MessageGroupId="g")
    assert sqs.bodies(url, 2, VisibilityTimeout=1) == ["a", "b"]
    sqs.advance(1)
    assert sqs.bodies(url) == ["c"]
    assert sqs.bodies(target) == ["a", "b"]


@pytest.mark.differs(
    "moto",
    "ministack",
    "roto-aws",
    aws="A FIFO dead-letter queue gives a moved message its message id as deduplication id.",
)
def test_57_fifo_a_dead_letter_gets_its_id_as_deduplication_id(sqs: Sqs) -> None:
    """On FIFO queues, a dead letter gets its message id as deduplication id."""
    url, target = with_dead_letters(sqs, 1, fifo=True)
    sqs.send(url, "a", MessageGroupId="g")
    sqs.receive(url, VisibilityTimeout=0)
    assert sqs.receive(url) == []
    (dead,) = sqs.receive(target)
    assert dead["Attributes"]["MessageDeduplicationId"] == dead["MessageId"]
    assert dead["Attributes"]["MessageGroupId"] == "g"


def test_57_fifo_one_receive_moves_the_head_and_takes_all_that_stands_behind_it(sqs: Sqs) -> None:
    """On FIFO queues, one receive moves the head and takes all that stands behind it."""
    url, target = with_dead_letters(sqs, 1, fifo=True)
    sqs.send(url, "a", "b", "c", "d", MessageGroupId="g")
    assert sqs.bodies(url, 1, VisibilityTimeout=0) == ["a"]
    assert sqs.bodies(url, 3) == ["b", "c", "d"]
    assert sqs.counts(target) == (1, 0, 0)


@pytest.mark.needs_time(60)
def test_61_retention_ends_visible_delayed_and_in_flight_messages(sqs: Sqs) -> None:
    """Retention ends visible delayed and in flight messages."""
    url = sqs.queue({"MessageRetentionPeriod": "60"})
    sqs.send(url, "in flight", "visible")
    assert sqs.bodies(url, 1, VisibilityTimeout=600) == ["in flight"]
    sqs.send(url, "delayed", DelaySeconds=300)
    assert sqs.counts(url) == (1, 1, 1)
    sqs.advance(59)
    assert sqs.counts(url) == (1, 1, 1)
    sqs.advance(1)
    assert sqs.counts(url) == (0, 0, 0)
    if sqs.ours:
        assert [event["what"] for event in sqs.events(url)][-3:] == ["retired"] * 3


@pytest.mark.needs_time(90)
def test_61_a_changed_period_counts_for_what_is_there(sqs: Sqs) -> None:
    """A changed period counts for what is there."""
    url = sqs.queue()
    sqs.send(url, "x")
    sqs.advance(90)
    sqs.client.set_queue_attributes(QueueUrl=url, Attributes={"MessageRetentionPeriod": "60"})
    assert sqs.counts(url) == (0, 0, 0)


@pytest.mark.needs_time(180)
@pytest.mark.parametrize("fifo", [False, True])
def test_61_a_dead_letter_keeps_its_time_on_standard_and_starts_anew_on_fifo(sqs: Sqs, fifo: bool) -> None:
    """A dead letter keeps its time on standard and starts anew on FIFO."""
    url, target = with_dead_letters(sqs, 1, fifo=fifo, MessageRetentionPeriod="100")
    sqs.send(url, "x", **({"MessageGroupId": "g"} if fifo else {}))
    sqs.receive(url)
    sqs.advance(80)
    sqs.receive(url)
    assert sqs.counts(target) == (1, 0, 0)
    sqs.advance(20)
    assert sqs.counts(target) == ((1, 0, 0) if fifo else (0, 0, 0))
    sqs.advance(80)
    assert sqs.counts(target) == (0, 0, 0)


def test_63_the_same_queue_again_is_the_same(sqs: Sqs) -> None:
    """The same queue again is the same."""
    url = sqs.queue({"VisibilityTimeout": "5"})
    name = url.rpartition("/")[2]
    for attributes in ({}, {"VisibilityTimeout": "5"}, {"VisibilityTimeout": "5", "DelaySeconds": "0"}):
        assert sqs.client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"] == url


def test_63_another_queue_of_that_name_is_refused_by_the_attribute(sqs: Sqs) -> None:
    """Another queue of that name is refused, and the attribute is named."""
    name = sqs.queue({"VisibilityTimeout": "5"}).rpartition("/")[2]
    with refused("QueueNameExists", "QueueAlreadyExists", "DelaySeconds", 400):
        sqs.client.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "5", "DelaySeconds": "1"})


@pytest.mark.differs(
    "moto",
    "ministack",
    "roto-aws",
    aws="InvalidAttributeName: the specified attribute doesn't exist.",
)
def test_65_unknown_attributes_are_refused(sqs: Sqs) -> None:
    """Unknown attributes are refused."""
    url = sqs.queue()
    with refused("InvalidAttributeName", words="Unknown Attribute Colour."):
        sqs.client.get_queue_attributes(QueueUrl=url, AttributeNames=["Colour"])
    with refused("InvalidAttributeName", words="Colour"):
        sqs.client.set_queue_attributes(QueueUrl=url, Attributes={"Colour": "red"})


@pytest.mark.differs("moto", aws="InvalidAttributeValue: a queue attribute value is invalid.")
@pytest.mark.differs(
    "roto-aws",
    aws="InvalidAttributeValue: a queue attribute value is invalid.",
    only=("MessageRetentionPeriod-59",),
)
@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("VisibilityTimeout", "43201"),
        ("DelaySeconds", "-1"),
        ("MessageRetentionPeriod", "59"),
        ("MaximumMessageSize", "1023"),
        ("MaximumMessageSize", "1048577"),
        ("ReceiveMessageWaitTimeSeconds", "x"),
    ],
)
def test_65_values_out_of_range_are_refused(sqs: Sqs, name: str, bad: str) -> None:
    """Values out of range are refused."""
    url = sqs.queue()
    with refused("InvalidAttributeValue", words=name):
        sqs.client.set_queue_attributes(QueueUrl=url, Attributes={name: bad})


@pytest.mark.differs("ministack", aws="Recorded: an answer leaves a list or map out that has nothing in it.")
def test_65_attributes_come_only_if_asked_for(sqs: Sqs) -> None:
    """Attributes come only if asked for."""
    url = sqs.queue()
    assert "Attributes" not in sqs.client.get_queue_attributes(QueueUrl=url)


@pytest.mark.differs(
    "moto",
    "roto-aws",
    aws=(
        "MaximumMessageSize: Default: 1,048,576 bytes (1 MiB). CreatedTimestamp: the time when the queue was "
        "created in seconds (epoch time)."
    ),
)
def test_65_defaults_are_those_of_the_documents(sqs: Sqs) -> None:
    """Defaults are those of the documents."""
    url = sqs.queue()
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


def test_66_pages_of_queues_hold_all_and_none_twice(sqs: Sqs) -> None:
    """Pages of queues hold all and none twice."""
    prefix = f"{sqs.prefix}p{secrets.token_hex(4)}-"
    urls = {sqs.client.create_queue(QueueName=f"{prefix}{number}")["QueueUrl"] for number in range(7)}
    assert urls <= set(sqs.client.list_queues()["QueueUrls"])
    assert "NextToken" not in sqs.client.list_queues(QueueNamePrefix=prefix)
    pages, token = [], {}
    while len(pages) < 8:  # more pages than there are queues mean that the last is not told
        page = sqs.client.list_queues(QueueNamePrefix=prefix, MaxResults=3, **token)
        pages.append(page["QueueUrls"])
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert [len(page) for page in pages] == [3, 3, 1]
    assert {url for page in pages for url in page} == urls


@pytest.mark.differs("ministack", aws="Recorded: an answer leaves a list or map out that has nothing in it.")
def test_66_nothing_found_is_no_list(sqs: Sqs) -> None:
    """Nothing found is no list."""
    assert "QueueUrls" not in sqs.client.list_queues(QueueNamePrefix=f"{sqs.prefix}{secrets.token_hex(8)}")


@pytest.mark.ours  # AWS does not say what a token of nobody's is answered
def test_66_a_bad_token_is_refused(sqs: Sqs) -> None:
    """A bad token is refused."""
    with invalid("NextToken"):
        sqs.client.list_queues(QueueNamePrefix=sqs.prefix, NextToken="other")


@pytest.mark.differs("moto", "ministack", aws="MaxResults: Value range is 1 to 1000.")
def test_66_a_page_size_out_of_range_is_refused(sqs: Sqs) -> None:
    """A page size out of range is refused."""
    for bad in (0, 1_001):
        with invalid("MaxResults"):
            sqs.client.list_queues(MaxResults=bad)


def test_a_queue_of_another_account_does_not_exist(sqs: Sqs) -> None:
    """A queue of another account does not exist."""
    name = sqs.queue().rpartition("/")[2]
    with refused("QueueDoesNotExist", PREFIX + "NonExistentQueue"):
        sqs.client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId="111122223333")
