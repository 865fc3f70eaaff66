"""What fails on the way to SQS is tried again by the engine itself, in virtual time, and no test waits for it."""

from __future__ import annotations

from typing import Any

import pytest

import hadoken
from hadoken.testing import FakeSQS, Rule, StartWorker
from hadoken.testing import worker as run_worker
from hadoken.worker.pool import Pool


@pytest.fixture
def orders(app: hadoken.App) -> hadoken.Queue[str]:
    """A queue whose handler does nothing."""
    queue = app.queue("orders", str)
    queue.handler(lambda body: None)
    return queue


def test_a_failed_delete_is_tried_again(orders: hadoken.Queue[str], app: hadoken.App, worker: StartWorker) -> None:
    """The handler runs once, whatever happens to the delete, and `drain` passes the wait between two tries."""
    work = worker(app)
    faults = work.faults(operation="DeleteMessageBatch", code="ServiceUnavailable", times=3)
    orders.send("a")
    assert len(work.drain()) == 1
    assert faults.fired == 3
    assert work.snapshot().counts["orders"]["deleted"] == 1
    assert work.advance("1h") == []


def test_a_receive_that_fails_is_tried_again(orders: hadoken.Queue[str], app: hadoken.App, worker: StartWorker) -> None:
    """While something can be received, `drain` passes the poller's back-off."""
    work = worker(app)
    work.faults(Rule(operation="ReceiveMessage", code="RequestThrottled", times=2))
    work.advance("20s")  # the open poll ends, and the next two fail
    orders.send("a")
    assert [run.body for run in work.drain()] == ["a"]


def test_receives_that_always_fail_are_no_endless_drain(
    orders: hadoken.Queue[str], app: hadoken.App, worker: StartWorker
) -> None:
    """`drain` gives up after an hour of virtual time; when the fault is over, the message is there."""
    work = worker(app)
    faults = work.faults(operation="ReceiveMessage", code="")
    work.advance("20s")
    orders.send("a")
    assert work.drain() == []
    faults.clear()
    assert [run.body for run in work.drain()] == ["a"]


def test_a_lost_answer_to_a_send_is_two_messages(
    orders: hadoken.Queue[str], app: hadoken.App, worker: StartWorker
) -> None:
    """A sender tries again, without waiting in real time; what was applied although it failed is there twice."""
    work = worker(app)
    work.faults(operation="SendMessageBatch", code="", applied=True, times=1)
    orders.send("a")
    assert [run.body for run in work.drain()] == ["a", "a"]
    assert len(work.sent(orders)) == 1, "as the sender knows"


def test_a_slow_answer_is_waited_for(orders: hadoken.Queue[str], app: hadoken.App, worker: StartWorker) -> None:
    """An answer that comes late is the worker's own business: `drain` moves time up to it."""
    work = worker(app)
    work.faults(operation="DeleteMessageBatch", delay=5.0, times=1)
    before = work.sqs.clock.lease()
    orders.send("a")
    work.drain()
    assert 5 <= work.sqs.clock.lease() - before < 6
    assert work.snapshot().in_flight == 0


def test_a_boot_that_fails_at_first(orders: hadoken.Queue[str], app: hadoken.App, fake_sqs: FakeSQS,
                                    worker: StartWorker) -> None:  # fmt: skip
    """A worker that cannot look its queues up tries on, and `drain` sees it through."""
    fake_sqs.faults.add(Rule(operation="GetQueueAttributes", code="ServiceUnavailable", times=3))
    work = worker(app)
    orders.send("a")
    assert [run.body for run in work.drain()] == ["a"]


def test_a_field_that_no_rule_has(orders: hadoken.Queue[str], app: hadoken.App, worker: StartWorker) -> None:
    """A misspelt field is refused with the nearest one."""
    work = worker(app)
    with pytest.raises(hadoken.InvalidOption, match="did you mean operation"):
        work.faults(operatoin="ReceiveMessage")
    orders.send("a")
    assert len(work.drain()) == 1


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({}, "no rule is given"),
        ({"operation": "SendMesage", "code": "X"}, "did you mean SendMessage"),
        ({"operation": "SendMessage", "code": "X"}, "never calls SendMessage .it calls SendMessageBatch"),
        ({"operation": "PurgeQueue", "code": "X"}, "never calls PurgeQueue .it calls ChangeMessageVisibilityBatch, "),
        ({"queue": "order", "code": "X"}, "unknown queue 'order' .did you mean orders"),
        ({"operation": "ReceiveMessage"}, "nothing would go wrong"),
        ({"answer": "hung"}, "hung"),
        ({"code": "X", "delay": "5s"}, "delay"),
        ({"entries": 0}, "entries"),
    ],
)
def test_a_rule_that_could_never_fire(
    orders: hadoken.Queue[str], app: hadoken.App, worker: StartWorker, rule: dict[str, Any], said: str
) -> None:
    """A fault that would make a test green for nothing is refused, and nothing of it is planted."""
    work = worker(app)
    with pytest.raises(hadoken.ConfigurationError, match=said):
        work.faults(**rule)
    orders.send("a")
    assert len(work.drain()) == 1
    assert len(work.sqs.faults) == 0


def test_faults_of_two_calls_end_apart(orders: hadoken.Queue[str], app: hadoken.App, worker: StartWorker) -> None:
    """Each call of `faults` counts its own rules and ends its own."""
    work = worker(app)
    sends = work.faults(operation="SendMessageBatch", code="ServiceUnavailable", times=2)
    deletes = work.faults(operation="DeleteMessageBatch", code="ServiceUnavailable", times=3)
    orders.send("a")
    assert (sends.fired, deletes.fired) == (2, 0)
    sends.clear()
    sends.clear()
    work.drain()
    assert (sends.fired, deletes.fired) == (2, 3)


def test_a_call_that_hangs_does_not_keep_the_worker_from_ending(
    orders: hadoken.Queue[str], app: hadoken.App, fake_sqs: FakeSQS
) -> None:
    """A receive without an answer is cut off at the drain deadline, which is virtual; the block ends."""
    with run_worker(app, sqs=fake_sqs, drain_timeout=7) as work:
        work.faults(operation="ReceiveMessage", answer="hang", times=1)
        work.advance("20s")
        orders.send("a")
        assert work.drain() == []
        before = fake_sqs.clock.lease()
    assert fake_sqs.faults.fired == 1
    assert fake_sqs.clock.lease() - before >= 7


def test_a_bug_of_the_engine_is_raised(app: hadoken.App, fake_sqs: FakeSQS, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the engine itself fails, the call says so at once, and no thread is left."""
    app.queue("orders", str).handler(lambda body: None)

    def broken(_pool: Pool, _now: float) -> list[object]:
        raise ZeroDivisionError

    def block() -> None:
        with run_worker(app, sqs=fake_sqs) as work:
            monkeypatch.setattr(Pool, "turn", broken)
            work.advance("20s")

    with pytest.raises(hadoken.LifecycleError, match=r"advance\('20s'\): the engine failed: ZeroDivisionError"):
        block()
