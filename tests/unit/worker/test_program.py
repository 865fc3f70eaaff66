"""A worker as the whole program: signals in the main thread, exit codes, first and last lines."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

import hadoken
from hadoken.errors import InFlight
from hadoken.local.inprocess import LocalSQS
from hadoken.sqs.connection import Connection
from hadoken.worker import program
from hadoken.worker import worker as module
from hadoken.worker.banner import banner, farewell
from hadoken.worker.signals import Signals
from hadoken.worker.stop import Report
from tests.support.ports import free_port
from tests.support.waiting import GLOBAL, wait_until

LONG = 1_000.0  # seconds of drain: no test waits for their end


def app_of(*names: str) -> hadoken.App:
    """An app with a handler for each queue."""
    app = hadoken.App("test")
    for name in names:

        @app.handler(name)
        def handle(body: str) -> None:
            """Do nothing."""

    return app


@contextmanager
def beside(script: Callable[[], object]) -> Iterator[list[BaseException]]:
    """Run a script in a thread for the length of a block; the block gets what went wrong in it."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            script()
        except BaseException as error:  # noqa: BLE001 -- raised again below, in the test
            errors.append(error)

    thread = threading.Thread(target=run, name="script")
    thread.start()
    yield errors
    thread.join(GLOBAL)
    assert not thread.is_alive()
    assert errors == []


def kill(number: signal.Signals) -> None:
    """Send this process a signal."""
    os.kill(os.getpid(), number)


def test_signals_do_what_they_say(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    """Quiet, a table of threads, a drain, and its end at once; the handlers of before are put back."""
    caplog.set_level("INFO")
    sqs = LocalSQS()
    sqs.create_queue("orders")
    worker = hadoken.Worker(app_of("orders"), sqs=sqs, drain_timeout=LONG)
    before = signal.getsignal(signal.SIGTERM)

    def script() -> None:
        assert wait_until(lambda: sqs.parked == 1)
        kill(signal.SIGUSR1)
        kill(signal.SIGTSTP)
        assert wait_until(lambda: worker.engine.state == "quiet")
        kill(signal.SIGTERM)
        assert wait_until(lambda: worker.engine.state == "draining")
        kill(signal.SIGINT)

    with beside(script):
        code = program._run(worker)
    assert code == 75
    assert worker.engine.report == Report((), 0, open_polls=1)
    said = [record.getMessage() for record in caplog.records if record.name == "hadoken.worker"]
    assert said == ["SIGTSTP: no new receives", "SIGTERM: draining for up to 1000 s", "SIGINT again: stopping now"]
    err = capfd.readouterr().err
    assert err.startswith(f"hadoken {hadoken.__version__}  app test")
    assert "hadoken-engine" in err
    assert signal.getsignal(signal.SIGTERM) is before


class Stuck(LocalSQS):
    """A transport that holds the engine's loop in its first call, where a signal comes."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def queue_url(self, name: str) -> asyncio.Future[str]:
        """Block."""
        kill(signal.SIGTERM)
        assert self.go.wait(GLOBAL)
        return super().queue_url(name)


def test_an_engine_that_does_not_end_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """When the drain and the time to report are over the program goes, and says that it failed."""
    monkeypatch.setattr(module, "FLUSH", 0.1)
    monkeypatch.setattr(module, "LAST_JOIN", 0.1)
    sqs = Stuck()
    worker = hadoken.Worker(app_of("orders"), sqs=sqs, drain_timeout=0.1)
    assert not worker.overdue
    try:
        assert program._run(worker) == 70
        assert worker.overdue
        assert not worker.engine.stopped.is_set()
        assert any("left behind" in text and "hadoken-engine" in text for text in caplog.messages)
    finally:
        sqs.go.set()
        assert worker.engine.stopped.wait(GLOBAL)
    assert wait_until(lambda: not worker.threads.alive())


def test_a_program_ends_with_the_code_of_its_worker(capfd: pytest.CaptureFixture[str]) -> None:
    """SQS is not there, so nothing is held when the signal comes: the drain is clean."""
    connection = Connection(endpoint_url=f"http://127.0.0.1:{free_port()}", anonymous=True)
    before = signal.getsignal(signal.SIGTERM)

    def script() -> None:
        assert wait_until(lambda: signal.getsignal(signal.SIGTERM) is not before)
        kill(signal.SIGTERM)

    with beside(script), pytest.raises(SystemExit) as caught:
        program.run(app_of("orders"), connection=connection, wait_time=1)
    assert caught.value.code == 0
    assert capfd.readouterr().err.endswith("hadoken: drained, nothing left in flight\n")


def test_a_mistake_is_one_line_and_a_code_of_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    """No traceback: the user is to read it."""
    with pytest.raises(SystemExit) as caught:
        program.run(app_of())
    assert caught.value.code == 78
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("hadoken: app test has no handler")


def test_a_missing_queue_ends_the_program(capfd: pytest.CaptureFixture[str]) -> None:
    """It is found by the engine, and raised where the program waits."""
    worker = hadoken.Worker(app_of("orders"), sqs=LocalSQS())
    with pytest.raises(hadoken.QueueNotFound, match="missing queue: orders"):
        program._run(worker)
    assert worker.exit_code == 78
    assert not worker.threads.alive()


# ---- signals ---------------------------------------------------------------------------------------------------------


def test_signals_come_in_order_and_only_once() -> None:
    """They are noted while nobody waits; a wait without any returns with nothing."""
    with Signals((signal.SIGUSR1, signal.SIGUSR2)).collected() as signals:
        kill(signal.SIGUSR2)
        kill(signal.SIGUSR1)
        assert signals.wait(GLOBAL) == [signal.SIGUSR2, signal.SIGUSR1]
        assert signals.wait(0.0) == []


def test_a_poke_ends_a_wait_and_never_blocks() -> None:
    """However often it is called, and after the end too."""
    signals = Signals((signal.SIGUSR1,))
    with signals.collected():
        for _ in range(10_000):
            signals.poke()
        assert signals.wait(GLOBAL) == []
    signals.poke()


# ---- first and last lines --------------------------------------------------------------------------------------------


def test_the_banner_names_queues_transport_and_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights only where a pool has more than one queue, addresses only where they differ from the name."""
    monkeypatch.setenv("HADOKEN_QUEUES__ORDERS", "prod-orders")
    one = hadoken.Worker(app_of("orders"), sqs=LocalSQS(), concurrency=2, drain_timeout=10)
    lines = banner(one.plan, one.transport).splitlines()
    assert lines[1].endswith("handle in pool default")
    assert lines[1].startswith("  queues     orders at prod-orders -> ")
    assert lines[2] == "  transport  LocalSQS, in process"
    assert lines[3].startswith(
        "  threads    7 = main 1 + engine 1 + watch 1 + resolver 1 + credentials 1 + pool default 2;"
    )
    assert lines[4] == "  drain      10 s from SIGTERM, then up to 5 s to report; polls wait 5 s"
    two = hadoken.Worker(app_of("orders", "mails"), sqs=LocalSQS())
    assert banner(two.plan, two.transport).count("in pool default, weight 1") == 2


@pytest.mark.parametrize(
    ("report", "text"),
    [
        (None, r"hadoken: ended with exit code 70\n"),
        (Report((), 0), r"hadoken: drained, nothing left in flight\n"),
        (
            Report((InFlight(message_id="m", queue="q", handler="h", thread="t", age=1.0, stack=""),), 2, 3),
            r"hadoken: drain forced: 1 handler.* still running, 2 outcomes.*, 3 polls.*; exit code 70\n",
        ),
    ],
)
def test_the_last_line_says_how_it_ended(report: Report | None, text: str) -> None:
    """With all that is left over, each by its number."""
    assert re.fullmatch(text, farewell(report, 70))
