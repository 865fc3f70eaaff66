"""Messages are deleted when their handler returned, and are ours for as long as it runs.

The testing kit runs most of it. What stays over HTTP and in real time is about just these: the threads of the whole
worker under load (line 3), and the answers of a batch as they come, or do not, over a socket (line 8).
"""

from __future__ import annotations

import threading
from collections import Counter

import pytest

import hadoken
from hadoken.sqs.api import DeleteBatch
from hadoken.sqs.boto import BotoClient
from hadoken.testing import FakeSQS, StartWorker, leftovers
from tests.support.journal import ENDED, STARTED, Journal
from tests.support.waiting import GLOBAL, wait_until
from tests.support.worker import Bench

LONG = {"VisibilityTimeout": 600}  # s; far beyond a test: what comes twice was not deleted in time
PATIENCE = 0.05  # seconds of real time for handlers that wait for the test


def test_parity_01_acknowledged_on_return(fake_sqs: FakeSQS, worker: StartWorker) -> None:
    """25 messages whose handlers return are received once, deleted once, and nothing is left."""
    app = hadoken.App("t")
    queue = app.queue("q", str)
    queue.handler(lambda body: None)
    work = worker(app)
    ids = queue.send_many([f"m{n}" for n in range(25)])
    assert sorted(run.message.id for run in work.drain()) == sorted(ids)
    assert sorted(fake_sqs.deleted("q")) == sorted(ids)
    assert fake_sqs.receives("q") == Counter(ids)
    assert not [event for event in fake_sqs.events("q", "deleted") if event.stale]
    assert fake_sqs.held("q") == (0, 0, 0)
    assert work.snapshot().in_flight == 0
    assert fake_sqs.calls("DeleteMessageBatch").entries == 25
    assert fake_sqs.calls("DeleteMessageBatch").requests == 3, "as few as ten a batch allow"


def test_parity_02_extended_by_the_handler(fake_sqs: FakeSQS, worker: StartWorker) -> None:
    """A handler that asks for more time gets it in one call, and nobody else gets the message meanwhile."""
    app = hadoken.App("t")
    queue = app.queue("q", str)
    release = threading.Event()

    @queue.handler(visibility_timeout=20)
    def handle(body: str, ctx: hadoken.Context) -> None:
        if body == "by hand":
            ctx.extend(300)
        assert release.wait(GLOBAL)

    work = worker(app, patience=PATIENCE)
    by_hand, neighbour = queue.send_many(["by hand", "neighbour"])
    work.advance("40s")
    release.set()
    assert len(work.drain()) == 2
    changes = fake_sqs.events("q", "visibility changed")
    assert [event.timeout for event in changes if event.id == by_hand] == [300]
    assert len([event for event in changes if event.id == neighbour]) >= 3, "its routine extensions go on"
    assert fake_sqs.receives("q") == Counter([by_hand, neighbour])
    assert sorted(fake_sqs.deleted("q")) == sorted([by_hand, neighbour])


def test_parity_03_long_handlers_cost_batches_not_threads(bench: Bench, journal: Journal) -> None:
    """25 handlers that outlive a visibility timeout of 2 s several times run once; batches extend them, no thread."""
    url = bench.queue({"VisibilityTimeout": 2})
    ids = bench.send_many(url, [f"m{n}" for n in range(25)])
    app = hadoken.App("t")
    release = threading.Event()

    @app.queue(bench.name(url), str).handler
    def handle(body: str, ctx: hadoken.Context) -> None:
        with journal.run(ctx):
            assert release.wait(GLOBAL)

    before = set(leftovers.os_threads())
    seen: Counter[int] = Counter()

    def extended_four_times() -> bool:
        seen[len(leftovers.os_threads().keys() - before)] += 1
        extensions = Counter(event["id"] for event in bench.told(url, "visibility changed"))
        return len(extensions) == 25 and min(extensions.values()) >= 4

    with hadoken.Worker(app, connection=bench.connection, wait_time=1, concurrency=25) as worker:
        journal.wait(25, STARTED)
        assert wait_until(extended_four_times)
        held = worker.snapshot()
        release.set()
        journal.wait(25, ENDED)
    assert set(seen) == {sum(worker.plan.budget.values()) - 1}, "all threads but main, which is ours"
    assert held.in_flight == held.pools["default"].leases == 25
    entries = bench.requests("ChangeMessageVisibilityBatch", "entries")
    assert bench.requests("ChangeMessageVisibilityBatch") <= entries / 5, "at least five a batch on average"
    assert bench.receives(url) == Counter(ids)
    assert sorted(bench.deleted(url)) == sorted(ids)
    assert not journal.duplicates()


def test_parity_04_handler_longer_than_any_visibility_timeout(fake_sqs: FakeSQS, worker: StartWorker) -> None:
    """With visibility timeouts from 1 s to 15 min, a handler that outlives thirty of the shortest runs, and once."""
    app = hadoken.App("t")
    release = threading.Event()
    queues = {timeout: app.queue(f"q{timeout}", str) for timeout in (1, 2, 4, 5, 30, 900)}

    def handle(body: str, ctx: hadoken.Context) -> None:
        assert release.wait(GLOBAL)

    for timeout, queue in queues.items():
        queue.handler(visibility_timeout=timeout, time_limit=None)(handle)
    work = worker(app, patience=PATIENCE, timeout=GLOBAL)  # thousands of extensions take a busy machine 5 s
    ids = {timeout: queue.send("long") for timeout, queue in queues.items()}
    assert work.advance("31m") == []
    release.set()
    work.drain()
    for timeout, queue in queues.items():
        assert fake_sqs.receives(queue.name) == {ids[timeout]: 1}
        assert fake_sqs.deleted(queue.name) == [ids[timeout]]
        assert {event.timeout for event in fake_sqs.events(queue.name, "visibility changed")} == {timeout}
        assert not fake_sqs.events(queue.name, "expired")


def test_parity_07_an_outcome_is_one_call(fake_sqs: FakeSQS, worker: StartWorker) -> None:
    """A discard is one delete and a retry one visibility change, each with the handle of the latest receive."""
    app = hadoken.App("t")
    queue = app.queue("q", str)

    @queue.handler
    def handle(body: str, ctx: hadoken.Context) -> hadoken.Outcome | None:
        if body == "discard":
            return hadoken.Discard("asked to")
        return hadoken.Retry(after=30) if ctx.attempt == 1 else None

    work = worker(app)
    discarded, retried = queue.send_many(["discard", "retry"])
    work.advance("31s")
    events = fake_sqs.events("q")
    told = {id_: [str(e.what) for e in events if e.id == id_] for id_ in (discarded, retried)}
    assert told == {
        discarded: ["sent", "received", "deleted"],
        retried: ["sent", "received", "visibility changed", "expired", "received", "deleted"],
    }
    assert [event.timeout for event in fake_sqs.events("q", "visibility changed")] == [30]
    last = {event.id: event.handle for event in fake_sqs.events("q", "received")}
    assert {event.id: event.handle for event in fake_sqs.events("q", "deleted")} == last


def test_parity_08_each_entry_of_a_batch_counts_for_itself(bench: Bench) -> None:
    """Of one good and one bad handle in a batch, the good one is deleted and the bad one is reported."""
    url = bench.queue()
    bench.send_many(url, ["good"])
    (message,) = bench.receive(url)
    client = BotoClient(bench.connection)
    answer = client.delete_batch(DeleteBatch(url, [message["ReceiptHandle"], "no handle at all"]))
    assert list(answer.failed) == [1]
    assert answer.failed[1].sender_fault
    assert bench.deleted(url) == [message["MessageId"]]
    assert bench.counts(url) == (0, 0, 0)


def test_parity_08_a_lost_answer_is_asked_for_again(bench: Bench, journal: Journal) -> None:
    """Deletes whose answer is lost over HTTP, and entries that fail there, are sent again; no handler runs again."""
    url = bench.queue(LONG)
    app = hadoken.App("t")

    @app.queue(bench.name(url), str).handler
    def handle(body: str, ctx: hadoken.Context) -> None:
        with journal.run(ctx):
            pass

    delete = {"operation": "DeleteMessageBatch", "queue": bench.name(url)}
    with bench.faults(
        {**delete, "nth": 1, "answer": "reset", "applied": True},
        {**delete, "nth": 2, "status": 500, "applied": True},
        {**delete, "nth": 3, "answer": "truncated"},
        {**delete, "times": 2, "entries": [0, 3], "entry_code": "InternalError"},
    ) as fired:
        ids = bench.send_many(url, [f"m{n}" for n in range(10)])
        with hadoken.Worker(app, connection=bench.connection, wait_time=1):
            journal.wait(10, ENDED)
            bench.wait_empty(url)
            assert wait_until(lambda: fired() == [1, 1, 1, 2]), fired()
        assert bench.requests("DeleteMessageBatch") >= 6
    assert Counter(line.id for line in journal.lines(ENDED)) == Counter(ids), "each ran once"
    assert bench.receives(url) == Counter(ids)
    assert sorted(bench.deleted(url)) == sorted(ids), "really deleted once, however often it was asked for"
    assert not bench.told(url, "expired")


@pytest.mark.parametrize("refused", [(0,), (0, 1, 2, 3, 4)])
def test_parity_08_a_failed_entry_is_tried_again(
    refused: tuple[int, ...], fake_sqs: FakeSQS, worker: StartWorker
) -> None:
    """Entries of a delete that fail once are deleted by a later call, and their handlers do not run again."""
    app = hadoken.App("t")
    queue = app.queue("q", str)
    queue.handler(lambda body: None)
    work = worker(app)
    faults = work.faults(operation="DeleteMessageBatch", entries=refused, times=1)
    ids = queue.send_many([f"m{n}" for n in range(5)])
    assert len(work.drain()) == 5
    assert work.snapshot().counts["q"]["deleted"] == 5
    assert sorted(fake_sqs.deleted("q")) == sorted(ids)
    assert faults.fired == 1
    assert 2 <= work.snapshot().requests["DeleteMessageBatch"] <= 1 + len(refused), "each again by itself at the worst"
