"""Starting and stopping from many threads at once: a worker that users embed is stopped by whoever comes first."""

from __future__ import annotations

import contextlib
import threading

import pytest

import hadoken
from hadoken.local.inprocess import LocalSQS
from tests.support.waiting import GLOBAL


def app() -> hadoken.App:
    """An app with one handler that does nothing."""
    made = hadoken.App("start-stop")
    made.queue("orders", str).handler(lambda _body: None)
    return made


def transport() -> LocalSQS:
    """A local SQS in process that has the app's queue."""
    sqs = LocalSQS()
    sqs.create_queue("orders")
    return sqs


def use(worker: hadoken.Worker, gate: threading.Barrier, number: int, left: list[str]) -> None:
    """Start the worker, or stop it and note what still runs then."""
    gate.wait(GLOBAL)
    if number % 2:
        with contextlib.suppress(hadoken.LifecycleError):  # somebody else has stopped it already
            worker.start()
    else:
        worker.stop()
        left += [birth.name for birth in worker.threads.alive()]


@pytest.mark.parametrize("started", [True, False], ids=["started", "all at once"])
def test_ten_threads_start_and_stop_one_worker(started: bool) -> None:
    """Whatever the order, there is one start and one end; who stops a running worker returns only when it is over."""
    for _ in range(5):
        worker = hadoken.Worker(app(), concurrency=2, wait_time=1, drain_timeout=0.2, sqs=transport())
        if started:
            worker.start()
        gate, left = threading.Barrier(10), list[str]()
        threads = [threading.Thread(target=use, args=(worker, gate, number, left)) for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(GLOBAL)
        worker.stop()
        assert not left
        assert not worker.threads.alive()
