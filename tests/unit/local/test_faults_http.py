"""Every kind of fault, as boto3 meets it over real HTTP."""

from __future__ import annotations

import gc
import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    HTTPClientError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError

from tests.support.local_sqs import Server, Sqs, boto3_client
from tests.support.polls import open_poll
from tests.support.refused import refused
from tests.support.waiting import GLOBAL, wait_until


def admin(server: Server, verb: str, body: object = None, path: str = "faults") -> tuple[int, Any]:
    """Status and answer of an admin call."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=GLOBAL)) as connection:
        connection.request(verb, f"/_hadoken/{path}", body=None if body is None else json.dumps(body))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    """A local SQS in a child process."""
    with Server() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    """The same, without faults at the end."""
    yield running
    status, said = admin(running, "DELETE")
    assert (status, said["rules"]) == (200, [])


@pytest.fixture
def sqs(server: Server) -> Iterator[Sqs]:
    """A client of it, without retries."""
    made = Sqs(boto3_client(server.url), lambda: server.get("events")["events"])
    yield made
    made.client.close()


@pytest.fixture
def fail(server: Server) -> Callable[..., None]:
    """Set a script of one rule, which fires once unless it says otherwise."""

    def set_rule(**rule: object) -> None:
        status, said = admin(server, "POST", [{"times": 1, **rule}])
        assert status == 200, said

    return set_rule


@pytest.mark.parametrize(
    ("rule", "shape", "legacy", "status"),
    [
        ({"status": 500}, "InternalFailure", "", 500),
        ({"status": 503}, "ServiceUnavailable", "", 503),
        ({"code": "RequestThrottled"}, "RequestThrottled", "", 403),
        ({"code": "ThrottlingException", "status": 429}, "ThrottlingException", "", 429),
        ({"code": "ExpiredToken"}, "ExpiredToken", "", 403),
        ({"code": "QueueDoesNotExist"}, "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", 400),
        ({"code": "KmsAccessDenied"}, "KmsAccessDenied", "", 400),
    ],
)
def test_an_error_of_choice(
    sqs: Sqs, fail: Callable[..., None], rule: dict[str, object], shape: str, legacy: str, status: int
) -> None:
    """The call fails with the error under both names, once, and is not applied."""
    url = sqs.queue()
    fail(operation="SendMessage", **rule)
    with refused(shape, legacy, "made to fail", status):
        sqs.send(url, "lost")
    assert sqs.receive(url) == []
    sqs.send(url, "sent")
    assert sqs.bodies(url) == ["sent"]


def test_an_error_page(sqs: Sqs, fail: Callable[..., None]) -> None:
    """A 5xx may come as HTML."""
    url = sqs.queue()
    fail(operation="SendMessage", answer="html")
    with pytest.raises((ClientError, ResponseParserError)) as caught:
        sqs.send(url, "lost")
    assert "503" in str(caught.value)
    assert sqs.receive(url) == []


@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("rule", [{"code": ""}, {"answer": "reset"}, {"code": "InternalError"}])
def test_a_call_fails_before_or_after_it_is_applied(
    sqs: Sqs, fail: Callable[..., None], rule: dict[str, object], *, applied: bool
) -> None:
    """No answer or an error does not say whether the call was done: the rule does."""
    url = sqs.queue()
    fail(operation="SendMessage", applied=applied, **rule)
    with pytest.raises((ConnectionClosedError, HTTPClientError, ClientError)):
        sqs.send(url, "perhaps")
    assert sqs.bodies(url) == ["perhaps"] * applied


def test_no_answer_until_the_client_gives_up(server: Server, fail: Callable[..., None]) -> None:
    """A call that hangs ends when its client gives up, and holds nobody else."""
    client = boto3_client(server.url, read_timeout=0.3)
    with closing(client):
        fail(operation="ListQueues", answer="hang")
        with pytest.raises(ReadTimeoutError):
            client.list_queues()
        client.list_queues()
    gc.collect()  # the error held the client's socket
    assert wait_until(lambda: server.get("state")["connections"] == 1)  # ours that asks


def test_a_slow_answer(sqs: Sqs, fail: Callable[..., None], server: Server) -> None:
    """An answer comes late while others are served; a client that has gone meanwhile does no harm."""
    url = sqs.queue()
    fail(operation="SendMessage", delay=0.3)
    begin = time.monotonic()
    sqs.send(url, "late")
    assert time.monotonic() - begin >= 0.3
    fail(operation="SendMessage", delay=0.4)
    with closing(boto3_client(server.url, read_timeout=0.1)) as client, pytest.raises(ReadTimeoutError):
        client.send_message(QueueUrl=url, MessageBody="applied at once")
    assert sorted(sqs.bodies(url)) == ["applied at once", "late"]


@pytest.mark.parametrize("answer", ["truncated", "malformed"])
def test_an_answer_that_cannot_be_read(server: Server, sqs: Sqs, fail: Callable[..., None], answer: str) -> None:
    """An answer that ends in its middle, or whose JSON does: the call was done. boto3 takes it for an empty answer."""
    url = sqs.queue()
    fail(operation="SendMessage", answer=answer, times=2)
    assert "MessageId" not in sqs.send(url, "done")[0]
    assert sqs.bodies(url) == ["done"]
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=GLOBAL)) as connection:
        head = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.SendMessage"}
        connection.request("POST", "/", json.dumps({"QueueUrl": url, "MessageBody": "x"}), head)
        said = connection.getresponse()
        if answer == "truncated":
            with pytest.raises(http.client.IncompleteRead):
                said.read()
        else:
            with pytest.raises(ValueError, match=r"Unterminated|delimiter|Expecting"):
                json.loads(said.read())


@pytest.mark.parametrize("answer", ["chunked", "close"])
def test_an_answer_in_an_unusual_form(sqs: Sqs, fail: Callable[..., None], answer: str) -> None:
    """Chunks and a connection that closes are no failures; an empty body is not, either."""
    url = sqs.queue()
    sqs.send(url, "x" * 500)
    fail(answer=answer, times=5)
    (message,) = sqs.receive(url)
    assert message["Body"] == "x" * 500
    said = sqs.delete(url, message)["ResponseMetadata"]["HTTPHeaders"]
    assert said.get("transfer-encoding", said.get("connection")) == answer
    assert sqs.counts(url) == (0, 0, 0)


def test_chosen_entries_fail_by_position_and_by_id(sqs: Sqs, fail: Callable[..., None]) -> None:
    """Those entries fail by themselves and are not applied, the others are."""
    url = sqs.queue()
    entries = [{"Id": f"m{at}", "MessageBody": str(at)} for at in range(4)]
    fail(operation="SendMessageBatch", entries=[1, "m3", 9], entry_code="RequestThrottled")
    answer = sqs.client.send_message_batch(QueueUrl=url, Entries=entries)
    assert {(one["Id"], one["Code"]) for one in answer["Failed"]} == {
        ("m1", "RequestThrottled"),
        ("m3", "RequestThrottled"),
    }
    assert {one["Id"] for one in answer["Successful"]} == {"m0", "m2"}
    received = sqs.receive(url)
    assert {one["Body"] for one in received} == {"0", "2"}
    handles = [{"Id": str(at), "ReceiptHandle": one["ReceiptHandle"]} for at, one in enumerate(received)]
    fail(operation="DeleteMessageBatch", entries=[0, 1])
    answer = sqs.client.delete_message_batch(QueueUrl=url, Entries=handles)
    assert {(one["Id"], one["Code"], one["SenderFault"]) for one in answer["Failed"]} == {
        ("0", "InternalError", False),
        ("1", "InternalError", False),
    }
    assert sqs.counts(url) == (0, 2, 0)


def test_a_message_is_delivered_twice(sqs: Sqs, fail: Callable[..., None]) -> None:
    """What was received comes again at once, under another handle."""
    url = sqs.queue()
    sqs.send(url, "again")
    fail(operation="ReceiveMessage", twice=True)
    (first,), (second,) = sqs.receive(url), sqs.receive(url)
    assert first["MessageId"] == second["MessageId"]
    assert first["ReceiptHandle"] != second["ReceiptHandle"]
    assert sqs.receive(url) == []


def test_an_aborted_poll_swallows_the_next_message(server: Server, sqs: Sqs, fail: Callable[..., None]) -> None:
    """The message goes to the poll of a client that is gone."""
    url = sqs.queue()
    fail(operation="ReceiveMessage", swallow=True)
    with closing(boto3_client(server.url, read_timeout=0.1)) as client, pytest.raises(ReadTimeoutError):
        client.receive_message(QueueUrl=url, WaitTimeSeconds=20)
    sqs.send(url, "swallowed")
    assert sqs.receive(url) == []
    assert sqs.counts(url) == (0, 1, 0)


def test_a_clock_that_is_off(sqs: Sqs, fail: Callable[..., None]) -> None:
    """Date and the times in messages are off together, by the seconds asked for."""
    url = sqs.queue()
    sqs.send(url, "when")
    fail(operation="ReceiveMessage", clock_offset=-3600)
    answer = sqs.client.receive_message(QueueUrl=url, MessageSystemAttributeNames=["All"])
    date = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()
    times = answer["Messages"][0]["Attributes"]
    for said in (date, *(int(times[name]) / 1000 for name in ("SentTimestamp", "ApproximateFirstReceiveTimestamp"))):
        assert said == pytest.approx(time.time() - 3600, abs=GLOBAL)


def test_over_limit_from_so_many_in_flight(sqs: Sqs, fail: Callable[..., None]) -> None:
    """OverLimit comes as long as the queue has so many messages in flight, and goes when one is deleted."""
    url = sqs.queue()
    sqs.send(url, "a", "b", "c")
    fail(operation="ReceiveMessage", queue=url.rpartition("/")[2], code="OverLimit", in_flight=2, times=None)
    first, *_ = sqs.receive(url, 1) + sqs.receive(url, 1)
    with refused("OverLimit", status=403):
        sqs.receive(url)
    sqs.delete(url, first)
    assert len(sqs.receive(url)) == 1


def test_a_queue_is_gone_for_a_while(sqs: Sqs, fail: Callable[..., None]) -> None:
    """A rule that begins later leaves the calls before alone; other queues are not touched."""
    url, other = sqs.queue(), sqs.queue()
    gone = {"queue": url.rpartition("/")[2], "code": "QueueDoesNotExist", "times": None}
    fail(**gone, **{"from": 3600})
    assert sqs.receive(url) == []
    fail(**gone, **{"for": 3600})
    with refused("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"):
        sqs.receive(url)
    assert sqs.receive(other) == []


def test_a_script_says_what_became_of_it(server: Server, sqs: Sqs) -> None:
    """GET answers with the script as it was set, and with how often each rule matched and fired."""
    url = sqs.queue()
    rule = {"operation": "SendMessage", "code": "OverLimit", "nth": 2}
    assert admin(server, "POST", {"seed": 7, "rules": [rule]})[0] == 200
    sqs.send(url, "one")
    with refused("OverLimit"):
        sqs.send(url, "two")
    assert admin(server, "GET") == (200, {"seed": 7, "rules": [{**rule, "matched": 2, "fired": 1}]})


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ([{"operatoin": "SendMessage", "code": "X"}], "operation?"),
        ([{"operation": "SendMesage", "code": "X"}], "SendMessage?"),
        ([{"code": "X"}, {"chance": 3, "code": "X"}], "rule 2"),
        ({"rule": []}, "rules?"),
        ([{"answer": "explode"}], "explode"),
    ],
)
def test_a_script_with_a_mistake_is_refused_and_the_old_one_kept(server: Server, script: object, words: str) -> None:
    """A misspelt rule would never fire: it is refused, and what is right is suggested."""
    admin(server, "POST", [{"operation": "PurgeQueue", "delay": 1}])
    status, said = admin(server, "POST", script)
    assert status == 400
    assert words in said["message"]
    assert [one["operation"] for one in admin(server, "GET")[1]["rules"]] == ["PurgeQueue"]


def test_calls_are_written_down_when_asked_for(server: Server, sqs: Sqs, fail: Callable[..., None]) -> None:
    """Each call has a record between those of messages: what was asked, what was answered, which fault fired."""
    url = sqs.queue()
    assert admin(server, "POST", {"calls": 1}, "events")[0] == 400
    assert admin(server, "POST", {"calls": True}, "events") == (200, {"calls": True})
    try:
        fail(operation="SendMessageBatch", code="", applied=True)
        with pytest.raises(ConnectionClosedError):
            sqs.client.send_message_batch(QueueUrl=url, Entries=[{"Id": str(at), "MessageBody": "x"} for at in (0, 1)])
        with pytest.raises(ClientError):
            sqs.receive(url, 11)
    finally:
        admin(server, "POST", {"calls": False}, "events")
    sqs.receive(url)
    told = [event for event in sqs.events(url) if event["what"] == "call"]
    assert [(one["operation"], one.get("status", 200), one.get("code", "")) for one in told] == [
        ("SendMessageBatch", 0, ""),
        ("ReceiveMessage", 400, "InvalidParameterValueException"),
    ]
    assert (told[0]["entries"], told[0]["fault"]) == (2, "reset")
    assert [event["what"] for event in sqs.events(url)].count("sent") == 2


def test_a_poll_to_be_doubled_ends_though_its_queue_is_deleted(
    server: Server, sqs: Sqs, fail: Callable[..., None]
) -> None:
    """Neither this poll nor one that ends at the same time waits for ever."""
    gone, there = (sqs.client.create_queue(QueueName=name)["QueueUrl"] for name in ("doubled-gone", "doubled-there"))
    fail(operation="ReceiveMessage", queue="doubled-gone", twice=True)
    with open_poll(server.url, gone, 1) as first, open_poll(server.url, there, 1) as second:
        assert wait_until(lambda: server.get("state")["parked"] == 2)
        sqs.client.delete_queue(QueueUrl=gone)
        assert [poll.answer() for poll in (first, second)] == [{}, {}]


def test_a_late_answer_is_dropped_with_its_connection(server: Server, sqs: Sqs, fail: Callable[..., None]) -> None:
    """A poll that takes messages for nobody leaves no late answer, nor the connection that it would go to."""
    url = sqs.client.create_queue(QueueName="late-for-nobody")["QueueUrl"]
    fail(operation="ReceiveMessage", swallow=True, delay=3_600.0)
    before = server.get("state")["connections"]
    with open_poll(server.url, url):
        assert wait_until(lambda: server.get("state")["parked"] == 1)
    assert wait_until(lambda: server.get("state")["connections"] == before)
    sqs.client.send_message(QueueUrl=url, MessageBody="x")
    assert server.get("state")["queues"]["late-for-nobody"]["in_flight"] == 1


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"code": "Lost\r\nX-Header: x"}, "code is"),
        ({"code": "\u2192"}, "code is"),
        ({"entries": [0], "entry_code": "a b"}, "entry_code is"),
        ({"clock_offset": 1e300}, "clock_offset is"),
        ({"status": 500, "times": 0}, "times is 0"),
        ({"status": 500, "from": 5, "until": 5}, "never fires"),
        ({"status": 500, "for": 0}, "never fires"),
        ({"applied": True}, "nothing would go wrong"),
        ({"entry_code": "X"}, "nothing would go wrong"),
    ],
)
def test_a_rule_that_cannot_work_is_refused_at_once(server: Server, rule: dict[str, object], said: str) -> None:
    """Not at the first call that it would break, nor never."""
    status, told = admin(server, "POST", [rule])
    assert status == 400
    assert said in told["message"]


def test_an_address_that_is_none_is_not_found(server: Server) -> None:
    """An address that is none is not found."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=GLOBAL)) as connection:
        connection.request("GET", "//[")
        assert connection.getresponse().status == 404


def test_the_event_log_keeps_names_not_what_was_sent_for_one(server: Server, sqs: Sqs) -> None:
    """What a client writes where a name should be is cut: the log is bounded by events."""
    assert admin(server, "POST", {"calls": True}, "events")[0] == 200
    with pytest.raises(ClientError):
        sqs.client.list_queue_tags(QueueUrl="x" * 100_000)
    assert admin(server, "POST", {"calls": False}, "events")[0] == 200
    assert max(len(event["queue"]) for event in server.get("events")["events"]) == 80
