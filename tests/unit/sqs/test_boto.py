"""botocore's answers at the seam: what they say, what they leave out, and what cannot be read at all."""

from __future__ import annotations

import asyncio
import http.server
import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hadoken.clock import SYSTEM
from hadoken.errors import ConfigurationError, LeaseLost, SQSDenied, SQSError, SQSUnavailable
from hadoken.sqs.api import (
    NO_ANSWER,
    Attribute,
    BatchAnswer,
    ChangeVisibilityBatch,
    DeleteBatch,
    EntryFailure,
    Fault,
    Receive,
    Received,
    SendBatch,
    SendEntry,
    SentBatch,
)
from hadoken.sqs.boto import BotoClient, BotoTransport
from hadoken.sqs.connection import Connection
from tests.support.signals import TestSignal
from tests.support.waiting import GLOBAL

URL = "http://sqs.local/000000000000/orders"
ELSEWHERE = "http://sqs.invalid"  # no request gets so far: without credentials none is sent
SILENT = EntryFailure(NO_ANSWER, "the answer does not say", sender_fault=False)


class Peer(http.server.HTTPServer):
    """The other side: gives each operation the answer that the test wrote down for it.

    Attributes:
        answers: operation -> the answer's document; a list is given out one after the other.
        asked: (operation, request) in the order in which they came.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, Any]] = []
        self.status = 200
        self.url = f"http://127.0.0.1:{self.server_port}"


class Answering(http.server.BaseHTTPRequestHandler):
    """One request."""

    def do_POST(self) -> None:
        """Answer what was written down."""
        peer = self.server
        assert isinstance(peer, Peer)
        operation = self.headers["X-Amz-Target"].partition(".")[2]
        peer.asked.append((operation, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
        answer = peer.answers[operation]
        data = json.dumps(answer.pop(0) if isinstance(answer, list) else answer).encode()
        self.send_response(peer.status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("x-amzn-RequestId", "r-1")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def peer() -> Iterator[Peer]:
    """A server that runs for the length of the test."""
    with Peer() as made:
        thread = threading.Thread(target=lambda: made.serve_forever(poll_interval=0.01), name="peer")
        thread.start()
        yield made
        made.shutdown()
        thread.join(GLOBAL)
        assert not thread.is_alive()


@pytest.fixture
def client(peer: Peer) -> Iterator[BotoClient]:
    """A client of the peer."""
    made = BotoClient(Connection(endpoint_url=peer.url, anonymous=True), wait_time=1)
    yield made
    made.close()


BATCHES: list[tuple[str, Callable[[BotoClient], BatchAnswer]]] = [
    ("DeleteMessageBatch", lambda client: client.delete_batch(DeleteBatch(URL, ["h0", "h1", "h2"]))),
    (
        "ChangeMessageVisibilityBatch",
        lambda client: client.change_visibility_batch(ChangeVisibilityBatch(URL, [("h0", 1), ("h1", 2), ("h2", 3)])),
    ),
]


@pytest.mark.parametrize(("operation", "call"), BATCHES)
def test_an_entry_that_the_answer_names_in_neither_list_has_failed(
    peer: Peer, client: BotoClient, operation: str, call: Callable[[BotoClient], BatchAnswer]
) -> None:
    """It may or may not have been applied: it is worth another try, and never taken for done."""
    refused = {"Id": "1", "Code": "ReceiptHandleIsInvalid", "Message": "no", "SenderFault": True}
    peer.answers[operation] = {"Successful": [{"Id": "0"}], "Failed": [refused]}
    failed = call(client).failed
    assert failed == {1: EntryFailure("ReceiptHandleIsInvalid", "no"), 2: SILENT}
    assert failed[2].fault is Fault.TRANSIENT
    assert peer.asked[0][1]["QueueUrl"] == URL


@pytest.mark.parametrize(("operation", "call"), BATCHES)
def test_ids_that_are_no_positions_say_nothing(
    peer: Peer, client: BotoClient, operation: str, call: Callable[[BotoClient], BatchAnswer]
) -> None:
    """An id that we never sent, of either list, names no entry of ours; all that are not named have failed."""
    strange: list[dict[str, Any]] = [{"Id": "entry-1"}, {"Id": "3"}, {"Id": "-1"}, {}]
    peer.answers[operation] = {
        "Successful": [*strange, {"Id": "0"}],
        "Failed": [{**one, "Code": "InternalError", "SenderFault": False} for one in strange],
    }
    assert call(client).failed == {1: SILENT, 2: SILENT}


@pytest.mark.parametrize(("operation", "call"), BATCHES)
def test_a_whole_answer_is_a_success(
    peer: Peer, client: BotoClient, operation: str, call: Callable[[BotoClient], BatchAnswer]
) -> None:
    """Every entry is in one of the lists, as SQS answers."""
    peer.answers[operation] = {"Successful": [{"Id": str(n)} for n in range(3)], "Failed": []}
    assert call(client) == BatchAnswer()


def test_a_send_answers_for_each_entry(peer: Peer, client: BotoClient) -> None:
    """Sent, refused, and not named; a message id is not needed to know that it was sent."""
    peer.answers["SendMessageBatch"] = {
        "Successful": [{"Id": "0", "MessageId": "m-0", "MD5OfMessageBody": ""}, {"Id": "1"}, {"Id": "x"}],
        "Failed": [{"Id": "2", "Code": "InvalidMessageContents", "SenderFault": True}],
    }
    entries = [SendEntry("a", {"n": Attribute("Number", text="1")}), SendEntry("b"), SendEntry("c"), SendEntry("d")]
    answer = client.send_batch(SendBatch(URL, entries))
    assert answer == SentBatch({0: "m-0", 1: ""}, {2: EntryFailure("InvalidMessageContents"), 3: SILENT})
    assert peer.asked[0][1]["Entries"][0]["MessageAttributes"] == {"n": {"DataType": "Number", "StringValue": "1"}}


def test_a_send_says_all_that_an_entry_holds(peer: Peer, client: BotoClient) -> None:
    """Delay, message group, deduplication id and bytes go out under the names of SQS."""
    peer.answers["SendMessageBatch"] = {"Successful": [{"Id": "0", "MessageId": "m-0"}]}
    entry = SendEntry("a", {"d": Attribute("Binary", data=b"\0")}, 3, "group", "once")
    client.send_batch(SendBatch(URL, [entry]))
    (sent,) = peer.asked[0][1]["Entries"]
    assert sent == {
        "Id": "0",
        "MessageBody": "a",
        "MessageAttributes": {"d": {"DataType": "Binary", "BinaryValue": "AA=="}},
        "DelaySeconds": 3,
        "MessageGroupId": "group",
        "MessageDeduplicationId": "once",
    }


def test_an_error_of_sqs_is_translated(peer: Peer, client: BotoClient) -> None:
    """It carries the operation, the code and the request id."""
    peer.status = 400
    peer.answers["DeleteMessageBatch"] = {"__type": "com.amazonaws.sqs#ReceiptHandleIsInvalid", "message": "gone"}
    with pytest.raises(LeaseLost, match="gone") as caught:
        client.delete_batch(DeleteBatch(URL, ["h0"]))
    error = caught.value
    assert (error.operation, error.code, error.request_id) == ("DeleteMessageBatch", "ReceiptHandleIsInvalid", "r-1")


def test_a_server_that_is_not_there_is_unavailable() -> None:
    """Whatever botocore says of the network is worth another try."""
    with Peer() as peer:
        url = peer.url
    client = BotoClient(Connection(endpoint_url=url, anonymous=True))
    with pytest.raises(SQSUnavailable) as caught:
        client.queue_url("orders")
    assert (caught.value.code, caught.value.transient) == ("EndpointConnectionError", True)
    client.close()


def test_a_hook_of_the_user_that_fails_is_an_error_of_the_call(peer: Peer, client: BotoClient) -> None:
    """Anything may be registered with botocore; what it raises does not pass the seam as it is."""

    def broken(**_: object) -> None:
        raise KeyError("oops")

    client._calls.meta.events.register("before-sign.sqs", broken)
    with pytest.raises(SQSUnavailable, match="GetQueueUrl failed: KeyError: 'oops'"):
        client.queue_url("orders")
    assert peer.asked == []


def only_credentials_of(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let botocore find nothing but what stands in this file, which need not be there."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(config.with_name("none")))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def test_without_credentials_requests_are_denied(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The error says what to do; nothing is sent, for there is nothing to sign with."""
    only_credentials_of(tmp_path / "none", monkeypatch)
    client = BotoClient(Connection(region="eu-central-1", endpoint_url="https://sqs.test/"))
    with pytest.raises(SQSDenied, match="GetQueueUrl failed") as caught:
        client.queue_url("orders")
    assert (caught.value.code, caught.value.hint) == (
        "NoCredentials",
        "configure AWS credentials, or use the local SQS with --local",
    )
    client.refresh_credentials()
    client.close()


@pytest.mark.parametrize("named_by", ["argument", "environment"])
def test_this_machine_minds_neither_region_nor_credentials(
    peer: Peer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named_by: str
) -> None:
    """With an endpoint on loopback and nothing configured, both are made up: a local SQS is used without an account."""
    only_credentials_of(tmp_path / "none", monkeypatch)
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    if named_by == "environment":
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", peer.url)
    client = BotoClient(Connection(endpoint_url=peer.url if named_by == "argument" else None))
    assert (client.region, client.endpoint_url.rstrip("/")) == ("us-east-1", peer.url.rstrip("/"))
    client.refresh_credentials()
    client.close()


def test_an_endpoint_that_was_switched_off_is_not_gone_to(
    peer: Peer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """AWS is meant then: nothing is made up, and nothing goes to this machine."""
    only_credentials_of(tmp_path / "none", monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", peer.url)
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    client = BotoClient(Connection(region="eu-west-3"))
    assert client.endpoint_url == "https://sqs.eu-west-3.amazonaws.com"
    with pytest.raises(SQSDenied, match="Unable to locate credentials"):
        client.queue_url("orders")
    client.close()


def test_credentials_that_cannot_be_renewed_are_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever renews them is told in our words, while those at hand last."""
    soon = datetime.fromtimestamp(SYSTEM.wall() + 60, tz=UTC).isoformat()
    keys = {"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "b", "SessionToken": "c", "Expiration": soon}
    script = tmp_path / "script"
    script.write_text(f"mkdir '{tmp_path}/given' && echo '{json.dumps(keys)}'\n")  # gives them out once
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = /bin/sh {script}\n")
    only_credentials_of(config, monkeypatch)
    client = BotoClient(Connection(region="eu-central-1", endpoint_url=ELSEWHERE))
    with pytest.raises(SQSDenied, match="credentials cannot be refreshed"):
        client.refresh_credentials()
    client.close()


def test_made_up_credentials_need_no_renewal(client: BotoClient) -> None:
    """A local SQS asks for none, so nothing is looked for."""
    client.refresh_credentials()
    assert client.region == "us-east-1"


def test_an_endpoint_that_is_no_url_is_a_mistake_of_configuration() -> None:
    """It is found when the client is made."""
    with pytest.raises(ConfigurationError, match="no SQS client can be made"):
        BotoClient(Connection(endpoint_url="nowhere", anonymous=True))


# ---- the transport ---------------------------------------------------------------------------------------------------


@contextmanager
def transport(client: BotoClient) -> Iterator[Callable[[], BotoTransport]]:
    """A transport of one thread, made on the running loop when asked for; its thread is ended after the block."""
    threads: list[threading.Thread] = []
    made: list[BotoTransport] = []

    def spawn(name: str, body: Callable[[], None]) -> None:
        threads.append(threading.Thread(target=body, name=name))
        threads[-1].start()

    def make() -> BotoTransport:
        made.append(BotoTransport(client, asyncio.get_running_loop(), spawn, 1))
        return made[-1]

    yield make
    for one in made:
        one.close()
    for thread in threads:
        thread.join(GLOBAL)
        assert not thread.is_alive()


def test_an_answer_of_another_shape_fails_its_call_and_the_thread_lives(
    peer: Peer, client: BotoClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A proxy may answer anything: that is an unavailable SQS, logged, and the same thread makes the next call."""
    whole = {"MessageId": "m", "ReceiptHandle": "r", "Body": "b", "Attributes": {"ApproximateReceiveCount": "1"}}
    broken = {name: value for name, value in whole.items() if name != "ReceiptHandle"}
    peer.answers["ReceiveMessage"] = [{"Messages": [broken]}, {"Messages": [whole]}]

    async def receive_twice(make: Callable[[], BotoTransport]) -> Received:
        sqs = make()
        with pytest.raises(SQSUnavailable, match="could not be read: KeyError") as caught:
            await sqs.receive(Receive(URL, 10, 0, 30))
        assert (caught.value.code, caught.value.transient) == ("UnreadableAnswer", True)
        return await sqs.receive(Receive(URL, 10, 0, 30, "attempt"))

    with transport(client) as make:
        received = asyncio.run(receive_twice(make))
    assert [message.receipt_handle for message in received.messages] == ["r"]
    assert [record.message for record in caplog.records if record.name == "hadoken.sqs"] == [
        "an answer of SQS could not be read"
    ]
    assert "ReceiveRequestAttemptId" not in peer.asked[0][1]
    assert peer.asked[1][1]["ReceiveRequestAttemptId"] == "attempt"


def test_every_call_of_the_seam_comes_back_to_the_loop(peer: Peer, client: BotoClient) -> None:
    """Answers are futures of the loop, one after the other over one thread; a refusal is raised from its own."""
    peer.answers = {
        "GetQueueUrl": {"QueueUrl": URL},
        "GetQueueAttributes": {"Attributes": {"VisibilityTimeout": "30"}},
        "DeleteMessageBatch": {"Successful": [{"Id": "0"}]},
        "ChangeMessageVisibilityBatch": {"Successful": [{"Id": "0"}]},
        "SendMessageBatch": {"Successful": [{"Id": "0", "MessageId": "m"}]},
        "ReceiveMessage": {},
    }

    async def ask(make: Callable[[], BotoTransport]) -> list[object]:
        sqs = make()
        return await asyncio.gather(
            sqs.queue_url("orders"),
            sqs.queue_attributes(URL),
            sqs.delete_batch(DeleteBatch(URL, ["h"])),
            sqs.change_visibility_batch(ChangeVisibilityBatch(URL, [("h", 0)])),
            sqs.send_batch(SendBatch(URL, [SendEntry("a")])),
            sqs.receive(Receive(URL, 1, 0, 30)),
        )

    with transport(client) as make:
        *answers, received = asyncio.run(ask(make))
    assert answers == [URL, {"VisibilityTimeout": "30"}, BatchAnswer(), BatchAnswer(), SentBatch({0: "m"})]
    assert isinstance(received, Received)
    assert received.messages == []
    assert received.server_time is not None


@pytest.mark.parametrize("closed", [False, True])
def test_an_answer_that_nobody_waits_for_is_dropped(
    peer: Peer, client: BotoClient, closed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The future was cancelled, or its loop closed at the stop deadline: the thread goes on to its end."""
    caplog.set_level(logging.DEBUG, "hadoken.sqs")
    go = threading.Event()
    begun = TestSignal[str]("begun")

    def wait(**_: object) -> None:
        begun.emit("call")
        assert go.wait(GLOBAL)

    client._calls.meta.events.register("before-sign.sqs", wait)
    peer.answers["GetQueueUrl"] = [{"QueueUrl": URL}, {}]

    async def ask(make: Callable[[], BotoTransport]) -> None:
        sqs = make()
        future, refused = sqs.queue_url("orders"), sqs.queue_url("orders")
        await begun.wait_async()
        future.cancel()
        refused.cancel()
        if not closed:
            go.set()
            with pytest.raises(SQSError):
                await sqs.queue_url("orders")

    peer.answers["GetQueueUrl"].append({})
    with transport(client) as make:
        asyncio.run(ask(make))
        go.set()
    assert ("came after the engine had ended" in caplog.text) is closed
