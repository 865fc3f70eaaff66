"""`hadoken local --data FILE`, ended in every way and started again."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.local_sqs import boto3_client
from tests.support.processes import Child

Start = Callable[[], tuple[Child, Any]]


@pytest.fixture
def start(start_hadoken: Callable[..., Child], tmp_path: Path) -> Iterator[Start]:
    """Start a server on one data file, and a client of it."""
    with ExitStack() as stack:

        def started() -> tuple[Child, Any]:
            child = start_hadoken("local", "--port", "0", "--data", str(tmp_path / "data"))
            client = boto3_client(child.wait_for_line(r"^(http://\S+)$").group(1))
            stack.callback(client.close)
            return child, client

        yield started


def end(child: Child, number: signal.Signals) -> None:
    """End a server by a signal."""
    child.send_signal(number)
    assert child.wait() == (0 if number is signal.SIGTERM else -number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_that_was_answered_is_lost(start: Start, number: signal.Signals) -> None:
    """Queues, tags, messages, leases, receipt handles, counts, order and deduplication go on after the end."""
    child, sqs = start()
    fifo = {"FifoQueue": "true", "ContentBasedDeduplication": "true", "VisibilityTimeout": "600"}
    url = sqs.create_queue(QueueName="a.fifo", Attributes=fifo, tags={"team": "x"})["QueueUrl"]
    attributes = {"kind": {"DataType": "Number", "StringValue": "1"}}
    sent = [
        sqs.send_message(QueueUrl=url, MessageBody=str(body), MessageGroupId="g", MessageAttributes=attributes)
        for body in range(4)
    ]
    first, second = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=2)["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
    end(child, number)

    child, sqs = start()
    (url,) = sqs.list_queues()["QueueUrls"]  # at another port
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"team": "x"}
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (found["ApproximateNumberOfMessages"], found["ApproximateNumberOfMessagesNotVisible"]) == ("2", "1")
    assert (found["VisibilityTimeout"], found["ContentBasedDeduplication"]) == ("600", "true")
    assert "Messages" not in sqs.receive_message(QueueUrl=url)  # the second of its message_group_id is still leased
    repeated = sqs.send_message(QueueUrl=url, MessageBody="0", MessageGroupId="g")
    assert repeated["MessageId"] == sent[0]["MessageId"]
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=second["ReceiptHandle"], VisibilityTimeout=0)
    newest = sqs.send_message(QueueUrl=url, MessageBody="4", MessageGroupId="g")
    assert int(newest["SequenceNumber"]) > int(sent[-1]["SequenceNumber"])
    received = sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"]
    )["Messages"]
    assert [one["Body"] for one in received] == ["1", "2", "3", "4"]
    assert [one["MessageId"] for one in received[:3]] == [one["MessageId"] for one in sent[1:]]
    assert [one["Attributes"]["ApproximateReceiveCount"] for one in received] == ["2", "1", "1", "1"]
    assert received[0]["MessageAttributes"] == attributes
    end(child, signal.SIGTERM)


def test_a_kill_in_the_middle_of_sending_loses_no_answer(start: Start) -> None:
    """Killed between two answers again and again, the file holds every message whose send was answered."""
    child, sqs = start()
    url = sqs.create_queue(QueueName="a")["QueueUrl"]
    answered: list[str] = []
    for turn in range(3):
        for number in range(10):
            body = f"{turn}-{number}"
            sqs.send_message(QueueUrl=url, MessageBody=body)
            answered.append(body)
        end(child, signal.SIGKILL)
        child, sqs = start()
        url = sqs.get_queue_url(QueueName="a")["QueueUrl"]
    found: list[str] = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found += [message["Body"] for message in messages]
    assert found == answered


def test_a_move_to_the_dead_letter_queue_is_kept_whole(start: Start) -> None:
    """A message that moved is in one queue, with its count and where it came from, after a kill."""
    child, sqs = start()
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    url = sqs.create_queue(QueueName="a", Attributes={"RedrivePolicy": policy})["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="bad")
    assert sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)["Messages"]
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    end(child, signal.SIGKILL)

    child, sqs = start()
    url, dead = (sqs.get_queue_url(QueueName=name)["QueueUrl"] for name in ("a", "dead"))
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    (message,) = sqs.receive_message(QueueUrl=dead, MessageSystemAttributeNames=["All"])["Messages"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "2"
    assert message["Attributes"]["DeadLetterQueueSourceArn"].endswith(":a")
    end(child, signal.SIGTERM)


def test_a_second_server_and_a_foreign_file_are_refused_with_a_sentence(
    start: Start, start_hadoken: Callable[..., Child], tmp_path: Path
) -> None:
    """Both end with the exit code of a configuration error and say what to do."""
    child, _ = start()
    second = start_hadoken("local", "--port", "0", "--data", str(tmp_path / "data"))
    assert second.wait() == 78
    assert "another local SQS has the data file" in second.err[-1]
    end(child, signal.SIGTERM)
    notes = tmp_path / "notes.txt"
    notes.write_text("no database " * 50, encoding="utf-8")
    third = start_hadoken("local", "--port", "0", "--data", str(notes))
    assert third.wait() == 78
    assert "is not a data file of the local SQS" in third.err[-1]
