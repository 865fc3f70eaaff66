from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from hadoken.limits import MESSAGE_BYTES
from tests.support.digests import attribute_digest
from tests.support.local_sqs import Sqs
from tests.support.refused import PREFIX, invalid, missing, refused


def text(value: str, kind: str = "String") -> dict[str, str]:
    """An attribute that is text."""
    return {"DataType": kind, "StringValue": value}


def entries(*bodies: str) -> list[dict[str, Any]]:
    """Entries of a send batch, their positions as ids."""
    return [{"Id": f"{number}", "MessageBody": body} for number, body in enumerate(bodies)]


@pytest.mark.differs(
    "moto",
    aws="MaximumMessageSize: Valid values: An integer from 1,024 bytes (1 KiB) up to 1,048,576 bytes (1 MiB).",
)
@pytest.mark.differs(
    "roto-aws",
    aws="MaximumMessageSize: Valid values: An integer from 1,024 bytes (1 KiB) up to 1,048,576 bytes (1 MiB).",
    only=("1048576",),
)
@pytest.mark.parametrize("limit", [MESSAGE_BYTES, 1_024])
def test_46_a_message_at_the_limit_is_taken_and_one_byte_more_refused(sqs: Sqs, limit: int) -> None:
    """A message at the limit is taken and one byte more refused."""
    url = sqs.queue({"MaximumMessageSize": limit})
    sqs.send(url, "ü" * (limit // 2))
    with invalid(f"shorter than {limit} bytes"):
        sqs.send(url, "ü" * (limit // 2) + "x")
    assert sqs.counts(url) == (1, 0, 0)


@pytest.mark.differs(
    "moto",
    "ministack",
    "roto-aws",
    aws=(
        "All parts of the message attribute, including Name, Type, and Value, are part of the message size "
        "restriction (1 MiB or 1,048,576 bytes)."
    ),
)
@pytest.mark.parametrize("limit", [MESSAGE_BYTES, 1_024])
def test_46_attributes_count_by_name_type_and_value(sqs: Sqs, limit: int) -> None:
    """Attributes count by name, type and value."""
    url = sqs.queue({"MaximumMessageSize": limit})
    attributes = {"name": text("ü", "String.kind"), "data": {"DataType": "Binary", "BinaryValue": bytes(10)}}
    size = len("name") + len("String.kind") + 2 + len("data") + len("Binary") + 10
    sqs.send(url, "x" * (limit - size), MessageAttributes=attributes)
    with invalid(f"shorter than {limit} bytes"):
        sqs.send(url, "x" * (limit - size + 1), MessageAttributes=attributes)
    assert sqs.counts(url) == (1, 0, 0)


@pytest.mark.differs(
    "roto-aws",
    aws=(
        "The maximum allowed individual message size and the maximum total payload size are both 1 MiB "
        "(1,048,576 bytes)."
    ),
)
def test_47_a_batch_over_the_limit_is_refused_whole(sqs: Sqs) -> None:
    """A batch over the limit is refused whole."""
    url = sqs.queue()
    with refused("BatchRequestTooLong", PREFIX + "BatchRequestTooLong", "1048577"):
        sqs.client.send_message_batch(QueueUrl=url, Entries=entries("x" * 524_288, "x" * 524_289))
    assert sqs.counts(url) == (0, 0, 0)
    sqs.client.send_message_batch(QueueUrl=url, Entries=entries("x" * 524_288, "x" * 524_288))
    assert sqs.counts(url) == (2, 0, 0)


@pytest.mark.differs(
    "moto",
    "roto-aws",
    aws=(
        "Because the batch request can result in a combination of successful and unsuccessful actions, you "
        "should check for batch errors even when the call returns an HTTP status code of 200."
    ),
)
def test_47_an_entry_over_the_queues_limit_fails_alone(sqs: Sqs) -> None:
    """An entry over the queue's limit fails alone."""
    small = sqs.queue({"MaximumMessageSize": 1_024})
    answer = sqs.client.send_message_batch(QueueUrl=small, Entries=entries("a", "x" * 1_025, "c"))
    assert sorted(one["Id"] for one in answer["Successful"]) == ["0", "2"]
    assert [(one["Id"], one["Code"]) for one in answer["Failed"]] == [("1", "InvalidParameterValue")]
    assert sqs.counts(small) == (2, 0, 0)


@pytest.mark.differs(
    "moto",
    "roto-aws",
    aws=(
        "If a message contains characters outside the allowed set, Amazon SQS rejects the message and "
        "returns an InvalidMessageContents error. In a batch only that entry fails (recorded)."
    ),
)
def test_48_a_control_character_fails_its_entry_alone(sqs: Sqs) -> None:
    """A control character fails its entry alone."""
    url = sqs.queue()
    bodies = [f"{number}" for number in range(10)]
    bodies[6] = "a\x08b"
    answer = sqs.client.send_message_batch(QueueUrl=url, Entries=entries(*bodies))
    (failed,) = answer["Failed"]
    assert (failed["Id"], failed["Code"], failed["SenderFault"]) == ("6", "InvalidMessageContents", True)
    assert len(answer["Successful"]) == 9
    assert sqs.counts(url) == (9, 0, 0)


@pytest.mark.differs(
    "moto",
    "roto-aws",
    aws="Name, type, value and the message body must not be empty or null; recorded: MissingParameter.",
)
def test_49_an_empty_body_is_missing(sqs: Sqs) -> None:
    """An empty body is missing."""
    url = sqs.queue()
    with missing("MessageBody"):
        sqs.send(url, "")
    assert sqs.counts(url) == (0, 0, 0)


@pytest.mark.differs(
    "moto",
    "roto-aws",
    aws=(
        "If a message contains characters outside the allowed set, Amazon SQS rejects the message and "
        "returns an InvalidMessageContents error."
    ),
)
@pytest.mark.parametrize("character", ["\x00", "\x08", "\ufffe", "\uffff"], ids=["NUL", "BS", "FFFE", "FFFF"])
def test_49_a_body_with_a_refused_character_is_invalid(sqs: Sqs, character: str) -> None:
    """A body with a refused character is invalid."""
    url = sqs.queue()
    with refused("InvalidMessageContents", words="Invalid characters"):
        sqs.send(url, f"a{character}b")
    assert sqs.counts(url) == (0, 0, 0)


@pytest.mark.differs(
    "moto",
    "ministack",
    "roto-aws",
    aws=(
        "If a message contains characters outside the allowed set, Amazon SQS rejects the message; recorded: in a text "
        "attribute too."
    ),
)
@pytest.mark.parametrize("character", ["\x00", "\x08", "\ufffe", "\uffff"], ids=["NUL", "BS", "FFFE", "FFFF"])
def test_49_so_is_an_attribute(sqs: Sqs, character: str) -> None:
    """A text attribute with a refused character is refused as well; which error it is AWS does not say."""
    url = sqs.queue()
    with pytest.raises(ClientError) as caught:
        sqs.send(url, "x", MessageAttributes={"a": text(f"a{character}b")})
    assert caught.value.response["Error"]["Code"] in {"InvalidMessageContents", "InvalidParameterValue"}
    assert sqs.counts(url) == (0, 0, 0)


def test_49_all_other_characters_are_carried(sqs: Sqs) -> None:
    """All other characters are carried."""
    url = sqs.queue()
    allowed = "\t\n\r ~\x7f\ud7ff\ue000\ufffd\U00010000\U0010ffff"
    sqs.send(url, allowed)
    assert sqs.bodies(url) == [allowed]


BAD_BATCHES = [
    ([], "EmptyBatchRequest"),
    ([f"{number}" for number in range(11)], "TooManyEntriesInBatchRequest"),
    (["a", "b", "a"], "BatchEntryIdsNotDistinct"),
    (["a", ""], "InvalidBatchEntryId"),
    (["a", "b c"], "InvalidBatchEntryId"),
    (["a", "b" * 81], "InvalidBatchEntryId"),
]


@pytest.mark.differs(
    "moto",
    "roto-aws",
    aws=(
        "The Ids of a batch request need to be unique within a request; the model declares all batch errors "
        "with the prefix AWS.SimpleQueueService."
    ),
)
@pytest.mark.parametrize(("ids", "shape"), BAD_BATCHES)
def test_50_a_batch_with_bad_ids_is_refused_and_nothing_applied(sqs: Sqs, ids: list[str], shape: str) -> None:
    """A batch with bad ids is refused and nothing applied."""
    url = sqs.queue()
    with refused(shape, PREFIX + shape, status=400):
        sqs.client.send_message_batch(QueueUrl=url, Entries=[{"Id": one, "MessageBody": "x"} for one in ids])
    assert sqs.counts(url) == (0, 0, 0)
    sqs.send(url, "x")
    (message,) = sqs.receive(url)
    handle = {"ReceiptHandle": message["ReceiptHandle"]}
    with refused(shape, PREFIX + shape):
        sqs.client.delete_message_batch(QueueUrl=url, Entries=[{"Id": one, **handle} for one in ids])
    with refused(shape, PREFIX + shape):
        sqs.client.change_message_visibility_batch(
            QueueUrl=url, Entries=[{"Id": one, "VisibilityTimeout": 0, **handle} for one in ids]
        )
    assert sqs.counts(url) == (0, 1, 0)


@pytest.mark.differs(
    "ministack",
    aws=(
        "VisibilityTimeout: values 0 to 43200, maximum 12 hours. Because the batch request can result in a "
        "combination of successful and unsuccessful actions, you should check for batch errors even when the "
        "call returns an HTTP status code of 200."
    ),
)
def test_51_a_visibility_batch_mixes_successful_and_failed(sqs: Sqs) -> None:
    """A visibility batch mixes successful and failed."""
    url = sqs.queue()
    sqs.send(url, *"abc")
    handles = [message["ReceiptHandle"] for message in sqs.receive(url)]
    changes = [(handles[0], 0), ("garbage", 0), (handles[1], 43_201), (handles[2], 60)]
    answer = sqs.client.change_message_visibility_batch(
        QueueUrl=url,
        Entries=[
            {"Id": f"{number}", "ReceiptHandle": handle, "VisibilityTimeout": seconds}
            for number, (handle, seconds) in enumerate(changes)
        ],
    )
    assert {one["Id"] for one in answer["Successful"]} == {"0", "3"}
    assert {one["Id"]: one["Code"] for one in answer["Failed"]} == {
        "1": "ReceiptHandleIsInvalid",
        "2": "InvalidParameterValue",
    }
    assert sqs.counts(url) == (1, 2, 0)


@pytest.mark.differs("moto", "ministack", aws="Recorded: an answer leaves a list or map out that has nothing in it.")
def test_51_a_clean_batch_has_no_failed(sqs: Sqs) -> None:
    """A clean batch has no `Failed`."""
    answer = sqs.client.send_message_batch(QueueUrl=sqs.queue(), Entries=entries("a", "b"))
    assert {one["Id"] for one in answer["Successful"]} == {"0", "1"}
    assert "Failed" not in answer


def test_51_a_delete_batch_mixes_successful_and_failed(sqs: Sqs) -> None:
    """A delete batch mixes successful and failed."""
    url = sqs.queue()
    sqs.send(url, *"abc")
    handles = [message["ReceiptHandle"] for message in sqs.receive(url)]
    answer = sqs.client.delete_message_batch(
        QueueUrl=url,
        Entries=[{"Id": f"{number}", "ReceiptHandle": one} for number, one in enumerate(["bad", *handles])],
    )
    assert {one["Id"] for one in answer["Successful"]} == {"1", "2", "3"}
    assert [(one["Id"], one["Code"]) for one in answer["Failed"]] == [("0", "ReceiptHandleIsInvalid")]
    assert sqs.counts(url) == (0, 0, 0)


# What breaks a rule -> attributes that do.
BAD_ATTRIBUTES: dict[str, dict[str, Any]] = {
    "eleven": {f"a{number}": text("x") for number in range(11)},
    "empty string": {"a": text("")},
    "empty binary": {"a": {"DataType": "Binary", "BinaryValue": b""}},
    "unknown type": {"a": text("x", "Bytes")},
    "no number": {"a": text("x", "Number")},
    "long type": {"a": text("x", "String." + "k" * 250)},
    "no type": {"a": {"StringValue": "x"}},
    "no name": {"": text("x")},
    "long name": {"a" * 257: text("x")},
    "first dot": {".a": text("x")},
    "last dot": {"a.": text("x")},
    "two dots": {"a..b": text("x")},
    "space": {"a b": text("x")},
    "letter": {"näme": text("x")},
    "AWS.": {"AWS.a": text("x")},
    "amazon.": {"amazon.a": text("x")},
}


@pytest.mark.differs(
    "moto",
    aws=(
        "A message has at most 10 attributes; names and types keep to the allowed characters and do not "
        "start with AWS. or Amazon.; name, type and value must not be empty or null."
    ),
    only=(
        "AWS.",
        "amazon.",
        "eleven",
        "empty binary",
        "empty string",
        "first dot",
        "last dot",
        "letter",
        "long name",
        "long type",
        "no name",
        "no number",
        "no type",
        "space",
        "two dots",
    ),
)
@pytest.mark.differs(
    "ministack",
    "roto-aws",
    aws=(
        "A message has at most 10 attributes; names and types keep to the allowed characters and do not "
        "start with AWS. or Amazon.; name, type and value must not be empty or null."
    ),
)
@pytest.mark.parametrize("rule", BAD_ATTRIBUTES)
def test_52_attributes_that_break_a_rule_are_refused(sqs: Sqs, rule: str) -> None:
    """Attributes that break a rule are refused."""
    url = sqs.queue()
    with invalid():
        sqs.send(url, "x", MessageAttributes=BAD_ATTRIBUTES[rule])
    assert sqs.counts(url) == (0, 0, 0)


@pytest.mark.differs(
    "moto",
    "ministack",
    "roto-aws",
    aws=(
        "Because the batch request can result in a combination of successful and unsuccessful actions, you "
        "should check for batch errors even when the call returns an HTTP status code of 200."
    ),
)
@pytest.mark.parametrize("rule", BAD_ATTRIBUTES)
def test_52_in_a_batch_they_fail_their_entry_alone(sqs: Sqs, rule: str) -> None:
    """In a batch they fail their entry alone."""
    url = sqs.queue()
    good = {"Id": "good", "MessageBody": "x", "MessageAttributes": {"n": text("1e3", "Number.float")}}
    bad = {**entries("x")[0], "MessageAttributes": BAD_ATTRIBUTES[rule]}
    answer = sqs.client.send_message_batch(QueueUrl=url, Entries=[bad, good])
    assert [(one["Id"], one["Code"]) for one in answer["Failed"]] == [("0", "InvalidParameterValue")]
    assert [one["Id"] for one in answer["Successful"]] == ["good"]
    assert sqs.counts(url) == (1, 0, 0)


def test_52_ten_attributes_of_all_types_are_carried(sqs: Sqs) -> None:
    """Ten attributes of all types are carried."""
    url = sqs.queue()
    attributes = {
        **{f"s.{number}": text("ü", "String.kind") for number in range(6)},
        "n-1": text("-1.5e-3", "Number"),
        "n_2": text("7", "Number.int"),
        "b": {"DataType": "Binary.png", "BinaryValue": bytes(range(256))},
        "x" * 256: text("long"),
    }
    sqs.send(url, "x", MessageAttributes=attributes)
    (message,) = sqs.receive(url)
    assert message["MessageAttributes"] == attributes


@pytest.mark.differs("roto-aws", aws="In standard queues, using MessageGroupId enables fair queues.")
def test_53_standard_a_message_group_id_is_given_back_and_blocks_nothing(sqs: Sqs) -> None:
    """On standard queues a message group id is given back and blocks nothing."""
    url = sqs.queue()
    sqs.send(url, "a", "b", MessageGroupId="tenant")
    first, *rest = sqs.receive(url, 1)
    assert rest == []
    assert first["Attributes"]["MessageGroupId"] == "tenant"
    (second,) = sqs.receive(url)
    assert {first["Body"], second["Body"]} == {"a", "b"}


@pytest.mark.differs("roto-aws", aws="In standard queues, using MessageGroupId enables fair queues.")
def test_53_a_busy_tenant_of_a_standard_queue_blocks_no_other(sqs: Sqs) -> None:
    """A message_group_id of a standard queue with all its messages in flight holds back neither itself nor others."""
    url = sqs.queue()
    sqs.send(url, "a0", "a1", "a2", MessageGroupId="a")
    assert sorted(sqs.bodies(url, 2) + sqs.bodies(url, 1)) == ["a0", "a1", "a2"]
    sqs.send(url, "a3", MessageGroupId="a")
    sqs.send(url, "b0", MessageGroupId="b")
    received = sqs.receive(url)
    assert sorted(one["Body"] for one in received) == ["a3", "b0"]
    assert {one["Attributes"]["MessageGroupId"] for one in received} == {"a", "b"}


@pytest.mark.differs(
    "moto",
    "ministack",
    aws="MessageGroupId: the length is 128 characters; alphanumeric characters and punctuation.",
)
@pytest.mark.parametrize("bad", ["", "x" * 129, "a b", "ü"], ids=["empty", "long", "space", "letter"])
def test_53_standard_a_bad_message_group_id_is_refused(sqs: Sqs, bad: str) -> None:
    """On standard queues a bad message group id is refused."""
    url = sqs.queue()
    with invalid("MessageGroupId"):
        sqs.send(url, "x", MessageGroupId=bad)


@pytest.mark.ours  # the documents say that it applies only to FIFO queues, not what a send with it is answered
def test_53_standard_a_deduplication_id_is_refused(sqs: Sqs) -> None:
    """On standard queues a deduplication id is refused."""
    with invalid("MessageDeduplicationId"):
        sqs.send(sqs.queue(), "x", MessageDeduplicationId="d")


def test_54_a_delayed_message_is_invisible_and_counted(sqs: Sqs) -> None:
    """A delayed message is invisible and counted, and a message's own delay beats the queue's."""
    url = sqs.queue({"DelaySeconds": "4"})
    sqs.send(url, "queue's")
    sqs.send(url, "own", DelaySeconds=2)
    sqs.send(url, "none", DelaySeconds=0)
    assert sqs.bodies(url, VisibilityTimeout=60) == ["none"]
    sqs.advance(2)
    assert sqs.bodies(url, VisibilityTimeout=60) == ["own"]
    sqs.advance(2)
    assert sqs.bodies(url, VisibilityTimeout=60) == ["queue's"]


def test_54_delays_are_counted_apart(sqs: Sqs) -> None:
    """Delays are counted apart."""
    url = sqs.queue({"DelaySeconds": "60"})
    sqs.send(url, "queue's")
    sqs.send(url, "own", DelaySeconds=5)
    sqs.send(url, "none", DelaySeconds=0)
    assert sqs.counts(url) == (1, 0, 2)


@pytest.mark.differs("moto", "ministack", aws="DelaySeconds: Valid values: 0 to 900.")
def test_54_a_delay_out_of_range_is_refused(sqs: Sqs) -> None:
    """A delay out of range is refused, and the longest taken."""
    url = sqs.queue()
    for bad in (-1, 901):
        with invalid("DelaySeconds"):
            sqs.send(url, "x", DelaySeconds=bad)
    sqs.send(url, "x", DelaySeconds=900)
    assert sqs.bodies(url) == []


@pytest.mark.differs(
    "ministack",
    aws=(
        "DelaySeconds: Valid values: 0 to 900. Because the batch request can result in a combination of "
        "successful and unsuccessful actions, you should check for batch errors even when the call returns "
        "an HTTP status code of 200."
    ),
)
def test_54_in_a_batch_it_fails_its_entry_alone(sqs: Sqs) -> None:
    """In a batch it fails its entry alone."""
    url = sqs.queue()
    late = {"Id": "late", "MessageBody": "x", "DelaySeconds": 901}
    answer = sqs.client.send_message_batch(QueueUrl=url, Entries=[*entries("y"), late])
    assert [(one["Id"], one["Code"]) for one in answer["Failed"]] == [("late", "InvalidParameterValue")]
    assert [one["Id"] for one in answer["Successful"]] == ["0"]
    assert sqs.bodies(url) == ["y"]


@pytest.mark.differs(
    "moto",
    "ministack",
    "roto-aws",
    aws="MD5OfMessageSystemAttributes: an MD5 digest of the non-URL-encoded message system attribute string.",
)
def test_55_the_trace_header_is_carried_free_of_size_and_outside_the_digest(sqs: Sqs) -> None:
    """The trace header is carried free of size and outside the digest."""
    url = sqs.queue({"MaximumMessageSize": 1_024})
    system = {"AWSTraceHeader": text("Root=1-5759e988-bd862e3fe1be46a994272793")}
    (sent,) = sqs.send(url, "x" * 1_024, MessageSystemAttributes=system)
    assert "MD5OfMessageAttributes" not in sent
    assert sent["MD5OfMessageSystemAttributes"] == attribute_digest(system)
    (message,) = sqs.receive(url)
    assert message["Attributes"]["AWSTraceHeader"] == system["AWSTraceHeader"]["StringValue"]
    assert "MessageAttributes" not in message
    own = {"a": text("1")}
    (sent,) = sqs.send(url, "x", MessageAttributes=own, MessageSystemAttributes=system)
    (message,) = sqs.receive(url)
    assert message["MessageAttributes"] == own
    assert sent["MD5OfMessageAttributes"] == message["MD5OfMessageAttributes"] == attribute_digest(own)


@pytest.mark.differs(
    "moto",
    "ministack",
    "roto-aws",
    aws=(
        "Currently, the only supported message system attribute is AWSTraceHeader. Its type must be String; "
        "its size doesn't count towards the total size of a message."
    ),
)
def test_55_no_other_system_attribute_can_be_sent(sqs: Sqs) -> None:
    """No other system attribute can be sent, nor one of another type."""
    url = sqs.queue()
    for bad in ({"Other": text("x")}, {"AWSTraceHeader": text("1", "Number")}):
        with invalid("ystem"):
            sqs.send(url, "x", MessageSystemAttributes=bad)
