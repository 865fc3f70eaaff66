"""What we write is what botocore writes, and what we read is what botocore reads."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import botocore.parsers
import botocore.serialize
import botocore.session
import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from hadoken.errors import SQSError
from hadoken.sqs.answer import Answer
from hadoken.sqs.api import (
    Attribute,
    ChangeVisibilityBatch,
    DeleteBatch,
    EntryFailure,
    Receive,
    ReceivedMessage,
    SendBatch,
    SendEntry,
)
from hadoken.sqs.credentials import Credentials, Keys
from hadoken.sqs.settings import Settings
from hadoken.sqs.wire import Call, Wire

MODEL: Any = botocore.session.Session().get_service_model("sqs")
SERIALIZER: Any = botocore.serialize.create_serializer(MODEL.resolved_protocol, include_validation=False)
PARSER: Any = botocore.parsers.create_parser(MODEL.resolved_protocol)
WIRE = Wire(Settings("https://sqs.eu-central-1.amazonaws.com", "eu-central-1", Credentials.fixed(Keys("A", "S", None))))

texts = st.text(max_size=30)
lone = st.text(st.characters(codec=None), max_size=10)  # half pairs of surrogates too
small = st.integers(0, 43_200)
attributes = st.dictionaries(
    texts,
    st.builds(Attribute, texts, text=texts) | st.builds(Attribute, texts, data=st.binary(max_size=30)),
    max_size=3,
)
entries = st.builds(
    SendEntry,
    texts | lone,
    attributes,
    st.none() | small,
    st.none() | texts,
    st.none() | texts,
)


def by_botocore(operation: str, parameters: Mapping[str, Any]) -> Any:
    """The JSON of a request by botocore's serializer."""
    made = SERIALIZER.serialize_to_request(dict(parameters), MODEL.operation_model(operation))
    return json.loads(made["body"])


def check_request(call: Call, operation: str, parameters: Mapping[str, Any]) -> None:
    """Compare one request with botocore's, as JSON values."""
    assert call.operation == operation
    assert json.loads(call.body) == by_botocore(operation, parameters)


@given(url=texts, most=small, wait=st.integers(0, 20), timeout=small, attempt=st.none() | texts)
def test_a_receive_is_written_as_by_botocore(url: str, most: int, wait: int, timeout: int, attempt: str | None) -> None:
    """A receive asks for all attributes of both kinds, and has an attempt id only where one is given."""
    asked = {
        "QueueUrl": url,
        "MaxNumberOfMessages": most,
        "WaitTimeSeconds": wait,
        "VisibilityTimeout": timeout,
        "MessageSystemAttributeNames": ["All"],
        "MessageAttributeNames": ["All"],
        **({} if attempt is None else {"ReceiveRequestAttemptId": attempt}),
    }
    check_request(WIRE.receive(Receive(url, most, wait, timeout, attempt)), "ReceiveMessage", asked)


@given(url=texts, changes=st.lists(st.tuples(texts | lone, small), max_size=10))
def test_batches_of_handles_are_written_as_by_botocore(url: str, changes: list[tuple[str, int]]) -> None:
    """Deletes and visibility changes have their positions as ids."""
    deletes = [{"Id": str(at), "ReceiptHandle": handle} for at, (handle, _) in enumerate(changes)]
    delete = WIRE.delete_batch(DeleteBatch(url, [handle for handle, _ in changes]))
    check_request(delete, "DeleteMessageBatch", {"QueueUrl": url, "Entries": deletes})
    both = [{**one, "VisibilityTimeout": seconds} for one, (_, seconds) in zip(deletes, changes, strict=True)]
    change = WIRE.change_visibility_batch(ChangeVisibilityBatch(url, changes))
    check_request(change, "ChangeMessageVisibilityBatch", {"QueueUrl": url, "Entries": both})


@given(url=texts, batch=st.lists(entries, max_size=4))
@example(url="u", batch=[SendEntry("\ud800", {"b": Attribute("Binary", data=b"\xff")})])
def test_a_send_is_written_as_by_botocore(url: str, batch: list[SendEntry]) -> None:
    """A send says all that an entry holds; half a pair of surrogates goes out as botocore sends it."""
    asked = []
    for at, entry in enumerate(batch):
        one: dict[str, Any] = {"Id": str(at), "MessageBody": entry.body}
        if entry.attributes:
            one["MessageAttributes"] = {
                name: {"DataType": value.type}
                | ({"BinaryValue": value.data} if value.text is None else {"StringValue": value.text})
                for name, value in entry.attributes.items()
            }
        optional = {
            "DelaySeconds": entry.delay,
            "MessageGroupId": entry.message_group_id,
            "MessageDeduplicationId": entry.deduplication_id,
        }
        asked.append(one | {name: value for name, value in optional.items() if value is not None})
    check_request(WIRE.send_batch(SendBatch(url, batch)), "SendMessageBatch", {"QueueUrl": url, "Entries": asked})


@given(name=texts)
def test_questions_about_queues_are_written_as_by_botocore(name: str) -> None:
    """The control plane, and any other call, are written as the model names them."""
    check_request(WIRE.queue_url(name), "GetQueueUrl", {"QueueName": name})
    asked = {"QueueUrl": name, "AttributeNames": ["All"]}
    check_request(WIRE.queue_attributes(name), "GetQueueAttributes", asked)
    made = {"QueueName": name, "Attributes": {name: name}, "tags": {name: "x"}}
    check_request(WIRE.any_call("CreateQueue", made), "CreateQueue", made)


blobs = st.binary(max_size=20).map(lambda data: base64.b64encode(data).decode())


def some_of(required: Mapping[str, st.SearchStrategy[Any]], **optional: st.SearchStrategy[Any]) -> Any:
    """An object of JSON: what is optional may be missing or null, and there may be more."""
    nullable = {name: st.none() | one for name, one in optional.items()}
    unknown = st.dictionaries(st.sampled_from(["New", "Other"]), st.none() | texts | st.integers(), max_size=1)
    known = st.fixed_dictionaries(dict(required), optional=nullable)
    return st.tuples(known, unknown).map(lambda both: both[1] | both[0])


values = some_of({"DataType": texts}, StringValue=texts, BinaryValue=blobs, StringListValues=st.just([]))
messages = some_of(
    {"MessageId": texts, "ReceiptHandle": texts},
    Body=texts,
    MD5OfBody=texts,
    Attributes=st.dictionaries(texts, texts, max_size=3),
    MessageAttributes=st.dictionaries(texts, values, max_size=2),
    MD5OfMessageAttributes=texts,
)
received = some_of({}, Messages=st.lists(messages, max_size=3))
ids = st.sampled_from(["0", "1", "2", "3", "10", "x", ""])
failed = some_of({"Id": ids}, Code=texts, Message=texts, SenderFault=st.booleans())
outcomes = some_of(
    {}, Successful=st.lists(some_of({"Id": ids}, MessageId=texts), max_size=5), Failed=st.lists(failed, max_size=4)
)
written = st.sampled_from([{"ensure_ascii": True}, {"ensure_ascii": False}, {"indent": 2}, {"separators": (",", ":")}])


def parsed(operation: str, body: bytes) -> dict[str, Any]:
    """What botocore's parser makes of a body."""
    raw = {"status_code": 200, "headers": {}, "body": body}
    found: dict[str, Any] = PARSER.parse(raw, MODEL.operation_model(operation).output_shape)
    return found


def answer_of(value: object, style: Mapping[str, Any]) -> Answer:
    """A successful answer with a body of JSON."""
    return Answer(200, {}, json.dumps(value, **style).encode(), keep_alive=True)


def as_ours(one: Mapping[str, Any]) -> ReceivedMessage:
    """A message of botocore's in our words."""
    return ReceivedMessage(
        one["MessageId"],
        one["ReceiptHandle"],
        one.get("Body", ""),
        one.get("Attributes", {}),
        {
            name: Attribute(value["DataType"], value.get("StringValue"), value.get("BinaryValue"))
            for name, value in one.get("MessageAttributes", {}).items()
        },
    )


@given(value=received, style=written)
@example(value={"Messages": None}, style={})
@example(value={}, style={})
def test_messages_are_read_as_by_botocore(value: dict[str, Any], style: dict[str, Any]) -> None:
    """Messages, their attributes of all kinds, and what is missing or null, are read as botocore reads them."""
    answer = answer_of(value, style)
    call = WIRE.receive(Receive("u", 10, 0, 30))
    theirs = [as_ours(one) for one in parsed("ReceiveMessage", answer.body).get("Messages", [])]
    for _ in range(2):  # reading changes nothing
        message_list = WIRE.read(call, answer).messages
        assert [as_seen(one) for one in message_list] == [as_seen(one) for one in theirs]


def as_seen(one: ReceivedMessage) -> tuple[object, ...]:
    """All that a message holds, to be compared without regard to its class."""
    return (one.message_id, one.receipt_handle, one.body, dict(one.system), dict(one.attributes))


@given(value=outcomes, style=written, count=st.integers(1, 4))
@example(value={"Successful": [{"Id": "0"}], "Failed": [{"Id": "0", "Code": "X"}]}, style={}, count=1)
def test_outcomes_of_batches_follow_one_rule(value: dict[str, Any], style: dict[str, Any], count: int) -> None:
    """Said to have failed is failed, said nothing of may have, ids never given are nobody's; for all three batches."""
    answer = answer_of(value, style)
    theirs = parsed("SendMessageBatch", answer.body)
    bad = {one["Id"]: one for one in theirs.get("Failed", [])}
    good = {one["Id"]: one.get("MessageId", "") for one in theirs.get("Successful", [])}
    expected = {}
    for at in range(count):
        if str(at) in bad:
            one = bad[str(at)]
            expected[at] = EntryFailure(one.get("Code", ""), one.get("Message", ""), bool(one.get("SenderFault")))
        elif str(at) not in good:
            expected[at] = EntryFailure("NoAnswer", "the answer does not say", sender_fault=False)
    delete = WIRE.delete_batch(DeleteBatch("u", ["h"] * count))
    change = WIRE.change_visibility_batch(ChangeVisibilityBatch("u", [("h", 0)] * count))
    send = WIRE.send_batch(SendBatch("u", [SendEntry("b")] * count))
    assert WIRE.read(delete, answer).failed == expected
    assert WIRE.read(change, answer).failed == expected
    sent = WIRE.read(send, answer)
    assert sent.failed == expected
    assert sent.sent == {at: good[str(at)] for at in range(count) if at not in expected}


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            texts
            | st.sampled_from(["Messages", "Successful", "Failed", "Id", "Body", "Attributes", "__type", "message"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=10,
)
CALLS = [
    WIRE.receive(Receive("u", 10, 0, 30)),
    WIRE.delete_batch(DeleteBatch("u", ["h"])),
    WIRE.send_batch(SendBatch("u", [SendEntry("b")])),
    WIRE.queue_url("q"),
    WIRE.queue_attributes("u"),
    WIRE.any_call("ListQueues", {}),
]


@given(
    call=st.sampled_from(CALLS),
    status=st.sampled_from([200, 204, 301, 400, 403, 404, 429, 500, 503]),
    body=st.binary(max_size=60) | anything.map(lambda value: json.dumps(value).encode()),
    header=st.sampled_from([{}, {b"content-type": b"application/x-amz-json-1.0"}, {b"x-amzn-query-error": b";\xff"}]),
)
@example(call=CALLS[0], status=200, body=b"[" * 100_000, header={})
@example(call=CALLS[5], status=200, body=b'{"a":' * 100_000, header={})
@example(call=CALLS[0], status=400, body=b'{"__type":' + b"[" * 100_000, header={})
@example(call=CALLS[0], status=200, body=b'{"Messages":[{"MessageId":"\xff","ReceiptHandle":"h"}]}', header={})
@example(call=CALLS[0], status=200, body=b'{"Messages":[{"MessageId":"\\ud800","ReceiptHandle":"h"}]}', header={})
def test_an_answer_is_read_or_an_error_of_sqs(
    call: Call, status: int, body: bytes, header: Mapping[bytes, bytes]
) -> None:
    """Whatever an answer holds, reading it gives what was asked for or an `SQSError` that names the operation."""
    failed: SQSError | None = None
    try:
        WIRE.read(call, Answer(status, header, body, keep_alive=True))
    except SQSError as error:
        failed = error
    assert failed is not None or status == 200
    if failed is not None:
        assert failed.operation == call.operation
        assert str(failed).startswith(f"{call.operation} failed: ")


@pytest.mark.parametrize("operation", ["", "Send Message", "X\r\nEvil: 1", "Sénd", "a.b"])
def test_an_operation_is_a_name(operation: str) -> None:
    """What could end a header is no operation."""
    with pytest.raises(ValueError, match="no operation of SQS"):
        WIRE.any_call(operation, {})
