from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from contextlib import closing

import pytest

from tests.support.local_sqs import Server, Sqs
from tests.support.refused import PREFIX, invalid, missing, refused

JSON = "application/x-amz-json-1.0"


class Bare:
    """The smallest client: one connection, no signature, no model."""

    def __init__(self, server: Server) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def call(self, target: str, body: Mapping[str, object]) -> tuple[http.client.HTTPResponse, bytes]:
        """Send one request and read its answer."""
        headers = {"Content-Type": JSON, "X-Amz-Target": target}
        self.connection.request("POST", "/", json.dumps(body), headers)
        response = self.connection.getresponse()
        return response, response.read()


def test_01_success_has_content_type_and_request_id_and_no_output_is_an_empty_body(server: Server, http: Sqs) -> None:
    """Success has content type and request id and no output is an empty body."""
    url = http.queue()
    http.send(url, "x")
    (message,) = http.receive(url)
    with closing(Bare(server)) as bare:
        response, body = bare.call(
            "AmazonSQS.DeleteMessage", {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
        )
        assert (response.status, response.getheader("Content-Type"), body) == (200, JSON, b"")
        assert response.getheader("x-amzn-RequestId")
        assert response.getheader("Date")
        response, body = bare.call("AmazonSQS.ListQueues", {})
        assert url in json.loads(body)["QueueUrls"]


def test_02_unknown_queue_is_named_under_both_names(server: Server, sqs: Sqs) -> None:
    """Unknown queue is named under both names."""
    missing_url = sqs.queue() + "-not"
    with pytest.raises(sqs.client.exceptions.QueueDoesNotExist):
        sqs.receive(missing_url)
    with refused("QueueDoesNotExist", PREFIX + "NonExistentQueue", "does not exist", 400):
        sqs.client.get_queue_url(QueueName="it-none")
    with closing(Bare(server)) as bare:
        response, body = bare.call("AmazonSQS.ReceiveMessage", {"QueueUrl": missing_url})
        assert json.loads(body)["__type"] == "com.amazonaws.sqs#QueueDoesNotExist"
        assert response.getheader("x-amzn-query-error") == PREFIX + "NonExistentQueue;Sender"


def test_03_bad_parameter_is_named_under_both_names(sqs: Sqs) -> None:
    """Bad parameter is named under both names."""
    with invalid("MaxNumberOfMessages"):
        sqs.receive(sqs.queue(), 11)


def test_04_missing_parameter_is_named_under_both_names(sqs: Sqs) -> None:
    """Missing parameter is named under both names."""
    with missing("QueueUrl"):
        sqs.client.receive_message()
    with missing("QueueName"):
        sqs.client.create_queue()


def test_05_only_the_path_of_a_queue_url_counts_and_all_operations_agree_on_it(sqs: Sqs) -> None:
    """Only the path of a queue url counts and all operations agree on it."""
    url = sqs.queue()
    name = url.rpartition("/")[2]
    assert sqs.client.get_queue_url(QueueName=name)["QueueUrl"] == url
    assert sqs.client.create_queue(QueueName=name)["QueueUrl"] == url
    assert sqs.client.list_queues(QueueNamePrefix=name)["QueueUrls"] == [url]
    foreign = "https://sqs.us-east-1.amazonaws.com/" + "/".join(url.split("/")[-2:])
    sqs.send(foreign, "x")
    assert sqs.bodies(url) == ["x"]


def test_06_a_connection_is_kept_over_five_requests_and_an_unknown_target(server: Server) -> None:
    """A connection is kept over five requests and an unknown target."""
    with closing(Bare(server)) as bare:
        for _ in range(5):
            response, _ = bare.call("AmazonSQS.ListQueues", {})
            assert response.status == 200
        sock = bare.connection.sock
        response, body = bare.call("AmazonSQS.Frobnicate", {})
        assert response.status == 400
        assert json.loads(body)["__type"].endswith("#UnknownOperationException")
        response, _ = bare.call("AmazonSQS.ListQueues", {})
        assert response.status == 200
        assert bare.connection.sock is sock


def test_07_digests_are_those_of_the_vectors(sqs: Sqs) -> None:
    """Digests are those of the vectors."""
    url = sqs.queue()
    text = {"attribName1": {"DataType": "String", "StringValue": "attribValue 1"}}
    data = {"binaryAttribute": {"DataType": "Binary", "BinaryValue": b"Hello binary world!"}}
    (sent,) = sqs.send(url, "hello", MessageAttributes=text)
    assert sent["MD5OfMessageAttributes"] == "19e27d4e946b072f3f58da80d94fd778"
    assert sent["MD5OfMessageBody"] == "5d41402abc4b2a76b9719d911017c592"
    (sent,) = sqs.send(url, "hello", MessageAttributes=data)
    assert sent["MD5OfMessageAttributes"] == "31a92b15d92f8db860eda32aceb656c3"
    received = sqs.receive(url)
    assert [message["MessageAttributes"] for message in received] == [text, data]
    assert [message["MD5OfMessageAttributes"] for message in received] == [
        "19e27d4e946b072f3f58da80d94fd778",
        "31a92b15d92f8db860eda32aceb656c3",
    ]
    assert {message["MD5OfBody"] for message in received} == {"5d41402abc4b2a76b9719d911017c592"}
