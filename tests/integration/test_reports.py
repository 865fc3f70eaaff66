"""What a worker process says of itself: its start banner, and the table of its threads on a signal."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable

import pytest

import hadoken
from tests.support.journal import STARTED, Journal
from tests.support.processes import Child
from tests.support.worker import Bench, both_transports

StartWorker = Callable[..., Child]


@both_transports
def test_banner(bench: Bench, start_worker: StartWorker, transport: str) -> None:
    """The banner names version, queues, transport and the thread budget, which is what the kernel counts."""
    one, two = bench.queue(), bench.queue()
    worker = start_worker(bench.url, one, two, run={"concurrency": 3, "wait_time": 1})
    worker.wait_for_line("receiving from")
    text = "\n".join(worker.err)
    assert f"hadoken {hadoken.__version__}  app under-test  pid {worker.pid}" in text
    assert f"{bench.name(one)} -> __main__.Deeds.handle in pool default" in text
    assert f"{bench.name(two)} -> __main__.Deeds.handle in pool default" in text
    budget = "main 1 + engine 1 + watch 1 + resolver 1 + credentials 1 + pool default 3"
    if transport == "fast":
        threads = 8
        assert f"fast to {bench.url}, no threads" in text
    else:
        threads, budget = 12, f"{budget} + sqs 4"
        assert f"botocore to {bench.url}, 4 threads (queues + 2): asked for" in text
    assert f"{threads} = {budget}; this number does not change" in text
    assert len(worker.threads()) == threads
    assert worker.terminate() == 0


@pytest.mark.parametrize(
    ("number", "transport"),
    [(signal.SIGUSR1, "fast"), (signal.SIGTTIN, "botocore")],
    indirect=["transport"],
)
def test_table_of_threads(
    bench: Bench,
    journal: Journal,
    start_worker: StartWorker,
    open_gate: Callable[[], None],
    number: signal.Signals,
    transport: str,
) -> None:
    """The table lists every OS thread: names, where it is, the message it has in hand; the worker goes on."""
    url = bench.queue()
    (held,) = bench.send_many(url, ["gate"])
    worker = start_worker(bench.url, url, run={"concurrency": 2, "wait_time": 1})
    (line,) = journal.wait(1, STARTED)
    worker.send_signal(number)
    sqs = () if transport == "fast" else (1, 2, 3)
    threads = 7 + len(sqs)
    worker.wait_for_line(rf"{threads} threads \({threads} Python, 0 native\), as budgeted")
    in_hand = worker.wait_for_line(rf"{line.thread} .*{held} of {bench.name(url)} for \d+\.\d s")
    assert re.search(r"worker_app\.py|waiting\.py|Wake\.wait", in_hand.string), in_hand.string
    kernel = worker.threads()
    start = next(at for at, text in enumerate(worker.lines) if re.match(r"TID +NAME +COMM", text))
    rows = [text.split() for text in worker.lines[start + 1 : start + 1 + len(kernel)]]
    assert {int(row[0]): row[2] for row in rows} == kernel
    names = {row[1] for row in rows}
    assert {"MainThread", "hadoken-engine", "hadoken-watch", "hadoken-resolver", "hadoken-credentials"} < names
    assert {f"hadoken-default-{n}" for n in (1, 2)} | {f"hadoken-sqs-{n}" for n in sqs} < names
    assert not worker.out
    open_gate()
    bench.wait_told(url, "deleted", 1, held)
    assert worker.terminate() == 0
