"""The engine: its boot and what may come in the middle of it, failures that end it, and what it says of itself."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import hadoken
from hadoken.clock import SYSTEM
from hadoken.errors import ConfigurationError, LifecycleError
from hadoken.local.inprocess import LocalSQS
from hadoken.options import WorkerOptions
from hadoken.sqs.api import SQS, BatchAnswer, Received, SendBatch, SendEntry
from hadoken.worker.engine import Engine
from hadoken.worker.plan import plan
from tests.support.signals import TestSignal
from tests.support.waiting import GLOBAL, wait_until

LONG = 1_000.0  # seconds of drain: no test waits for their end


def app_of(**options: Any) -> hadoken.App:
    """An app with one handler."""
    app = hadoken.App("test")

    @app.queue("orders", str).handler(**options)
    def handle(body: str) -> None:
        """Do nothing."""

    return app


class Running:
    """An engine in a thread of its own, and the transport that it is given when the test says so.

    Attributes:
        asked: told when the engine asks for its transport.
        died: what left `Engine.run`; None while it lives and after a good end.
    """

    def __init__(self, app: hadoken.App | None = None) -> None:
        self.sqs = LocalSQS()
        self.sqs.create_queue("orders")
        self.asked = TestSignal[str]("asked for the transport")
        self.engine = Engine(
            plan(app or app_of(), WorkerOptions(concurrency=2), own_transport=True), self._connect, where=lambda: "here"
        )
        self.died: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._promise: asyncio.Future[SQS] | None = None

    def start(self) -> None:
        """Start the thread; the engine then waits for its transport."""
        self._thread.start()
        self.asked.wait()

    def connect(self, sqs: SQS | BaseException | None = None) -> None:
        """Give the engine its transport, or say why there is none."""
        assert self._promise is not None
        made = sqs if sqs is not None else self.sqs
        settle = self._promise.set_exception if isinstance(made, BaseException) else self._promise.set_result
        assert self.engine.call(lambda: settle(made))  # type: ignore[arg-type] -- the one that fits

    def boot(self) -> None:
        """Start it and give it its transport; returns when the queues are known."""
        self.start()
        self.connect()
        assert self.engine.booted.wait(GLOBAL)

    def end(self) -> None:
        """See the engine end by itself."""
        assert self.engine.stopped.wait(GLOBAL)
        self._thread.join(GLOBAL)
        assert not self._thread.is_alive()

    def stop(self) -> None:
        """Drain for as long as the open polls take, which is no time."""
        self.engine.drain(SYSTEM.lease() + LONG)
        assert wait_until(lambda: self.engine.state == "draining")
        self.engine.call(lambda: self.sqs.advance(30))
        self.end()

    def abort(self) -> None:
        """End it whatever the test has left of it."""
        if self._thread.ident is not None:
            self.engine.drain(0.0)
            self._thread.join(GLOBAL)

    def _connect(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[SQS]:
        self._promise = loop.create_future()
        self.asked.emit("connect")
        return self._promise

    def _run(self) -> None:
        try:
            self.engine.run()
        except BaseException as error:  # noqa: BLE001 -- kept for the test
            self.died = error


@pytest.fixture
def running() -> Iterator[Running]:
    """An engine that was not started yet; ended after the test."""
    made = Running()
    yield made
    made.abort()


# ---- a boot that is cut short ----------------------------------------------------------------------------------------


def test_a_boot_whose_transport_never_comes_ends_by_the_deadline(running: Running) -> None:
    """Nothing is held, so the drain is clean; whoever waits for the boot is let go."""
    running.start()
    running.engine.drain(SYSTEM.lease() + 0.1)
    running.end()
    assert running.engine.booted.is_set()
    assert running.engine.report is not None
    assert running.engine.report.clean
    assert (running.engine.failure, running.died, running.engine.state) == (None, None, "stopped")


def test_a_second_signal_ends_a_boot_whose_transport_never_comes(running: Running) -> None:
    """The first left it much time; the second brings the deadline forward."""
    running.start()
    running.engine.drain(SYSTEM.lease() + LONG)
    assert running.engine.booted.wait(GLOBAL)
    assert not running.engine.stopped.is_set()
    running.engine.drain(0.0)
    running.end()
    assert running.died is None


def test_a_transport_that_comes_within_the_drain_is_closed(running: Running) -> None:
    """It is not used any more, and the engine ends at once."""
    running.start()
    running.engine.drain(SYSTEM.lease() + LONG)
    assert running.engine.booted.wait(GLOBAL)
    running.connect()
    running.end()
    assert running.sqs._closed
    assert running.engine.requests == {}


def test_a_transport_that_cannot_be_made_within_the_drain_is_no_failure(running: Running) -> None:
    """The stop was asked for first; there is nothing to close."""
    running.start()
    running.engine.drain(SYSTEM.lease() + LONG)
    assert running.engine.booted.wait(GLOBAL)
    running.connect(OSError("too late"))
    running.end()
    assert (running.engine.failure, running.died) == (None, None)


def test_a_stop_asked_for_before_there_is_a_loop_keeps_the_earliest_deadline(running: Running) -> None:
    """Of three drains before the start the nearest end counts, whatever their order."""
    soon = SYSTEM.lease() + 0.1
    for deadline in (soon + LONG, soon, soon + LONG):
        running.engine.drain(deadline)
    running.start()
    running.end()
    assert running.engine.deadline == soon


# ---- quiet -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("early", [True, False])
def test_quiet_before_or_in_the_boot_starts_no_receive(running: Running, early: bool) -> None:
    """The queues are looked up, and then nothing is asked of them."""
    if early:
        running.engine.quiet()
        running.start()
    else:
        running.start()
        running.engine.quiet()
        assert wait_until(lambda: running.engine.state == "quiet")
    running.connect()
    assert running.engine.booted.wait(GLOBAL)
    assert snapshot(running.engine).state == "quiet"
    assert (running.sqs.parked, running.engine.requests["ReceiveMessage"]) == (0, 0)
    running.engine.drain(SYSTEM.lease() + LONG)
    running.end()
    assert running.engine.report is not None
    assert running.engine.report.clean


def test_quiet_while_it_runs_lets_the_open_receive_be_the_last(running: Running) -> None:
    """When its answer has come none follows; in a stop the worker stays what it is, draining."""
    running.boot()
    assert wait_until(lambda: running.sqs.parked == 1)
    running.engine.quiet()
    assert wait_until(lambda: running.engine.state == "quiet")
    running.engine.call(lambda: running.sqs.advance(30))
    assert wait_until(lambda: snapshot(running.engine).pools["default"].open_polls == 0)
    assert running.engine.requests["ReceiveMessage"] == 1
    running.engine.drain(SYSTEM.lease() + LONG)
    running.engine.quiet()
    running.end()
    assert running.engine.report is not None


def snapshot(engine: Engine) -> Any:
    """A snapshot, taken on the loop."""
    came = TestSignal[Any]("snapshot")
    assert engine.call(lambda: came.emit(engine.snapshot()))
    return came.wait()[0]


# ---- failures --------------------------------------------------------------------------------------------------------


def test_a_boot_that_fails_ends_the_engine(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    """It says so to whoever waits for the boot, in a traceback, since it is our bug."""
    running.start()
    running.connect(OSError("no file"))
    running.end()
    assert isinstance(running.engine.failure, OSError)
    assert "the engine failed; leases are left to lapse" in caplog.text
    assert running.engine.report is None


def test_a_mistake_of_configuration_is_told_by_whoever_started_it(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """It is the user's, so the log holds no traceback."""
    running.start()
    running.connect(ConfigurationError("no AWS region is set"))
    running.end()
    assert isinstance(running.engine.failure, ConfigurationError)
    assert caplog.text == ""


class Wrong(LocalSQS):
    """A transport that breaks the promise of the seam in the way it is told to."""

    def __init__(self, receive: Callable[[asyncio.Future[Any]], object]) -> None:
        super().__init__()
        self.create_queue("orders")
        self._answer = receive

    def receive(self, request: object) -> asyncio.Future[Any]:
        """Answer wrongly."""
        future = asyncio.get_running_loop().create_future()
        self._answer(future)
        return future


def broken_promise(future: asyncio.Future[Any]) -> None:
    """An exception that is no SQSError."""
    future.set_exception(KeyError("what"))


def wrong_kind(future: asyncio.Future[Any]) -> None:
    """An answer to another question."""
    future.set_result(BatchAnswer())


def no_future(future: asyncio.Future[Any]) -> None:
    """No answer at all: the call itself raises."""
    raise ValueError("not now")


@pytest.mark.parametrize(
    ("receive", "error"), [(broken_promise, KeyError), (wrong_kind, TypeError), (no_future, ValueError)]
)
def test_a_broken_promise_of_the_transport_ends_the_engine(
    running: Running,
    receive: Callable[[asyncio.Future[Any]], object],
    error: type[Exception],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What is no SQSError is a bug: no more calls are made, leases lapse by themselves, and it ends."""
    sqs = Wrong(receive)
    told = TestSignal[str]("told")
    running.engine.notice = lambda: told.emit("ended")
    running.start()
    running.connect(sqs)
    running.end()
    assert isinstance(running.engine.failure, error)
    assert told.wait() == ["ended"]
    assert sqs._closed
    assert sum(record.levelno == logging.CRITICAL for record in caplog.records) == 1
    assert running.engine.state == "stopped"


def test_a_receive_that_its_transport_cancels_is_asked_for_again(running: Running) -> None:
    """Nobody answers it any more, so a queue that waited for it would never be asked again."""
    asked = TestSignal[asyncio.Future[Any]]("a receive")
    sqs = Wrong(asked.emit)
    running.start()
    running.connect(sqs)
    (first,) = asked.wait()
    assert running.engine.call(first.cancel)
    assert wait_until(lambda: any(poller.failing_since for pool in running.engine.pools for poller in pool.pollers))
    _, second = asked.wait(2)
    assert running.engine.failure is None
    running.engine.drain(SYSTEM.lease() + LONG)
    assert running.engine.call(lambda: second.set_result(Received(())))
    running.end()
    assert running.engine.report is not None
    assert running.engine.report.clean


class Breaking(LocalSQS):
    """A transport whose end fails."""

    def close(self) -> None:
        """Close, and break."""
        super().close()
        raise OSError("boom")


def test_an_engine_whose_loop_dies_says_why(running: Running) -> None:
    """The exception leaves its thread, so that its death is told, and is kept for the exit code."""
    running.sqs = Breaking()
    running.sqs.create_queue("orders")
    running.boot()
    running.stop()
    assert isinstance(running.died, OSError)
    assert running.engine.failure is running.died
    assert running.engine.state == "stopped"


def test_after_its_end_nothing_is_taken_in(running: Running) -> None:
    """Whatever comes from other threads then does nothing, and says so."""
    running.boot()
    loop = running.engine._loop
    assert loop is not None
    running.stop()
    assert not running.engine.call(lambda: None)
    running.engine._loop = loop  # as for a thread that had just read it
    assert not running.engine.call(lambda: None)
    running.engine._loop = None
    running.engine.wake()
    running.engine.ask("default", 1, 5.0)


# ---- with threads ----------------------------------------------------------------------------------------------------


def send(sqs: LocalSQS, *bodies: str) -> None:
    """Send messages to the queue of the app, from this thread."""
    url = sqs.url_now("orders")
    sqs.blocking.send_batch(SendBatch(url, [SendEntry(body) for body in bodies]))


def local() -> LocalSQS:
    """A local SQS with the queue of the app."""
    sqs = LocalSQS()
    sqs.create_queue("orders")
    return sqs


def test_handlers_that_hang_end_the_worker(caplog: pytest.LogCaptureFixture) -> None:
    """Two hung threads are beyond mending: the worker drains by itself and exits 70."""
    app = hadoken.App("test")
    go = threading.Event()
    sqs = local()

    @app.queue("orders", str).handler(time_limit=0.1)
    def handle(body: str) -> None:
        assert go.wait(GLOBAL)

    worker = hadoken.Worker(app, sqs=sqs, concurrency=2, drain_timeout=LONG)
    worker.start()
    send(sqs, "a", "b")
    assert wait_until(lambda: worker.engine.broken)
    assert "pool default: 2 of 2 handlers hang; draining" in caplog.text
    go.set()
    assert wait_until(lambda: worker.engine.state == "draining")
    worker.engine.call(lambda: sqs.advance(30))
    assert worker.engine.stopped.wait(GLOBAL)
    worker.stop()
    assert worker.exit_code == 70


def test_a_handler_that_asks_for_more_is_given_it() -> None:
    """The wish goes over the loop to the pool, and SQS is asked at once."""
    app = hadoken.App("test")
    sqs = local()
    asked = TestSignal[float]("lease end")

    @app.handler("orders")
    def handle(body: str, ctx: hadoken.Context) -> None:
        before = ctx.time_left
        ctx.extend(600)
        assert wait_until(lambda: ctx.time_left > before + 500)
        asked.emit(ctx.time_left)

    worker = hadoken.Worker(app, sqs=sqs, concurrency=1, drain_timeout=LONG)
    with worker:
        send(sqs, "a")
        asked.wait()
        assert wait_until(lambda: worker.snapshot().counts["orders"]["deleted"] == 1)
        assert worker.snapshot().counts["orders"]["extensions"] == 1
        worker.drain()
        assert wait_until(lambda: worker.engine.state == "draining")
        worker.engine.call(lambda: sqs.advance(30))
    assert worker.exit_code == 0
    assert worker.snapshot().requests["ChangeMessageVisibilityBatch"] == 1


def test_a_stuck_engine_is_told_by_the_snapshot() -> None:
    """Whoever asks is not kept waiting for ever."""
    sqs = local()
    worker = hadoken.Worker(app_of(), sqs=sqs, drain_timeout=0)
    go = threading.Event()
    with worker:
        assert worker.engine.call(lambda: go.wait(GLOBAL))
        with pytest.raises(LifecycleError, match=r"the engine did not answer within 0\.01 s"):
            worker.snapshot(0.01)
        go.set()
