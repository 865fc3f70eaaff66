"""SQS that cannot be reached: the worker stays up, says so once for each change, and resumes by itself."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.support import ports
from tests.support.journal import ENDED, Journal
from tests.support.processes import Child
from tests.support.worker import Bench, both_transports, local_sqs_at

StartWorker = Callable[..., Child]
NAME = "it-outage"


def lines_with(worker: Child, *words: str) -> list[str]:
    """The lines of a worker that hold all of these words."""
    return [line for line in worker.err if all(word in line for word in words)]


@contextmanager
def sqs_comes(worker: Child, port: int) -> Iterator[tuple[Bench, str]]:
    """Run a local SQS for the length of the block; the worker sees it only when it has the queue."""
    worker.send_signal(signal.SIGSTOP)
    try:
        with local_sqs_at(port) as bench:
            url = bench.client.create_queue(QueueName=NAME)["QueueUrl"]
            worker.send_signal(signal.SIGCONT)
            yield bench, url
    finally:
        worker.send_signal(signal.SIGCONT)


@both_transports
def test_unreachable_at_the_start_and_lost_later(journal: Journal, start_worker: StartWorker) -> None:
    """A worker waits for an SQS that is not there, works when it comes, outlives its loss, works when it is back."""
    with ports.refusing_port() as port:
        endpoint = f"http://127.0.0.1:{port}"
        worker = start_worker(endpoint, NAME, run={"wait_time": 1})
        worker.wait_for_line("SQS cannot be asked for the queues, trying on")
        threads = set(worker.threads())
    with sqs_comes(worker, port) as (bench, url):
        bench.send_many(url, ["ok:1"])
        journal.wait(1, ENDED)
        bench.wait_empty(url)
    worker.wait_for_line(f"queue {NAME}: cannot receive, trying on")
    with sqs_comes(worker, port) as (bench, url):
        bench.send_many(url, ["ok:2"])
        journal.wait(2, ENDED)
        bench.wait_empty(url)
        worker.wait_for_line(f"queue {NAME}: receiving again")
        assert set(worker.threads()) == threads, "the same threads, none more, none less"
        assert worker.terminate() == 0
    assert len(lines_with(worker, "SQS cannot be asked")) == 1
    assert len(lines_with(worker, "cannot receive")) == 1
    assert len(lines_with(worker, "receiving again")) == 1
    assert not lines_with(worker, "Traceback")


def test_stop_while_sqs_is_unreachable(start_worker: StartWorker) -> None:
    """A worker that is still looking for its SQS ends at once and in order."""
    with ports.refusing_port() as port:
        worker = start_worker(f"http://127.0.0.1:{port}", NAME, run={"drain_timeout": 600})
        worker.wait_for_line("trying on")
        assert worker.terminate() == 0
