"""Every call of the blocking client of our own, against the local SQS."""

from __future__ import annotations

from contextlib import closing

import pytest

from hadoken.errors import LeaseLost, SQSError
from hadoken.sqs.api import Attribute, ChangeVisibilityBatch, DeleteBatch, Receive, SendBatch, SendEntry
from hadoken.sqs.credentials import NOBODY, Credentials
from hadoken.sqs.settings import Settings
from hadoken.sqs.sockets import FastClient
from tests.support.worker import Bench


def test_a_message_from_its_queue_to_its_end(bench: Bench) -> None:
    """A queue is made and found; a message is sent, received, given back, received again and deleted."""
    with closing(FastClient(Settings(bench.url, "us-east-1", Credentials.fixed(NOBODY)))) as client:
        name = bench.name(bench.queue({"VisibilityTimeout": "77"}))
        url = client.queue_url(name)
        assert client.create_queue(name, {"VisibilityTimeout": "77"}) == url
        assert client.queue_attributes(url)["VisibilityTimeout"] == "77"
        entry = SendEntry("hülle \U0001f600", {"a": Attribute("Binary", data=b"\x00\xff")})
        (sent,) = client.send_batch(SendBatch(url, [entry])).sent.values()
        (first,) = client.receive(Receive(url, 10, 1, 30)).messages
        assert (first.message_id, first.body, first.attributes) == (sent, entry.body, entry.attributes)
        assert not client.change_visibility_batch(ChangeVisibilityBatch(url, [(first.receipt_handle, 0)])).failed
        (again,) = client.receive(Receive(url, 1, 1, 30)).messages
        assert (again.message_id, again.receive_count) == (sent, 2)
        answer = client.delete_batch(DeleteBatch(url, [again.receipt_handle, "nonsense"]))
        assert list(answer.failed) == [1]
        assert bench.counts(url) == (0, 0, 0)
        assert client.call("ListQueues", {"QueueNamePrefix": name})["QueueUrls"] == [url]


def test_refusals_have_the_names_of_sqs(bench: Bench) -> None:
    """One that names the operation and the code; a lost lease is one."""
    with closing(FastClient(Settings(bench.url, "us-east-1", Credentials.fixed(NOBODY)))) as client:
        with pytest.raises(SQSError) as missing:
            client.queue_url("no-such-queue")
        assert (missing.value.operation, missing.value.code) == ("GetQueueUrl", "QueueDoesNotExist")
        with pytest.raises(LeaseLost):
            client.call("DeleteMessage", {"QueueUrl": bench.queue(), "ReceiptHandle": "nonsense"})
