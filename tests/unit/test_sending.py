"""Sending: checked first, batched, retried within bounds, reported entry by entry."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hadoken import limits
from hadoken.app import App, Handlers
from hadoken.errors import (
    BatchFailed,
    EncodeError,
    InvalidOption,
    QueueNotFound,
    SQSDenied,
    SQSError,
    SQSThrottled,
    SQSUnavailable,
)
from hadoken.outgoing import Outgoing, entry_bytes
from hadoken.sending.delivery import TRIES, batches
from hadoken.sending.sender import Sender
from hadoken.sqs.api import Attribute, BlockingSQS, EntryFailure, SendBatch, SendEntry, SentBatch, sqs_error

Reply = Callable[[SendBatch], SentBatch]


class Far:
    """The far end: records requests and answers by a script; takes everything once the script has ended."""

    def __init__(self, *script: Reply | SQSError) -> None:
        self.script = list(script)
        self.requests: list[SendBatch] = []
        self.asked: list[str] = []
        self.made = 0

    def blocking(self) -> BlockingSQS:
        """Be the door."""
        self.made += 1
        return self

    def queue_url(self, name: str) -> str:
        """One URL for each name."""
        self.asked.append(name)
        return f"http://sqs/1/{name}"

    def send_batch(self, request: SendBatch) -> SentBatch:
        """Answer by the script."""
        self.requests.append(request)
        reply = self.script.pop(0) if self.script else taken()
        if isinstance(reply, SQSError):
            raise reply
        return reply(request)

    @property
    def bodies(self) -> list[list[str]]:
        """Bodies of each request."""
        return [[each.body for each in request.entries] for request in self.requests]


def taken(**failed: EntryFailure) -> Reply:
    """Accept every entry but those at the positions `e<n>`."""
    refused = {int(name[1:]): failure for name, failure in failed.items()}

    def reply(request: SendBatch) -> SentBatch:
        sent = {place: f"id-{each.body}" for place, each in enumerate(request.entries) if place not in refused}
        return SentBatch(sent, refused)

    return reply


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No queue is mapped."""
    for name in [name for name in os.environ if name.startswith("HADOKEN_QUEUES__")]:
        monkeypatch.delenv(name)


def app_at(far: Far) -> tuple[App, list[float]]:
    """An app that sends to `far`; its pauses are recorded, not waited for."""
    app, pauses = App("test"), []
    app.sender = Sender(pause=pauses.append, draw=lambda: 1.0)
    app.connect(far)
    return app, pauses


def throttled() -> SQSError:
    """A whole call that may work later."""
    return sqs_error("SendMessageBatch", "RequestThrottled", "slow down")


def test_send_is_one_request_and_gives_the_id() -> None:
    """The body is encoded, attributes are typed, the delay is in whole seconds rounded up."""
    far = Far()
    app, _ = app_at(far)
    values = {"a": "x", "n": 3, "f": 2.5, "b": b"\x00"}
    assert app.queue("orders", dict).send({"id": 1}, delay=timedelta(seconds=1.2), attributes=values) == 'id-{"id":1}'
    (request,) = far.requests
    assert request == SendBatch(
        "http://sqs/1/orders",
        [
            SendEntry(
                '{"id":1}',
                {
                    "a": Attribute("String", text="x"),
                    "n": Attribute("Number", text="3"),
                    "f": Attribute("Number", text="2.5"),
                    "b": Attribute("Binary", data=b"\x00"),
                },
                delay=2,
            )
        ],
    )


def test_url_and_client_are_made_once() -> None:
    """The queue's URL is asked for once, and one client serves all sends; nothing is made before the first."""
    far = Far()
    app, _ = app_at(far)
    queue = app.queue("orders", str)
    assert far.made == 0
    for body in "abc":
        queue.send(body)
    assert (far.asked, far.made) == (["orders"], 1)


@pytest.mark.parametrize(
    ("address", "url", "asked"),
    [
        ("other", "http://sqs/1/other", ["other"]),
        (
            "https://sqs.eu-west-1.amazonaws.com/123456789012/o",
            "https://sqs.eu-west-1.amazonaws.com/123456789012/o",
            [],
        ),
        ("arn:aws-cn:sqs:cn-north-1:123456789012:o", "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/o", []),
    ],
    ids=["name", "url", "arn"],
)
def test_the_environment_maps_a_queue(
    address: str, url: str, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """HADOKEN_QUEUES__<NAME> is a name, URL or ARN, read when it is needed."""
    far = Far()
    app, _ = app_at(far)
    queue = app.queue("my-orders", str)
    monkeypatch.setenv("HADOKEN_QUEUES__MY_ORDERS", address)
    queue.send("x")
    assert far.requests[0].queue_url == url
    assert far.asked == asked


def test_fifo_needs_a_group_and_gets_a_fresh_deduplication_id() -> None:
    """Equal bodies are two messages; a given id is kept; our own retry repeats the id."""
    far = Far(throttled())
    app, _ = app_at(far)
    queue = app.queue("orders.fifo", str)
    queue.send("x", message_group_id="g")
    queue.send("x", message_group_id="g")
    queue.send("x", message_group_id="g", deduplication_id="mine")
    first, again, second, third = [request.entries[0].deduplication_id for request in far.requests]
    assert first == again != second
    assert third == "mine"
    assert first
    assert len(first) == 36


def test_fifo_is_known_by_the_real_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain logical name mapped to a FIFO queue has its rules."""
    app, _ = app_at(Far())
    monkeypatch.setenv("HADOKEN_QUEUES__ORDERS", "http://localhost:9324/0/orders.fifo")
    with pytest.raises(InvalidOption, match="message_group_id is missing"):
        app.queue("orders", str).send("x")


@pytest.mark.parametrize(
    ("queue", "given", "error", "says"),
    [
        ("q", {"delay": 901}, InvalidOption, "delay is 901 s; SQS allows 0..900"),
        ("q", {"delay": -1}, InvalidOption, "delay is -1 s; SQS allows 0..900"),
        ("q", {"delay": "5"}, InvalidOption, "delay is '5'"),
        ("q", {"deduplication_id": "d"}, InvalidOption, "only FIFO queues"),
        ("q", {"message_group_id": "a b"}, InvalidOption, "message_group_id is 'a b'"),
        ("q", {"message_group_id": ""}, InvalidOption, "message_group_id is ''"),
        ("q.fifo", {}, InvalidOption, "message_group_id is missing"),
        ("q.fifo", {"message_group_id": "g", "delay": 5}, InvalidOption, "no delay for single messages of a FIFO"),
        ("q.fifo", {"message_group_id": "g", "deduplication_id": "x" * 129}, InvalidOption, "1..128"),
        ("q", {"attributes": {"aws.x": "1"}}, EncodeError, "attribute name 'aws.x'"),
        ("q", {"attributes": {"a..b": "1"}}, EncodeError, "attribute name 'a..b'"),
        ("q", {"attributes": {"a": ""}}, EncodeError, "attribute a is empty"),
        ("q", {"attributes": {"a": b""}}, EncodeError, "attribute a is empty"),
        ("q", {"attributes": {"a": "\x00"}}, EncodeError, "attribute a holds U+0000"),
        ("q", {"attributes": {"a": True}}, EncodeError, "attribute a is bool"),
        ("q", {"attributes": {"a": None}}, EncodeError, "attribute a is NoneType"),
        ("q", {"attributes": {"a": float("inf")}}, EncodeError, "attribute a is inf"),
        ("q", {"attributes": {"a": float("nan")}}, EncodeError, "attribute a is nan"),
        ("q", {"attributes": {"a": 10**38 + 1}}, EncodeError, "39 digits"),
        ("q", {"attributes": {f"a{n}": "1" for n in range(11)}}, EncodeError, "11 attributes; SQS allows 10"),
        (
            "q",
            {"attributes": {"a": "x" * limits.MESSAGE_BYTES}},
            EncodeError,
            "with its attributes; SQS allows 1048576",
        ),
    ],
    ids=range(21),
)
def test_what_sqs_would_refuse_is_refused_before_the_call(
    queue: str, given: dict[str, Any], error: type[Exception], says: str
) -> None:
    """The error names the limit, and nothing is asked of SQS."""
    far = Far()
    app, _ = app_at(far)
    with pytest.raises(error) as caught:
        app.queue(queue, str).send("body", **given)
    assert says in str(caught.value)
    assert (far.requests, far.asked, far.made) == ([], [], 0)


def test_delay_zero_and_the_longest_pass() -> None:
    """Both ends of the range are allowed."""
    far = Far()
    app, _ = app_at(far)
    for delay in (0, 900):
        app.queue("q", str).send("x", delay=delay)
    assert [request.entries[0].delay for request in far.requests] == [0, 900]


def test_transient_failures_are_retried_with_a_bounded_pause() -> None:
    """Three tries, with pauses that grow; then the last error is raised."""
    far = Far(throttled(), sqs_error("SendMessageBatch", "InternalFailure", "", status=500))
    app, pauses = app_at(far)
    assert app.queue("q", str).send("x") == "id-x"
    assert pauses == [0.1, 0.2]
    far.script = [throttled() for _ in range(TRIES)]
    with pytest.raises(SQSThrottled):
        app.queue("q", str).send("x")
    assert not far.script
    assert len(pauses) == 4


def test_an_error_that_no_retry_mends_is_raised_at_once() -> None:
    """A denied request is made once."""
    far = Far(sqs_error("SendMessageBatch", "AccessDenied", "no"))
    app, pauses = app_at(far)
    with pytest.raises(SQSDenied):
        app.queue("q", str).send("x")
    assert not pauses


@pytest.mark.parametrize(
    ("failure", "error", "tries"),
    [
        (EntryFailure("InternalError", sender_fault=False), SQSUnavailable, TRIES),
        (EntryFailure("InvalidMessageContents", "bad"), SQSError, 1),
    ],
    ids=["transient", "for-good"],
)
def test_a_refused_entry_is_an_error_of_send(failure: EntryFailure, error: type[SQSError], tries: int) -> None:
    """`send` raises what its one entry was refused for, after retries if that may help."""
    far = Far(*[taken(e0=failure)] * TRIES)
    app, _ = app_at(far)
    with pytest.raises(error, match=failure.code):
        app.queue("q", str).send("x")
    assert len(far.requests) == tries


@pytest.mark.parametrize(
    "send", [lambda queue: queue.send("x"), lambda queue: queue.send_many(["x"] * 11)], ids=["one", "many"]
)
def test_a_queue_that_does_not_exist_is_named(send: Callable[[Any], object]) -> None:
    """A missing queue is the user's mistake, found before anything was sent."""
    far = Far(sqs_error("SendMessageBatch", "QueueDoesNotExist", "The specified queue does not exist."))
    app, pauses = app_at(far)
    with pytest.raises(QueueNotFound, match="queue orders does not exist") as caught:
        send(app.queue("orders", str))
    assert caught.value.queues == ("orders",)
    assert not pauses


def test_a_queue_deleted_on_the_way_is_reported_by_entry() -> None:
    """What was sent before stays known."""
    far = Far(taken(), sqs_error("SendMessageBatch", "QueueDoesNotExist", "gone"))
    app, _ = app_at(far)
    with pytest.raises(BatchFailed) as caught:
        app.queue("q", str).send_many([str(number) for number in range(12)])
    assert list(caught.value.failed) == [10, 11]


def test_send_many_batches_in_order() -> None:
    """Twenty-three bodies make three requests; ids come in the order of the bodies."""
    far = Far()
    app, _ = app_at(far)
    bodies = [str(number) for number in range(23)]
    assert app.queue("q", str).send_many(iter(bodies)) == [f"id-{body}" for body in bodies]
    assert far.bodies == [bodies[:10], bodies[10:20], bodies[20:]]
    assert app.queue("q", str).send_many([]) == []
    assert len(far.requests) == 3


def test_send_many_keeps_batches_below_one_mebibyte() -> None:
    """Three bodies of 900 KiB are three requests; none is left out."""
    far = Far()
    app, _ = app_at(far)
    app.queue("q", str).send_many(["x" * 900 * 1024] * 3)
    assert [len(request.entries) for request in far.requests] == [1, 1, 1]


def test_items_with_values_of_their_own() -> None:
    """`Outgoing` says more than its body; what it leaves out comes from the call."""
    far = Far()
    app, _ = app_at(far)
    items = ["a", Outgoing("b", delay=3), Outgoing("c", attributes={"k": "own"}, message_group_id="t2")]
    app.queue("q", str).send_many(items, delay=9, attributes={"k": "all"}, message_group_id="t1")
    entries = far.requests[0].entries
    assert [each.delay for each in entries] == [9, 3, 9]
    assert [each.attributes["k"].text for each in entries] == ["all", "all", "own"]
    assert [each.message_group_id for each in entries] == ["t1", "t1", "t2"]


def test_one_bad_item_stops_all_before_the_first_call() -> None:
    """The error names the item's position."""
    far = Far()
    app, _ = app_at(far)
    with pytest.raises(EncodeError, match="item 2: body is empty"):
        app.queue("q", str).send_many(["a", "b", ""])
    with pytest.raises(InvalidOption, match="item 1: delay is 901 s"):
        app.queue("q", str).send_many(["a", Outgoing("b", delay=901)])
    assert not far.requests


def test_every_failed_entry_is_reported_after_every_batch_was_tried() -> None:
    """Entry 7 of 10 refused, a whole batch denied, an entry throttled to the end: one BatchFailed by position."""
    slow = EntryFailure("RequestThrottled", "slow", sender_fault=False)
    far = Far(
        taken(e7=EntryFailure("InvalidMessageContents", "bad")),
        sqs_error("SendMessageBatch", "AccessDenied", "no"),
        taken(e1=slow, e3=slow),
        taken(e1=slow),
        taken(e0=slow),
    )
    app, pauses = app_at(far)
    with pytest.raises(BatchFailed) as caught:
        app.queue("q", str).send_many([str(number) for number in range(25)])
    failed = caught.value.failed
    assert list(failed) == [7, *range(10, 20), 23]
    assert "InvalidMessageContents" in failed[7]
    assert "AccessDenied" in failed[12]
    assert "RequestThrottled" in failed[23]
    assert far.bodies[2:] == [["20", "21", "22", "23", "24"], ["21", "23"], ["23"]]
    assert len(pauses) == 2
    assert "12 of 25 messages for q were not sent" in str(caught.value)


def test_an_answer_that_leaves_an_entry_out_is_no_success() -> None:
    """An entry that is in neither list is tried again, then reported."""
    far = Far(*[lambda _: SentBatch({})] * TRIES)
    app, _ = app_at(far)
    with pytest.raises(SQSError, match="does not speak of this entry"):
        app.queue("q", str).send("x")


@given(st.lists(st.integers(1, limits.MESSAGE_BYTES), max_size=40))
def test_batches_keep_every_bound(sizes: Sequence[int]) -> None:
    """At most ten entries and 1 MiB each, nothing lost, nothing twice, in order, and no batch could take the next."""
    entries = [SendEntry("x" * size) for size in sizes]
    made = list(batches(entries))
    assert [place for batch in made for place in batch] == list(range(len(entries)))
    weights = [sum(entry_bytes(entries[place]) for place in batch) for batch in made]
    assert all(len(batch) <= limits.BATCH_ENTRIES for batch in made)
    assert all(weight <= limits.BATCH_BYTES for weight in weights)
    for batch, weight, following in zip(made, weights, made[1:], strict=False):
        assert len(batch) == limits.BATCH_ENTRIES or weight + entry_bytes(entries[following[0]]) > limits.BATCH_BYTES


def test_a_child_process_has_a_client_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a fork the parent's client is not used."""
    far = Far()
    app, _ = app_at(far)
    app.queue("q", str).send("x")
    monkeypatch.setattr(os, "getpid", lambda: 1)
    app.queue("q", str).send("x")
    app.queue("q", str).send("x")
    assert far.made == 2


def test_connect_again_forgets_the_old_door() -> None:
    """A new door has clients and URLs of its own."""
    first, second = Far(), Far()
    app, _ = app_at(first)
    app.queue("q", str).send("x")
    app.connect(second)
    app.queue("q", str).send("y")
    assert (first.bodies, second.bodies) == ([["x"]], [["y"]])
    assert second.asked == ["q"]


def test_many_threads_send_at_once() -> None:
    """No lock, no loss: every send of eight threads arrives, and the sender starts no thread."""
    far = Far()
    app, _ = app_at(far)
    queue = app.queue("q", str)
    before = threading.active_count()
    threads = [threading.Thread(target=lambda: [queue.send("x") for _ in range(50)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert threading.active_count() <= before + 8
    for thread in threads:
        thread.join(30)
    assert len(far.requests) == 400


def test_included_handlers_send_by_the_app() -> None:
    """Queues of included handlers use the app's connection, also one made later."""
    far = Far()
    handlers = Handlers()
    queue = handlers.queue("q", str)
    app = App("test")
    app.include(handlers)
    app.connect(far)
    queue.send("x")
    assert far.bodies == [["x"]]


def test_the_real_pause_is_bounded() -> None:
    """Without a pause given, a sender waits on a wake that nobody sets: for the time asked, then goes on."""
    far = Far(throttled())
    sender = Sender(draw=lambda: 0.0)
    sender.connect(far)
    assert sender.send("q", SendEntry("x")) == "id-x"
