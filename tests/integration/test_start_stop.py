"""Starting and stopping from many threads at once: a worker that users embed is stopped by whoever comes first."""

from __future__ import annotations

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


@pytest.mark.parametrize("order", ["start first", "all at once"])
def test_ten_threads_start_and_stop_one_worker(order: str) -> None:
    """Whatever the order, there is one start and one end; who stops returns only when it is over; nothing is left."""
    for _ in range(5):
        worker = hadoken.Worker(app(), concurrency=2, wait_time=1, drain_timeout=0.2, sqs=transport())
        if order == "start first":
            worker.start()
        gate = threading.Barrier(10)
        left_running: list[str] = []

        def call(number: int, worker: hadoken.Worker = worker, gate: threading.Barrier = gate) -> None:
            gate.wait(GLOBAL)
            if number % 2:
                try:
                    worker.start()
                except hadoken.LifecycleError:
                    return
            else:
                worker.stop()
                if worker.threads.alive() and worker.stopped.is_set():
                    left_running.append(str(worker.threads.alive()))

        threads = [threading.Thread(target=call, args=(number,)) for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(GLOBAL)
        worker.stop()
        assert not left_running
        assert not worker.threads.alive()
