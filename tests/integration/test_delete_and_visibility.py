"""Messages are deleted when their handler returned, and are ours for as long as it runs."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

import hadoken
from hadoken.local.faults import Faults, Rule
from hadoken.local.inprocess import LocalSQS
from hadoken.sqs.api import DeleteBatch
from hadoken.sqs.boto import BotoClient
from hadoken.testing import leftovers
from tests.support.journal import ENDED, STARTED, Journal
from tests.support.signals import TestSignal
from tests.support.waiting import GLOBAL, wait_until
from tests.support.worker import Bench


def test_parity_01_acknowledged_on_return(bench: Bench, journal: Journal) -> None:
    """25 messages whose handlers return are received once, deleted once, and nothing is left."""
    url = bench.queue()
    ids = bench.send_many(url, [f"m{n}" for n in range(25)])
    app = hadoken.App("t")

    @app.queue(bench.name(url), str).handler
    def handle(body: str, ctx: hadoken.Context) -> None:
        with journal.run(ctx):
            pass

    with hadoken.Worker(app, connection=bench.connection, wait_time=1) as worker:
        journal.wait(25, ENDED)
        bench.wait_empty(url)
    assert sorted(bench.deleted(url)) == sorted(ids)
    assert bench.receives(url) == Counter(ids)
    assert sorted(line.id for line in journal.lines(ENDED)) == sorted(ids)
    assert not [event for event in bench.told(url, "deleted") if event.get("stale")]
    assert (worker.snapshot().in_flight, worker.exit_code) == (0, 0)


def test_parity_02_extended_by_the_handler(bench: Bench, journal: Journal) -> None:
    """A handler that asks for more time gets it in one call, and nobody else gets the message meanwhile."""
    url = bench.queue({"VisibilityTimeout": 2})
    by_hand, neighbour = bench.send_many(url, ["by hand", "neighbour"])
    app = hadoken.App("t")
    release = threading.Event()

    @app.queue(bench.name(url), str).handler
    def handle(body: str, ctx: hadoken.Context) -> None:
        with journal.run(ctx):
            if body == "by hand":
                ctx.extend(30)
            assert release.wait(GLOBAL)

    with hadoken.Worker(app, connection=bench.connection, wait_time=1):
        # Twice its whole visibility timeout has passed by now, as the neighbour's routine extensions show.
        bench.wait_told(url, "visibility changed", 4, neighbour)
        release.set()
        journal.wait(2, ENDED)
    assert [event["timeout"] for event in bench.told(url, "visibility changed", by_hand)] == [30]
    assert bench.receives(url) == Counter([by_hand, neighbour])
    assert sorted(bench.deleted(url)) == sorted([by_hand, neighbour])


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


def test_parity_04_handler_longer_than_any_visibility_timeout(bench: Bench, journal: Journal) -> None:
    """With visibility timeouts of 1, 2, 4 and 5 s, a handler that outlives two of them runs, and once."""
    urls = {timeout: bench.queue({"VisibilityTimeout": timeout}) for timeout in (1, 2, 4, 5)}
    ids = {timeout: bench.send_many(url, [f"vt {timeout}"])[0] for timeout, url in urls.items()}
    app = hadoken.App("t")
    release = threading.Event()

    def handle(body: str, ctx: hadoken.Context) -> None:
        with journal.run(ctx):
            assert release.wait(GLOBAL)

    for url in urls.values():
        app.queue(bench.name(url), str).handler(handle)
    with hadoken.Worker(app, connection=bench.connection, wait_time=1):
        journal.wait(4, STARTED)
        for timeout, url in urls.items():  # the second extension comes when one whole timeout is over
            bench.wait_told(url, "visibility changed", 2 if timeout > 3 else 4, ids[timeout])
        release.set()
        journal.wait(4, ENDED)
    for timeout, url in urls.items():
        assert bench.receives(url) == {ids[timeout]: 1}
        assert bench.deleted(url) == [ids[timeout]]
        assert {event["timeout"] for event in bench.told(url, "visibility changed")} == {timeout}
        assert not bench.told(url, "expired")


def test_parity_07_an_outcome_is_one_call(bench: Bench, journal: Journal) -> None:
    """A discard is one delete and a retry one visibility change, each with the handle of the latest receive."""
    url = bench.queue()
    discarded, retried = bench.send_many(url, ["discard", "retry"])
    app = hadoken.App("t")

    @app.queue(bench.name(url), str).handler
    def handle(body: str, ctx: hadoken.Context) -> hadoken.Outcome | None:
        with journal.run(ctx):
            if body == "discard":
                return hadoken.Discard("asked to")
            return hadoken.Retry(after=1) if ctx.attempt == 1 else None

    with hadoken.Worker(app, connection=bench.connection, wait_time=1):
        journal.wait(3, ENDED)
        bench.wait_empty(url)
    told = {
        id_: [e["what"] for e in bench.events(url) if e["id"] == id_ and e["what"] != "sent"]
        for id_ in bench.receives(url)
    }
    assert told[discarded] == ["received", "deleted"]
    assert told[retried][:2] == ["received", "visibility changed"]
    assert told[retried][-2:] == ["received", "deleted"]
    assert [event["timeout"] for event in bench.told(url, "visibility changed")] == [1]
    last = {event["id"]: event["handle"] for event in bench.told(url, "received")}
    assert {event["id"]: event["handle"] for event in bench.told(url, "deleted")} == last


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


@pytest.mark.parametrize("refused", [(0,), (0, 1, 2, 3, 4)])
def test_parity_08_a_failed_entry_is_tried_again(refused: tuple[int, ...]) -> None:
    """Entries of a delete that fail once are deleted by a later call, and their handlers do not run again."""
    sqs = LocalSQS(faults=Faults([Rule(operation="DeleteMessageBatch", entries=refused, times=1)]))
    sqs.create_queue("orders")
    app = hadoken.App("t")
    runs = TestSignal[str]("runs")
    orders = app.queue("orders", str)
    orders.handler(runs.emit)
    app.connect(_Door(sqs))
    orders.send_many([f"m{n}" for n in range(5)])

    with hadoken.Worker(app, sqs=sqs, wait_time=1) as worker:
        runs.wait(5)
        assert wait_until(lambda: worker.snapshot().counts["orders"]["deleted"] == 5)
        worker.drain()
        worker.engine.call(lambda: sqs.advance(5))  # the open poll ends, in virtual time
    deletes = [event for event in sqs.queues.log.since() if event.what == "deleted"]
    assert sorted(runs.facts) == [f"m{n}" for n in range(5)]
    assert len({event.id for event in deletes}) == len(deletes) == 5
    assert sqs.faults.fired == 1
    assert 2 <= worker.snapshot().requests["DeleteMessageBatch"] <= 1 + len(refused)


class _Door:
    """Leads the app's sender to a local SQS in this process."""

    def __init__(self, sqs: LocalSQS) -> None:
        self._sqs = sqs

    def blocking(self) -> object:
        """The sender's client."""
        return self._sqs.blocking
