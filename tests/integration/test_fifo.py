"""Message groups: in order, side by side, and a failure holds its own group only."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

import hadoken
from hadoken.testing import DrivenWorker, FakeSQS, StartWorker
from tests.support.journal import ENDED, STARTED, Journal
from tests.support.waiting import GLOBAL

PATIENCE = 0.05  # seconds of real time for handlers that wait for the test


@pytest.fixture
def app() -> hadoken.App:
    """A fresh app."""
    return hadoken.App("t")


def send(queue: hadoken.Queue[str], bodies: list[str], group: str) -> list[str]:
    """Send bodies to one message group and return the message ids."""
    return queue.send_many(bodies, message_group_id=group)


def handled(work: DrivenWorker) -> list[str]:
    """Ids of messages whose handler ended well, in that order."""
    return [run.message.id for run in work.runs if isinstance(run.outcome, hadoken.Ack)]


def test_parity_23_five_in_order(app: hadoken.App, fake_sqs: FakeSQS, worker: StartWorker, journal: Journal) -> None:
    """Five messages of one group are received together and run one after the other in their order."""
    queue = app.queue("q.fifo", str)

    @queue.handler
    def handle(body: str, ctx: hadoken.Context) -> None:
        with journal.run(ctx):
            pass

    work = worker(app)
    ids = send(queue, [f"m{n}" for n in range(5)], "g")
    work.drain()
    assert [line.id for line in journal.lines(STARTED)] == ids
    assert not journal.overlaps()
    assert fake_sqs.deleted("q.fifo") == ids
    assert fake_sqs.receives("q.fifo") == Counter(ids)
    calls = fake_sqs.calls("ReceiveMessage")
    assert calls.requests - calls.empty == 2, "one that brought all five, and the one that waits"


def test_parity_23_a_hundred_groups(app: hadoken.App, fake_sqs: FakeSQS, worker: StartWorker, journal: Journal) -> None:
    """A hundred groups run side by side, each in order; one that fails is retried in place and holds only itself."""
    queue = app.queue("q.fifo", str)
    groups = [f"g{n}" for n in range(100)]
    others_done = threading.Event()

    @queue.handler(retry=hadoken.fixed(0))
    def handle(body: str, ctx: hadoken.Context) -> None:
        with journal.run(ctx):
            if (ctx.message.message_group_id, body) != ("g7", "0"):
                return
            if ctx.attempt == 1:
                raise RuntimeError("g7")
            assert others_done.wait(GLOBAL)  # held until all others are through: they cannot have waited for it

    work = worker(app, raise_errors=False, patience=PATIENCE, concurrency=16)
    ids = {group: send(queue, ["0", "1", "2"], group) for group in groups}
    work.advance(1)
    assert journal.bodies_by_group() == {group: ["0", "1", "2"] for group in groups if group != "g7"}
    assert work.snapshot().pools["default"].groups == 1, "the failing one"
    others_done.set()
    work.drain()
    assert work.snapshot().pools["default"].groups == 0
    assert journal.bodies_by_group() == {group: ["0", "1", "2"] for group in groups}
    assert not journal.overlaps()
    assert [(line.group, line.count, line.attempt) for line in journal.lines(STARTED) if line.attempt > 1] == [
        ("g7", 1, 2)
    ], "retried in place: SQS counts one receive"
    assert fake_sqs.receives("q.fifo") == Counter(id_ for group in groups for id_ in ids[group])


def test_parity_23_groups_run_side_by_side(app: hadoken.App, worker: StartWorker, journal: Journal) -> None:
    """As many groups run at once as there are handler threads."""
    queue = app.queue("q.fifo", str)
    together = threading.Barrier(8)

    @queue.handler
    def handle(body: str, ctx: hadoken.Context) -> None:
        with journal.run(ctx):
            together.wait(GLOBAL)

    work = worker(app, concurrency=8)
    for n in range(8):
        send(queue, ["0", "1"], f"g{n}")
    work.drain()
    assert journal.bodies_by_group() == {f"g{n}": ["0", "1"] for n in range(8)}
    assert not journal.overlaps()


def test_parity_25_rest_stays_leased_while_its_head_waits(
    app: hadoken.App, fake_sqs: FakeSQS, worker: StartWorker
) -> None:
    """A head that waits longer than the visibility timeout is retried in place; no message costs a second receive."""
    queue = app.queue("q.fifo", str)

    @queue.handler(retry=hadoken.fixed(100), visibility_timeout=30)
    def handle(body: str, ctx: hadoken.Context) -> None:
        if body == "m0" and ctx.attempt == 1:
            raise RuntimeError(body)

    work = worker(app, raise_errors=False)
    ids = send(queue, [f"m{n}" for n in range(5)], "g")
    work.drain()
    assert work.advance("99s") == []
    work.advance("1s")
    assert handled(work) == ids
    assert fake_sqs.receives("q.fifo") == Counter(ids)
    failed, again, *_ = work.runs
    assert (failed.attempt, again.attempt) == (1, 2)
    assert again.at == pytest.approx(failed.at + 100)
    extended = Counter(event.id for event in fake_sqs.events("q.fifo", "visibility changed"))
    assert set(extended) == set(ids)
    assert min(extended.values()) >= 6
    assert not fake_sqs.events("q.fifo", "expired")


def test_parity_25_poisoned_head_is_dead_lettered_alone(
    app: hadoken.App, fake_sqs: FakeSQS, worker: StartWorker, journal: Journal
) -> None:
    """A head that always fails is dead-lettered with its reason after three attempts, and the other four run."""
    queue = app.queue("q.fifo", str)

    @queue.handler(retry=hadoken.fixed(0))
    def handle(body: str, ctx: hadoken.Context) -> None:
        with journal.run(ctx):
            if body == "m0":
                raise RuntimeError("poison")

    fake_sqs.provide(app, max_receives=3)
    work = worker(app, raise_errors=False)
    head, *rest = send(queue, [f"m{n}" for n in range(5)], "g")
    work.drain()
    assert [line.attempt for line in journal.lines(STARTED) if line.id == head] == [1, 2, 3]
    assert [line.id for line in journal.lines(ENDED)] == rest
    assert fake_sqs.receives("q.fifo") == Counter([head, *rest])
    assert not fake_sqs.events("q.fifo", "moved")
    (copy,) = work.dead_letters(queue)
    assert (copy.body, copy.message_group_id) == ("m0", "g")
    assert (copy.key, copy.attributes["hadoken-reason"]) == (head, "RuntimeError: poison")


def test_parity_25_released_beyond_the_hold_limit(app: hadoken.App, fake_sqs: FakeSQS, worker: StartWorker) -> None:
    """A wait above hold_limit releases head and rest, which come back in order with one receive more."""
    queue = app.queue("q.fifo", str)

    @queue.handler(retry=hadoken.fixed(60), hold_limit=30, visibility_timeout=600)
    def handle(body: str, ctx: hadoken.Context) -> None:
        if body == "m0" and ctx.attempt == 1:
            raise RuntimeError(body)

    work = worker(app, raise_errors=False)
    ids = send(queue, [f"m{n}" for n in range(4)], "g")
    work.drain()
    assert work.snapshot().in_flight == 0
    assert work.advance("59s") == []
    work.advance("1s")
    assert handled(work) == ids
    assert fake_sqs.receives("q.fifo") == dict.fromkeys(ids, 2)


def test_fifo_longer_than_the_visibility_timeout(app: hadoken.App, fake_sqs: FakeSQS, worker: StartWorker) -> None:
    """With visibility timeouts of 1, 2 and 4 s, a handler that outlives several of them runs once, in order."""
    queues = {timeout: app.queue(f"q{timeout}.fifo", str) for timeout in (1, 2, 4)}
    release = threading.Event()

    def handle(body: str, ctx: hadoken.Context) -> None:
        if body == "long":
            assert release.wait(GLOBAL)

    for timeout, queue in queues.items():
        queue.handler(visibility_timeout=timeout)(handle)
    work = worker(app, patience=PATIENCE)
    ids = {timeout: send(queue, ["long", "next"], "g") for timeout, queue in queues.items()}
    assert work.advance("1m") == [], "nothing overtakes"
    release.set()
    work.drain()
    for timeout, queue in queues.items():
        changes = [event for event in fake_sqs.events(queue.name, "visibility changed") if event.id == ids[timeout][0]]
        assert len(changes) >= 60 / timeout, "about each half of it"
        assert fake_sqs.receives(queue.name) == Counter(ids[timeout])
        assert fake_sqs.deleted(queue.name) == ids[timeout]
        assert not fake_sqs.events(queue.name, "expired")
