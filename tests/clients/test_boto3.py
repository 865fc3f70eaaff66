"""boto3 against `hadoken local`, signed, without the help of the other tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.clients.conftest import KEYS


def client(endpoint: str, name: str, secret: str, token: str | None = None) -> Any:
    """A client of boto3 as a program makes it."""
    return boto3.client(
        "sqs",
        endpoint_url=endpoint,
        region_name="eu-central-1",
        aws_access_key_id=name,
        aws_secret_access_key=secret,
        aws_session_token=token,
    )


@pytest.fixture
def sqs(endpoint: str) -> Iterator[Any]:
    """A client with a key that the server knows."""
    made = client(endpoint, "boto3", KEYS["boto3"])
    yield made
    made.close()


def test_boto3_does_the_basic_calls(sqs: Any) -> None:
    """Thirteen operations, with digests and signatures checked, do what they say."""
    url = sqs.create_queue(QueueName="of-boto3", Attributes={"VisibilityTimeout": "40"})["QueueUrl"]
    assert sqs.get_queue_url(QueueName="of-boto3")["QueueUrl"] == url
    assert sqs.list_queues()["QueueUrls"] == [url]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "0"})
    sender = {"sender": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}}
    sqs.send_message(QueueUrl=url, MessageBody="first ✓", MessageAttributes=sender)
    sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": body, "MessageBody": body} for body in ("second", "third")])
    received = sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=5, MessageAttributeNames=["All"]
    )["Messages"]
    first, *others = sorted(received, key=lambda message: message["Body"])
    assert (first["Body"], first["MessageAttributes"]) == ("first ✓", sender)
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=0)
    again = sqs.receive_message(QueueUrl=url, MessageSystemAttributeNames=["All"])["Messages"]
    assert [one["Attributes"]["ApproximateReceiveCount"] for one in again] == ["2"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=again[0]["ReceiptHandle"])
    handles = [{"Id": str(number), "ReceiptHandle": one["ReceiptHandle"]} for number, one in enumerate(others)]
    assert len(sqs.delete_message_batch(QueueUrl=url, Entries=handles)["Successful"]) == 2
    left = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (left["ApproximateNumberOfMessages"], left["ApproximateNumberOfMessagesNotVisible"]) == ("0", "0")
    sqs.delete_queue(QueueUrl=url)
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName="of-boto3")


@pytest.mark.parametrize(
    ("name", "secret", "code", "shape"),
    [
        ("boto3", "another secret", "SignatureDoesNotMatch", "InvalidSignatureException"),
        ("nobody", KEYS["boto3"], "InvalidClientTokenId", "UnrecognizedClientException"),
    ],
)
def test_boto3_is_refused_with_a_wrong_key(endpoint: str, name: str, secret: str, code: str, shape: str) -> None:
    """A secret or an id that is not the server's is an error under both names that AWS gives it."""
    made = client(endpoint, name, secret)
    with pytest.raises(ClientError) as caught:
        made.list_queues()
    made.close()
    answer = caught.value.response
    assert (answer["Error"]["Code"], answer["Error"]["QueryErrorCode"]) == (code, shape)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_session_token_is_taken_if_it_is_signed(endpoint: str) -> None:
    """Temporary credentials add a header, which is under the signature."""
    made = client(endpoint, "boto3", KEYS["boto3"], token="a token of any kind")
    assert "QueueUrls" not in made.list_queues()
    made.close()
