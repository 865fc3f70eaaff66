"""How a worker ends: what the report says, which exit code follows, and what comes after the end."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest

import hadoken
from hadoken.errors import InFlight, LifecycleError
from hadoken.local.faults import Faults, Rule
from hadoken.local.inprocess import LocalSQS
from hadoken.sqs.api import SendBatch, SendEntry
from hadoken.sqs.connection import Connection
from hadoken.worker import blocking, stop
from hadoken.worker import worker as module
from hadoken.worker.stop import Report
from tests.support.signals import TestSignal
from tests.support.waiting import GLOBAL, wait_until

LONG = 1_000.0  # seconds of drain: no test waits for their end
RUNNING = InFlight(message_id="m", queue="orders", handler="h", thread="t", age=1.0, stack="")


def app_of() -> hadoken.App:
    """An app with one handler that does nothing."""
    app = hadoken.App("test")

    @app.handler("orders")
    def handle(body: str) -> None:
        """Do nothing."""

    return app


def local(*rules: Rule) -> LocalSQS:
    """A local SQS with the queue of the app."""
    sqs = LocalSQS(faults=Faults(rules))
    sqs.create_queue("orders")
    return sqs


@pytest.mark.parametrize(
    ("report", "clean"),
    [
        (Report((), 0), True),
        (Report((RUNNING,), 0), False),
        (Report((), 1), False),
        (Report((), 0, open_polls=1), False),
    ],
)
def test_a_stop_is_clean_when_everything_is_accounted_for(report: Report, clean: bool) -> None:
    """Handlers, outcomes and receives: one of them left over and it is not."""
    assert report.clean is clean


def test_a_worker_that_was_never_started_has_nothing_to_answer_for() -> None:
    """Neither before nor after a stop."""
    worker = hadoken.Worker(app_of(), sqs=local())
    assert worker.exit_code == 0
    worker.stop()
    assert worker.exit_code == 0
    with pytest.raises(LifecycleError, match="was stopped"):
        worker.begin()


def test_a_poll_that_is_cut_off_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """What it brings stays invisible until its timeout, so the end is a forced one: 75."""
    sqs = local()
    worker = hadoken.Worker(app_of(), sqs=sqs, drain_timeout=LONG)
    worker.start()
    worker.begin()
    assert wait_until(lambda: sqs.parked == 1)
    worker.drain(0.1)
    worker.stop()
    assert worker.engine.report == Report((), 0, open_polls=1)
    assert worker.exit_code == 75
    assert not worker.threads.alive()


def test_a_poll_that_is_answered_within_the_drain_leaves_a_clean_report() -> None:
    """An empty answer is all that was missing."""
    sqs = local()
    worker = hadoken.Worker(app_of(), sqs=sqs, drain_timeout=LONG)
    worker.start()
    assert wait_until(lambda: sqs.parked == 1)
    worker.drain()
    assert wait_until(lambda: worker.engine.state == "draining")
    worker.engine.call(lambda: sqs.advance(30))
    worker.stop()
    assert (worker.engine.report, worker.exit_code) == (Report((), 0), 0)


def test_an_outcome_that_sqs_never_confirms_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried until the time to tell is over; then one message is not settled: 75."""
    monkeypatch.setattr(stop, "FLUSH", 0.3)
    sqs = local(Rule(operation="DeleteMessageBatch", code="InternalError"))
    worker = hadoken.Worker(app_of(), sqs=sqs, concurrency=1, drain_timeout=LONG)
    worker.start()
    sqs.blocking.send_batch(SendBatch(sqs.url_now("orders"), [SendEntry("a")]))
    assert wait_until(lambda: worker.snapshot().counts["orders"]["acked"] == 1)
    worker.drain(0.1)
    worker.stop()
    report = worker.engine.report
    assert report is not None
    assert (report.in_flight, report.unsettled) == ((), 1)
    assert worker.exit_code == 75


class Breaking(LocalSQS):
    """A transport whose end fails."""

    def close(self) -> None:
        """Close, and break."""
        super().close()
        raise OSError("boom")


def test_a_worker_whose_engine_died_has_failed(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing can be promised then: 70, whatever the report said before."""
    sqs = Breaking()
    sqs.create_queue("orders")
    worker = hadoken.Worker(app_of(), sqs=sqs, drain_timeout=0)
    worker.start()
    worker.stop()
    assert isinstance(worker.engine.failure, OSError)
    assert worker.exit_code == 70
    assert "thread hadoken-engine died" in caplog.text
    assert not worker.threads.alive()


def test_a_thread_of_ours_that_dies_ends_the_worker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug in one of them: the worker drains by itself and exits 70."""
    monkeypatch.setattr(blocking, "REFRESH_EVERY", 0.01)
    sqs = local()
    worker = hadoken.Worker(app_of(), sqs=sqs, drain_timeout=0)
    worker.start()

    def refresh() -> None:
        raise ZeroDivisionError

    worker._credentials.watch(refresh)
    assert worker.engine.stopped.wait(GLOBAL)
    worker.stop()
    assert "thread hadoken-credentials died" in caplog.text
    assert worker.exit_code == 70


def test_a_transport_that_comes_after_the_end_is_closed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The resolver hangs in making it; the worker ends all the same, in time, and what is made too late is closed."""
    monkeypatch.setattr(module, "LAST_JOIN", 0.1)
    worker = hadoken.Worker(app_of(), connection=Connection(anonymous=True), drain_timeout=LONG)
    go = threading.Event()
    making = TestSignal[str]("making")
    sqs = local()

    def make(loop: asyncio.AbstractEventLoop) -> Any:
        making.emit("transport")
        assert go.wait(GLOBAL)
        return sqs

    monkeypatch.setattr(worker, "_make_transport", make)
    worker.begin()
    making.wait()
    worker.drain()
    worker.drain(0.1)
    worker.stop()
    assert worker.engine.stopped.is_set()
    assert worker.exit_code == 0
    assert "threads left behind: hadoken-resolver" in caplog.text
    assert not sqs._closed
    go.set()
    assert wait_until(lambda: sqs._closed)
    assert wait_until(lambda: not worker.threads.alive())


def test_an_exception_in_the_workers_block_is_not_hidden_by_a_forced_drain(caplog: pytest.LogCaptureFixture) -> None:
    """It goes on to whoever wrote the block; what the drain left is in the log."""
    sqs = local()
    app = hadoken.App("test")
    started = TestSignal[str]("started")

    @app.handler("orders")
    def handle(body: str, ctx: hadoken.Context) -> None:
        started.emit(body)
        assert wait_until(lambda: ctx.cancelled)

    def host() -> None:
        with hadoken.Worker(app, sqs=sqs, concurrency=1, drain_timeout=0):
            sqs.blocking.send_batch(SendBatch(sqs.url_now("orders"), [SendEntry("a")]))
            started.wait()
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        host()
    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert "the drain was forced while an exception left the worker's block" in messages
    assert any("drain deadline" in text and "still runs message" in text for text in messages)
