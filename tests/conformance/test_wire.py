from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from tests.support.digests import attribute_digest
from tests.support.local_sqs import Sqs
from tests.support.polls import JSON, headers
from tests.support.refused import PREFIX, invalid, missing, refused


class Bare:
    """The smallest client: one connection, no model, and a signature that signs nothing."""

    def __init__(self, sqs: Sqs) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(sqs.url).netloc, timeout=20)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def call(self, target: str, body: Mapping[str, object]) -> tuple[http.client.HTTPResponse, bytes]:
        """Send one request and read its answer."""
        self.connection.request("POST", "/", json.dumps(body), headers(target))
        response = self.connection.getresponse()
        return response, response.read()


@pytest.mark.needs_wire
def test_01_success_has_content_type_and_request_id(sqs: Sqs) -> None:
    """Success has content type and request id."""
    url = sqs.queue()
    with closing(Bare(sqs)) as bare:
        response, body = bare.call("AmazonSQS.GetQueueUrl", {"QueueName": url.rpartition("/")[2]})
        assert (response.status, response.getheader("Content-Type")) == (200, JSON)
        assert response.getheader("x-amzn-RequestId")
        assert json.loads(body) == {"QueueUrl": url}


@pytest.mark.needs_wire
def test_01_no_output_is_an_empty_body(sqs: Sqs) -> None:
    """No output is an empty body."""
    url = sqs.queue()
    sqs.send(url, "x")
    (message,) = sqs.receive(url)
    with closing(Bare(sqs)) as bare:
        response, body = bare.call(
            "AmazonSQS.DeleteMessage", {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
        )
        assert response.status == 200
        assert body in {b"", b"{}"}


@pytest.mark.differs(
    "roto-aws",
    aws=(
        "The Smithy model of SQS declares QueueDoesNotExist with the code AWS.SimpleQueueService.NonExistentQueue "
        "and status 400."
    ),
)
def test_02_unknown_queue_is_named_under_both_names(sqs: Sqs) -> None:
    """Unknown queue is named under both names."""
    missing_url = sqs.queue() + "-not"
    with pytest.raises(sqs.client.exceptions.QueueDoesNotExist):
        sqs.receive(missing_url)
    with refused("QueueDoesNotExist", PREFIX + "NonExistentQueue", "does not exist", 400) as facts:
        sqs.client.get_queue_url(QueueName="it-none")
    assert (facts["shape"], facts["status"]) == ("QueueDoesNotExist", 400)
    for call in (sqs.client.purge_queue, sqs.client.delete_queue, sqs.client.get_queue_attributes):
        with refused("QueueDoesNotExist", PREFIX + "NonExistentQueue", status=400):
            call(QueueUrl=missing_url)


@pytest.mark.differs(
    "ministack",
    "roto-aws",
    aws=("Recorded: `__type` is com.amazonaws.sqs#QueueDoesNotExist, and x-amzn-query-error has the legacy name."),
)
def test_02_and_so_it_is_on_the_wire(sqs: Sqs) -> None:
    """And so it is on the wire."""
    answer = sqs.call("AmazonSQS.ReceiveMessage", json.dumps({"QueueUrl": sqs.queue() + "-not"}).encode())
    assert json.loads(answer.body)["__type"] == "com.amazonaws.sqs#QueueDoesNotExist"
    assert (answer.status, answer.query_error) == (400, PREFIX + "NonExistentQueue;Sender")


@pytest.mark.differs(
    "moto",
    "ministack",
    "roto-aws",
    aws="Recorded: the shape is InvalidParameterValueException, the legacy name InvalidParameterValue.",
)
def test_03_bad_parameter_is_named_under_both_names(sqs: Sqs) -> None:
    """Bad parameter is named under both names."""
    with invalid("MaxNumberOfMessages") as facts:
        sqs.receive(sqs.queue(), 11)
    assert (facts["shape"], facts["status"]) == ("InvalidParameterValueException", 400)


@pytest.mark.differs(
    "moto",
    "ministack",
    "roto-aws",
    aws=(
        "Recorded: MissingRequiredParameterException, legacy name MissingParameter, names the parameter that "
        "the request must contain."
    ),
)
def test_04_missing_parameter_is_named_under_both_names(sqs: Sqs) -> None:
    """Missing parameter is named under both names."""
    with missing("QueueUrl"):
        sqs.client.receive_message()
    with missing("QueueName"):
        sqs.client.create_queue()
    with missing("ReceiptHandle") as facts:
        sqs.client.delete_message(QueueUrl=sqs.queue())
    assert (facts["shape"], facts["status"]) == ("MissingRequiredParameterException", 400)


def test_05_create_get_and_list_agree_on_one_url(sqs: Sqs) -> None:
    """Create, get and list agree on one URL."""
    url = sqs.queue()
    name = url.rpartition("/")[2]
    assert sqs.client.get_queue_url(QueueName=name)["QueueUrl"] == url
    assert sqs.client.create_queue(QueueName=name)["QueueUrl"] == url
    assert sqs.client.list_queues(QueueNamePrefix=name)["QueueUrls"] == [url]


def test_05_only_the_path_of_a_queue_url_counts(sqs: Sqs) -> None:
    """Only the path of a queue URL counts: the host may be any."""
    url = sqs.queue()
    path = "/".join(url.split("/")[-2:])
    for foreign in ("https://sqs.us-east-1.amazonaws.com/", "http://localhost:4566/", "https://queue.amazonaws.com/"):
        sqs.send(foreign + path, "x")
        (message,) = sqs.receive(foreign + path)
        sqs.delete(foreign + path, message)
        assert sqs.receive(url) == []


@pytest.mark.differs(
    "moto", aws="HTTP/1.1 defaults to persistent connections (RFC 9112, section 9.3), and AWS's SDKs keep them."
)
@pytest.mark.needs_wire
def test_06_a_connection_is_kept_over_five_requests(sqs: Sqs) -> None:
    """A connection is kept over five requests."""
    with closing(Bare(sqs)) as bare:
        socks = set()
        for _ in range(5):
            response, _ = bare.call("AmazonSQS.ListQueues", {})
            assert response.status == 200
            socks.add(bare.connection.sock)
        assert None not in socks
        assert len(socks) == 1


@pytest.mark.differs(
    "moto",
    "ministack",
    "roto-aws",
    aws="AWS JSON 1.0: an unknown X-Amz-Target is a client error of the type UnknownOperationException.",
)
@pytest.mark.needs_wire
def test_06_an_unknown_target_is_refused_on_a_connection_that_stays(sqs: Sqs) -> None:
    """An unknown target is refused on a connection that stays."""
    with closing(Bare(sqs)) as bare:
        response, body = bare.call("AmazonSQS.Frobnicate", {})
        assert response.status == 400
        assert json.loads(body)["__type"].endswith("#UnknownOperationException")
        sock = bare.connection.sock
        assert sock is not None
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
    assert [attribute_digest(one) for one in (text, data)] == [one["MD5OfMessageAttributes"] for one in received]
