"""What the local SQS of a test says of a worker, and what other programs send to it."""

from __future__ import annotations

from collections import Counter

import pytest

import hadoken
from hadoken.testing import FakeSQS, StartWorker


@pytest.fixture
def orders(app: hadoken.App) -> hadoken.Queue[dict[str, int]]:
    """A queue whose handler does nothing."""
    queue = app.queue("orders", dict[str, int])
    queue.handler(lambda body: None)
    return queue


def test_a_text_is_sent_as_it_is(
    orders: hadoken.Queue[dict[str, int]], app: hadoken.App, fake_sqs: FakeSQS, worker: StartWorker
) -> None:
    """No codec touches it, its attributes arrive, and what is there before the worker is received too."""
    fake_sqs.provide(app)
    (first,) = fake_sqs.send("orders", ' {"n": 1}\n', attributes={"kind": "x"})
    work = worker(app)
    (run,) = work.drain()
    assert (run.message.id, run.message.raw_body, run.body) == (first, ' {"n": 1}\n', {"n": 1})
    assert run.message.attributes["kind"] == "x"
    fake_sqs.send("orders", '{"n": 2}')
    assert [run.body for run in work.drain()] == [{"n": 2}], "a poll that waits is woken"
    assert work.sent(orders) == [], "the app sent none of them"


def test_equal_texts_are_no_repeats_on_a_fifo_queue(fake_sqs: FakeSQS) -> None:
    """Each text is a message of its own, in the order of the call."""
    fake_sqs.create_queue("q.fifo")
    ids = fake_sqs.send("q.fifo", "a", "a", "b", message_group_id="g")
    assert len(set(ids)) == 3
    assert [event.id for event in fake_sqs.events("q.fifo", "sent")] == ids
    assert fake_sqs.held("q.fifo") == (3, 0, 0)


def test_what_sqs_refuses_is_raised(fake_sqs: FakeSQS) -> None:
    """A queue that is not there, and a FIFO queue without a message_group_id, are errors of SQS in the test."""
    with pytest.raises(hadoken.SQSError, match="QueueDoesNotExist"):
        fake_sqs.send("nowhere", "a")
    fake_sqs.create_queue("q.fifo")
    with pytest.raises(hadoken.SQSError, match="MissingRequiredParameter"):
        fake_sqs.send("q.fifo", "a")


def test_faults_are_for_the_worker(
    orders: hadoken.Queue[dict[str, int]], app: hadoken.App, fake_sqs: FakeSQS, worker: StartWorker
) -> None:
    """What the test itself sends is never made to fail, and uses up no fault."""
    work = worker(app)
    faults = work.faults(operation="*", code="ServiceUnavailable", times=1)
    fake_sqs.send("orders", '{"n": 1}')
    assert faults.fired == 0
    assert len(work.drain()) == 1
    assert faults.fired == 1


def test_receives_and_deletes_are_told(
    orders: hadoken.Queue[dict[str, int]], app: hadoken.App, fake_sqs: FakeSQS, worker: StartWorker
) -> None:
    """A bad body is received five times and deleted never, a good one once each; calls are counted as billed."""
    work = worker(app, concurrency=1)
    bad, good, late = (*fake_sqs.send("orders", "bad", '{"n": 1}'), orders.send({"n": 2}, delay=900))
    with work.expect(hadoken.DecodeError) as errors:
        work.drain()
    assert fake_sqs.held("orders") == (0, 1, 1), "one waits for its back-off, one for its delay"
    with work.expect(hadoken.DecodeError) as more:
        work.advance("2h")
    assert len(errors + more) == 5
    assert fake_sqs.receives("orders") == Counter({bad: 5, good: 1, late: 1})
    assert fake_sqs.deleted("orders") == [good, late]
    assert fake_sqs.held("orders") == (0, 0, 0)
    assert fake_sqs.held("orders-dlq").visible == 1
    deletes = fake_sqs.calls("DeleteMessageBatch")
    assert (deletes.requests, deletes.entries, deletes.failed) == (2, 2, 0)
    deletes.requests = 0
    assert fake_sqs.calls("DeleteMessageBatch").requests == 2, "it was a copy"
    assert {run.thread for run in work.runs} == {"hadoken-default-1"}
