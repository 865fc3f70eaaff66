"""The AWS CLI against `hadoken local`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.support.processes import Child


def test_the_aws_cli_does_the_basic_calls(endpoint: str, aws: Callable[..., Child]) -> None:
    """Thirteen operations, each a program of its own, do what they say."""

    def sqs(operation: str, **options: object) -> Any:
        """Run one operation; what it printed, None if nothing."""
        words = [
            word
            for name, value in options.items()
            for word in (f"--{name.replace('_', '-')}", value if isinstance(value, str) else json.dumps(value))
        ]
        child = aws("sqs", operation, *words)
        assert child.wait() == 0, child.lines
        text = "\n".join(child.out)
        return json.loads(text) if text else None

    url = sqs("create-queue", queue_name="of-cli", attributes={"VisibilityTimeout": "40"})["QueueUrl"]
    assert url == f"{endpoint}/000000000000/of-cli"
    assert sqs("get-queue-url", queue_name="of-cli")["QueueUrl"] == url
    assert sqs("list-queues")["QueueUrls"] == [url]
    assert sqs("set-queue-attributes", queue_url=url, attributes={"DelaySeconds": "0"}) is None
    sender = {"sender": {"DataType": "String", "StringValue": "näher"}}
    sent = sqs("send-message", queue_url=url, message_body="first ✓", message_attributes=sender)
    batch = sqs(
        "send-message-batch",
        queue_url=url,
        entries=[{"Id": "a", "MessageBody": "second"}, {"Id": "b", "MessageBody": "third"}],
    )
    assert sorted(one["Id"] for one in batch["Successful"]) == ["a", "b"]
    received = sqs(
        "receive-message",
        queue_url=url,
        max_number_of_messages="10",
        wait_time_seconds="5",
        message_attribute_names="All",
    )["Messages"]
    first, *others = sorted(received, key=lambda message: message["Body"])
    assert [message["Body"] for message in others] == ["second", "third"]
    assert (first["MessageId"], first["MessageAttributes"]) == (sent["MessageId"], sender)
    change = {"queue_url": url, "receipt_handle": first["ReceiptHandle"], "visibility_timeout": "0"}
    assert sqs("change-message-visibility", **change) is None
    again = sqs("receive-message", queue_url=url, message_system_attribute_names="All")["Messages"]
    assert [one["Attributes"]["ApproximateReceiveCount"] for one in again] == ["2"]
    assert sqs("delete-message", queue_url=url, receipt_handle=again[0]["ReceiptHandle"]) is None
    handles = [{"Id": str(number), "ReceiptHandle": one["ReceiptHandle"]} for number, one in enumerate(others)]
    assert len(sqs("delete-message-batch", queue_url=url, entries=handles)["Successful"]) == 2
    left = sqs("get-queue-attributes", queue_url=url, attribute_names="All")["Attributes"]
    assert (left["ApproximateNumberOfMessages"], left["VisibilityTimeout"]) == ("0", "40")
    assert sqs("delete-queue", queue_url=url) is None
    missing = aws("sqs", "get-queue-url", "--queue-name", "of-cli")
    assert missing.wait() == 254 or missing.returncode == 255  # 255 of older versions
    assert "(AWS.SimpleQueueService.NonExistentQueue)" in "\n".join(missing.err)
