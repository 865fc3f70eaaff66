from __future__ import annotations

from typing import Any

import pytest

from hadoken.limits import MESSAGE_BYTES
from tests.support.local_sqs import Sqs, Virtual
from tests.support.refused import PREFIX, invalid, missing, refused


def text(value: str, kind: str = "String") -> dict[str, str]:
    """An attribute that is text."""
    return {"DataType": kind, "StringValue": value}


def entries(*bodies: str) -> list[dict[str, Any]]:
    """Entries of a send batch, their positions as ids."""
    return [{"Id": f"{number}", "MessageBody": body} for number, body in enumerate(bodies)]


@pytest.mark.parametrize("limit", [MESSAGE_BYTES, 1_024])
def test_46_a_message_at_the_limit_is_taken_and_one_byte_more_refused(sqs: Sqs, limit: int) -> None:
    """A message at the limit is taken and one byte more refused."""
    url = sqs.queue({"MaximumMessageSize": limit})
    attributes = {"näme": text("x")}
    with invalid():
        sqs.send(url, "x", MessageAttributes=attributes)  # the name has a letter that is not allowed
    attributes = {"name": text("ü", "String.kind")}
    size = len("name") + len("String.kind") + 2
    sqs.send(url, "x" * (limit - size), MessageAttributes=attributes)
    sqs.send(url, "ü" * (limit // 2))
    with invalid(f"shorter than {limit} bytes"):
        sqs.send(url, "x" * (limit - size + 1), MessageAttributes=attributes)
    with invalid(f"shorter than {limit} bytes"):
        sqs.send(url, "ü" * (limit // 2) + "x")
    assert sqs.counts(url) == (2, 0, 0)


def test_47_a_batch_over_the_limit_is_refused_whole_and_an_entry_over_the_queues_alone(sqs: Sqs) -> None:
    """A batch over the limit is refused whole and an entry over the queues alone."""
    url = sqs.queue()
    with refused("BatchRequestTooLong", PREFIX + "BatchRequestTooLong", "1048577"):
        sqs.client.send_message_batch(QueueUrl=url, Entries=entries("x" * 524_288, "x" * 524_289))
    assert sqs.counts(url) == (0, 0, 0)
    small = sqs.queue({"MaximumMessageSize": 1_024})
    answer = sqs.client.send_message_batch(QueueUrl=small, Entries=entries("a", "x" * 1_025, "c"))
    assert sorted(one["Id"] for one in answer["Successful"]) == ["0", "2"]
    assert [(one["Id"], one["Code"]) for one in answer["Failed"]] == [("1", "InvalidParameterValue")]
    assert sqs.counts(small) == (2, 0, 0)


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


def test_49_an_empty_body_is_missing_and_refused_characters_are_invalid(sqs: Sqs) -> None:
    """An empty body is missing and refused characters are invalid."""
    url = sqs.queue()
    with missing("MessageBody"):
        sqs.send(url, "")
    for character in ("\x00", "\x08", "\ufffe", "\uffff"):
        with refused("InvalidMessageContents", words="Invalid characters"):
            sqs.send(url, f"a{character}b")
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


def test_51_delete_and_visibility_batches_mix_successful_and_failed(sqs: Sqs) -> None:
    """Delete and visibility batches mix successful and failed."""
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
    answer = sqs.client.delete_message_batch(
        QueueUrl=url,
        Entries=[{"Id": f"{number}", "ReceiptHandle": one} for number, one in enumerate(["bad", *handles])],
    )
    assert {one["Id"] for one in answer["Successful"]} == {"1", "2", "3"}
    assert [one["Id"] for one in answer["Failed"]] == ["0"]
    assert sqs.counts(url) == (0, 0, 0)


@pytest.mark.parametrize(
    "attributes",
    [
        {f"a{number}": text("x") for number in range(11)},
        {"a": text("")},
        {"a": {"DataType": "Binary", "BinaryValue": b""}},
        {"a": text("x", "Bytes")},
        {"a": text("x", "Number")},
        {"a": text("x", "String." + "k" * 250)},
        {"a": {"StringValue": "x"}},
        {"": text("x")},
        {"a" * 257: text("x")},
        {".a": text("x")},
        {"a.": text("x")},
        {"a..b": text("x")},
        {"a b": text("x")},
        {"AWS.a": text("x")},
        {"amazon.a": text("x")},
    ],
)
def test_52_attributes_that_break_a_rule_are_refused(sqs: Sqs, attributes: dict[str, Any]) -> None:
    """Attributes that break a rule are refused."""
    url = sqs.queue()
    with invalid():
        sqs.send(url, "x", MessageAttributes=attributes)
    answer = sqs.client.send_message_batch(
        QueueUrl=url,
        Entries=[{**one, "MessageAttributes": attributes} for one in entries("x")]
        + [{"Id": "good", "MessageBody": "x", "MessageAttributes": {"n": text("1e3", "Number.float")}}],
    )
    assert [one["Code"] for one in answer["Failed"]] == ["InvalidParameterValue"]
    assert sqs.counts(url) == (1, 0, 0)


def test_53_standard_a_message_group_id_is_given_back_and_blocks_nothing(sqs: Sqs) -> None:
    """On standard queues a message group id is given back and blocks nothing."""
    url = sqs.queue()
    sqs.send(url, "a", "b", MessageGroupId="tenant")
    (message,) = sqs.receive(url, 1)
    assert message["Attributes"]["MessageGroupId"] == "tenant"
    assert sqs.bodies(url) == ["b"]
    for bad in ("", "x" * 129, "a b", "ü"):
        with invalid("MessageGroupId"):
            sqs.send(url, "x", MessageGroupId=bad)
    with invalid("MessageDeduplicationId"):
        sqs.send(url, "x", MessageDeduplicationId="d")


def test_54_a_delayed_message_is_invisible_and_counted(virtual: Virtual) -> None:
    """A delayed message is invisible and counted."""
    url = virtual.queue({"DelaySeconds": "60"})
    virtual.send(url, "queue's")
    virtual.send(url, "own", DelaySeconds=5)
    virtual.send(url, "none", DelaySeconds=0)
    assert virtual.counts(url) == (1, 0, 2)
    assert virtual.bodies(url) == ["none"]
    virtual.advance(5)
    assert virtual.bodies(url) == ["own"]
    virtual.advance(54)
    assert "queue's" not in virtual.bodies(url)
    virtual.advance(1)
    assert "queue's" in virtual.bodies(url)
    for bad in (-1, 901):
        with invalid("DelaySeconds"):
            virtual.send(url, "x", DelaySeconds=bad)
    virtual.send(url, "x", DelaySeconds=900)


def test_55_the_trace_header_is_carried_free_of_size_and_outside_the_digest(sqs: Sqs) -> None:
    """The trace header is carried free of size and outside the digest."""
    url = sqs.queue({"MaximumMessageSize": 1_024})
    system = {"AWSTraceHeader": text("Root=1-5759e988-bd862e3fe1be46a994272793")}
    (sent,) = sqs.send(url, "x" * 1_024, MessageSystemAttributes=system)
    assert "MD5OfMessageAttributes" not in sent
    assert len(sent["MD5OfMessageSystemAttributes"]) == 32
    (message,) = sqs.receive(url)
    assert message["Attributes"]["AWSTraceHeader"] == system["AWSTraceHeader"]["StringValue"]
    assert "MessageAttributes" not in message
    for bad in ({"Other": text("x")}, {"AWSTraceHeader": text("1", "Number")}):
        with invalid("ystem"):
            sqs.send(url, "x", MessageSystemAttributes=bad)
