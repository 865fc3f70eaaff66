"""Message groups: in order, side by side, and a failure holds its own group only."""

from __future__ import annotations

import threading
from collections import Counter

import hadoken
from tests.support.journal import ENDED, FAILED, STARTED, Journal
from tests.support.waiting import GLOBAL, wait_until
from tests.support.worker import Bench


def send(bench: Bench, url: str, bodies: list[str], group: str) -> list[str]:
    """Send bodies to one message group and return the message ids."""
    return [one["MessageId"] for one in bench.send(url, *bodies, MessageGroupId=group)]


def test_parity_23_five_in_order(bench: Bench, journal: Journal) -> None:
    """Five messages of one group are received together and run one after the other in their order."""
    url = bench.queue(fifo=True)
    ids = send(bench, url, [f"m{n}" for n in range(5)], "g")
    app = hadoken.App("t")

    @app.handler(bench.name(url))
    def handle(body: str, ctx: hadoken.Context) -> None:
        with journal.run(ctx):
            pass

    with hadoken.Worker(app, connection=bench.connection, wait_time=1):
        journal.wait(5, ENDED)
        bench.wait_empty(url)
    assert [line.id for line in journal.lines(STARTED)] == ids
    assert not journal.overlaps()
    assert bench.deleted(url) == ids
    assert bench.receives(url) == Counter(ids)
    assert bench.requests("ReceiveMessage") - bench.requests("ReceiveMessage", "empty") == 1


def test_parity_23_a_hundred_groups(bench: Bench, journal: Journal) -> None:
    """A hundred groups run side by side, each in order; one that fails is retried in place and holds only itself."""
    url = bench.queue(fifo=True)
    groups = [f"g{n}" for n in range(100)]
    ids = {group: send(bench, url, ["0", "1", "2"], group) for group in groups}
    app = hadoken.App("t")
    others_done = threading.Event()

    @app.handler(bench.name(url), retry=hadoken.fixed(0))
    def handle(body: str, ctx: hadoken.Context) -> None:
        with journal.run(ctx):
            if (ctx.message.message_group_id, body) != ("g7", "0"):
                return
            if ctx.attempt == 1:
                raise RuntimeError("g7")
            assert others_done.wait(GLOBAL)  # held until all others are through: they cannot have waited for it

    with hadoken.Worker(app, connection=bench.connection, wait_time=1, concurrency=16) as worker:
        journal.wait(99 * 3, ENDED)
        assert "g7" not in journal.bodies_by_group()
        assert wait_until(lambda: worker.snapshot().pools["default"].groups == 1), "the failing one"
        others_done.set()
        journal.wait(100 * 3, ENDED)
        bench.wait_empty(url)
        assert wait_until(lambda: worker.snapshot().pools["default"].groups == 0)
    assert journal.bodies_by_group() == {group: ["0", "1", "2"] for group in groups}
    assert not journal.overlaps()
    assert [(line.group, line.count, line.attempt) for line in journal.lines(STARTED) if line.attempt > 1] == [
        ("g7", 1, 2)
    ], "retried in place: SQS counts one receive"
    assert bench.receives(url) == Counter(id_ for group in groups for id_ in ids[group])


def test_parity_23_groups_run_side_by_side(bench: Bench, journal: Journal) -> None:
    """As many groups run at once as there are handler threads."""
    url = bench.queue(fifo=True)
    for n in range(8):
        send(bench, url, ["0", "1"], f"g{n}")
    app = hadoken.App("t")
    together = threading.Barrier(8)

    @app.handler(bench.name(url))
    def handle(body: str, ctx: hadoken.Context) -> None:
        with journal.run(ctx):
            together.wait(GLOBAL)

    with hadoken.Worker(app, connection=bench.connection, wait_time=1, concurrency=8):
        journal.wait(16, ENDED)
        bench.wait_empty(url)
    assert journal.bodies_by_group() == {f"g{n}": ["0", "1"] for n in range(8)}
    assert not journal.overlaps()


def test_parity_25_rest_stays_leased_while_its_head_waits(bench: Bench, journal: Journal) -> None:
    """A head that waits longer than the visibility timeout is retried in place; no message costs a second receive."""
    url = bench.queue({"VisibilityTimeout": 2}, fifo=True)
    ids = send(bench, url, [f"m{n}" for n in range(5)], "g")
    app = hadoken.App("t")

    @app.handler(bench.name(url), retry=hadoken.fixed(3))
    def handle(body: str, ctx: hadoken.Context) -> None:
        with journal.run(ctx):
            if body == "m0" and ctx.attempt == 1:
                raise RuntimeError(body)

    with hadoken.Worker(app, connection=bench.connection, wait_time=1):
        journal.wait(5, ENDED)
        bench.wait_empty(url)
    assert [line.id for line in journal.lines(ENDED)] == ids
    assert bench.receives(url) == Counter(ids)
    (failed,) = journal.lines(FAILED)
    assert journal.lines(STARTED)[1].at >= failed.at + 3
    extended = Counter(event["id"] for event in bench.told(url, "visibility changed"))
    assert set(extended) == set(ids)
    assert min(extended.values()) >= 2


def test_parity_25_poisoned_head_is_dead_lettered_alone(bench: Bench, journal: Journal) -> None:
    """With a maxReceiveCount of 3 a head that always fails is dead-lettered with its reason, and the other four run."""
    box = bench.letterbox(3, fifo=True)
    head, *rest = send(bench, box.url, [f"m{n}" for n in range(5)], "g")
    app = hadoken.App("t")

    @app.handler(bench.name(box.url), retry=hadoken.fixed(0))
    def handle(body: str, ctx: hadoken.Context) -> None:
        with journal.run(ctx):
            if body == "m0":
                raise RuntimeError("poison")

    with hadoken.Worker(app, connection=bench.connection, wait_time=1):
        journal.wait(4, ENDED)
        bench.wait_empty(box.url)
    assert [line.attempt for line in journal.lines(STARTED) if line.id == head] == [1, 2, 3]
    assert [line.id for line in journal.lines(ENDED)] == rest
    assert bench.receives(box.url) == Counter([head, *rest])
    assert not bench.told(box.url, "moved")
    (copy,) = bench.receive(box.dead)
    attributes = {name: value["StringValue"] for name, value in copy["MessageAttributes"].items()}
    assert (copy["Body"], copy["Attributes"]["MessageGroupId"]) == ("m0", "g")
    assert (attributes["hadoken-key"], attributes["hadoken-reason"]) == (head, "RuntimeError: poison")


def test_parity_25_released_beyond_the_hold_limit(bench: Bench, journal: Journal) -> None:
    """A wait above hold_limit releases head and rest, which come back in order with one receive more."""
    url = bench.queue({"VisibilityTimeout": 600}, fifo=True)
    ids = send(bench, url, [f"m{n}" for n in range(4)], "g")
    app = hadoken.App("t")

    @app.handler(bench.name(url), retry=hadoken.fixed(2), hold_limit=1)
    def handle(body: str, ctx: hadoken.Context) -> None:
        with journal.run(ctx):
            if body == "m0" and ctx.attempt == 1:
                raise RuntimeError(body)

    with hadoken.Worker(app, connection=bench.connection, wait_time=1) as worker:
        journal.wait(1, FAILED)
        assert wait_until(lambda: worker.snapshot().in_flight == 0)
        journal.wait(4, ENDED)
        bench.wait_empty(url)
    assert [line.id for line in journal.lines(ENDED)] == ids
    assert bench.receives(url) == dict.fromkeys(ids, 2)


def test_fifo_longer_than_the_visibility_timeout(bench: Bench, journal: Journal) -> None:
    """With visibility timeouts of 1, 2 and 4 s, a handler that outlives several of them runs once, in order."""
    urls = {timeout: bench.queue({"VisibilityTimeout": timeout}, fifo=True) for timeout in (1, 2, 4)}
    ids = {timeout: send(bench, url, ["long", "next"], "g") for timeout, url in urls.items()}
    app = hadoken.App("t")
    release = threading.Event()

    def handle(body: str, ctx: hadoken.Context) -> None:
        with journal.run(ctx):
            if body == "long":
                assert release.wait(GLOBAL)

    for url in urls.values():
        app.queue(bench.name(url), str).handler(handle)
    with hadoken.Worker(app, connection=bench.connection, wait_time=1):
        journal.wait(3, STARTED)
        bench.wait_told(urls[1], "visibility changed", 6, ids[1][0])
        bench.wait_told(urls[2], "visibility changed", 4, ids[2][0])
        bench.wait_told(urls[4], "visibility changed", 3, ids[4][0])
        assert len(journal.lines(STARTED)) == 3, "nothing overtakes"
        release.set()
        journal.wait(6, ENDED)
        for url in urls.values():
            bench.wait_empty(url)
    for timeout, url in urls.items():
        assert bench.receives(url) == Counter(ids[timeout])
        assert bench.deleted(url) == ids[timeout]
        assert not bench.told(url, "expired")
