"""A worker inside another program: it touches nothing of its host and says what it could not finish."""

from __future__ import annotations

import threading

import pytest

import hadoken
from hadoken.testing import leftovers
from tests.support.journal import STARTED, Journal
from tests.support.signals import TestSignal
from tests.support.waiting import GLOBAL, wait_until
from tests.support.worker import Bench


def test_drain_timeout_names_what_was_running(bench: Bench, journal: Journal) -> None:
    """Leaving the block while handlers run past the drain deadline raises an error that names each of them."""
    url = bench.queue({"VisibilityTimeout": 600})
    ids = bench.send_many(url, ["a", "b"])
    app = hadoken.App("t")
    told = TestSignal[str]("told to end")

    @app.handler(bench.name(url))
    def handle(body: str, ctx: hadoken.Context) -> None:
        with journal.run(ctx):
            assert wait_until(lambda: ctx.cancelled)
            told.emit(ctx.message.id)

    worker = hadoken.Worker(app, connection=bench.connection, wait_time=1, concurrency=2, drain_timeout=1.5)
    with pytest.raises(hadoken.DrainTimeout, match=r"2 handlers were still running after 1\.5 s") as caught, worker:
        journal.wait(2, STARTED)
    lines = {line.id: line for line in journal.lines(STARTED)}
    named = {one.message_id: one for one in caught.value.in_flight}
    assert set(named) == set(ids)
    for id_, one in named.items():
        assert (one.queue, one.thread, one.handler) == (
            bench.name(url),
            lines[id_].thread,
            app.handlers[one.queue].name,
        )
        assert one.age >= 1.5
        assert "in handle" in one.stack
    assert sorted(told.wait(2)) == sorted(ids)
    assert worker.exit_code == 75
    assert bench.counts(url) == (2, 0, 0)
    assert wait_until(lambda: not worker.threads.alive())


def test_the_host_keeps_its_signals_and_threads(bench: Bench, journal: Journal) -> None:
    """Two workers of two apps run side by side and stop in any order; signal handlers stay, and all threads end."""
    before = leftovers.signal_handlers()
    urls = [bench.queue(), bench.queue()]
    workers = []
    for url in urls:
        app = hadoken.App("t")

        @app.handler(bench.name(url))
        def handle(body: str, ctx: hadoken.Context) -> None:
            with journal.run(ctx):
                assert threading.current_thread() is not threading.main_thread()

        workers.append(hadoken.Worker(app, connection=bench.connection, wait_time=1, concurrency=2))
    first, second = workers
    with first:
        second.start()
        assert leftovers.signal_handlers() == before
        for url in urls:
            bench.send_many(url, ["a", "b", "c"])
        journal.wait(6, STARTED)
    assert len(first.threads.alive()) == 0
    bench.send_many(urls[1], ["d"])
    journal.wait(7, STARTED)
    second.stop()
    second.stop()
    assert len(second.threads.alive()) == 0
    assert [bench.counts(url) for url in urls] == [(0, 0, 0)] * 2
    assert leftovers.signal_handlers() == before
    with pytest.raises(hadoken.LifecycleError, match="stopped"):
        second.start()


def test_stop_before_start_and_from_another_thread(bench: Bench, journal: Journal) -> None:
    """A stop before the start leaves nothing to do; a stop from another thread ends a worker that is at work."""
    url = bench.queue()
    app = hadoken.App("t")
    release = threading.Event()

    @app.handler(bench.name(url))
    def handle(body: str, ctx: hadoken.Context) -> None:
        with journal.run(ctx):
            assert release.wait(GLOBAL)

    hadoken.Worker(app, connection=bench.connection).stop()
    worker = hadoken.Worker(app, connection=bench.connection, wait_time=1)
    worker.start()
    bench.send_many(url, ["a"])
    journal.wait(1, STARTED)
    stopper = threading.Thread(target=worker.stop)
    stopper.start()
    assert wait_until(lambda: worker.snapshot().state == "draining")
    assert not worker.stopped.is_set()
    release.set()
    stopper.join(GLOBAL)
    assert worker.stopped.is_set()
    assert worker.exit_code == 0
    assert bench.counts(url) == (0, 0, 0)
