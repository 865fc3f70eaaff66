"""How many handlers run at once, whose messages come first, and who waits for whom.

The testing kit runs all of it but `test_parity_19_shares_follow_the_weights`: shares come of receives that take their
time beside handlers that take theirs, and in virtual time neither takes any.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import hadoken
from hadoken.testing import FakeSQS, StartWorker
from tests.support.signals import TestSignal
from tests.support.waiting import GLOBAL, wait_until
from tests.support.worker import Bench

PATIENCE = 0.05  # seconds of real time for handlers that wait for the test


@pytest.fixture
def app() -> hadoken.App:
    """A fresh app."""
    return hadoken.App("t")


class Crowd:
    """Counts how many are inside at once.

    Attributes:
        now: how many there are.
        peak: the most there ever were.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the two numbers; never held while calling out
        self.now = 0
        self.peak = 0

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Be one of them for the length of a block."""
        with self._lock:
            self.now += 1
            self.peak = max(self.peak, self.now)
        yield
        with self._lock:
            self.now -= 1


def test_parity_15_never_above_the_limit(app: hadoken.App, fake_sqs: FakeSQS, worker: StartWorker) -> None:
    """Of 10 messages exactly as many run at once as there are handler threads, and each runs once."""
    queue = app.queue("q", str)
    crowd, release = Crowd(), threading.Event()

    @queue.handler
    def handle(body: str) -> None:
        with crowd.inside():
            assert body == "quick" or release.wait(GLOBAL)

    work = worker(app, concurrency=4, patience=PATIENCE)
    ids = [queue.send("quick")]
    assert len(work.drain()) == 1, "only where handlers are known to be quick is more received than can start"
    ids += queue.send_many([f"m{n}" for n in range(10)])
    assert work.advance("10s") == []
    assert fake_sqs.receives("q") == Counter(ids), "all are here: a fifth could start if anything let it"
    assert work.snapshot().in_flight == 10
    assert wait_until(lambda: crowd.now == 4), "a thread may have taken its message and not come here yet"
    release.set()
    assert len(work.drain()) == 10
    assert crowd.peak == 4
    assert {run.thread for run in work.runs[1:]} == {f"hadoken-default-{n}" for n in range(1, 5)}
    assert fake_sqs.receives("q") == Counter(ids)
    assert sorted(fake_sqs.deleted("q")) == sorted(ids)


def test_parity_16_busy_is_exact_after_failures(app: hadoken.App, fake_sqs: FakeSQS, worker: StartWorker) -> None:
    """Handlers, hooks and policies that raise, of every kind, leave no place taken: all threads run afterwards."""
    queue = app.queue("q", str)
    kinds = ["error", "exit", "interrupt", "retry", "release", "wrong", "group"] * 4
    crowd, release = Crowd(), threading.Event()

    @app.on_error
    def broken(error: BaseException, queue: str, message: hadoken.Message[object]) -> None:
        raise OSError("the hook's own trouble")

    def policy(attempt: int) -> float:
        raise LookupError("the policy's own trouble")

    @queue.handler(retry=policy)
    def handle(body: str, ctx: hadoken.Context) -> object:
        return fail(body) if body in kinds and ctx.attempt == 1 else stay()

    def stay() -> None:
        with crowd.inside():
            assert release.wait(GLOBAL)

    # An hour passes under a handler that is slower than this, and it then counts as one that hangs.
    work = worker(app, concurrency=6, patience=10 * PATIENCE, raise_errors=False)
    ids = queue.send_many(kinds)
    work.advance("1s")
    assert {run.message.id for run in work.runs} == set(ids)
    queue.send_many(["stay"] * 6)
    work.advance("1s")
    assert wait_until(lambda: (crowd.now, crowd.peak) == (6, 6)), (crowd.now, crowd.peak)
    held = work.snapshot().pools["default"]
    assert held.in_flight == held.active + held.waiting + held.settling
    assert held.leases == held.in_flight
    release.set()
    work.drain()  # an hour must not pass under those that are about to return
    work.advance("1h")
    assert work.snapshot().in_flight == 0
    assert crowd.peak == 6
    assert sorted(fake_sqs.receives("q")) == sorted(fake_sqs.deleted("q"))
    assert fake_sqs.held("q") == (0, 0, 0)
    assert set(ids) <= set(fake_sqs.receives("q"))


def fail(kind: str) -> object:
    """Fail in one of the ways a handler can; some are asked for, some are nobody's idea of an outcome."""
    failures: dict[str, BaseException] = {
        "error": RuntimeError(kind),
        "exit": SystemExit(3),
        "interrupt": KeyboardInterrupt(),
        "retry": hadoken.Retry(after=900),
        "release": hadoken.Release(),
        "group": ExceptionGroup("two", [ValueError("a"), KeyError("b")]),
    }
    if kind == "wrong":
        return 42
    raise failures[kind]


def test_parity_17_messages_come_in_batches(app: hadoken.App, fake_sqs: FakeSQS, worker: StartWorker) -> None:
    """Five waiting messages come in one receive."""
    bodies: list[str] = []
    app.queue("q", str).handler(bodies.append)
    fake_sqs.provide(app)
    fake_sqs.send("q", *(f"m{n}" for n in range(5)))
    worker(app).drain()
    assert sorted(bodies) == [f"m{n}" for n in range(5)]
    assert fake_sqs.held("q") == (0, 0, 0)
    receives, deletes = fake_sqs.calls("ReceiveMessage"), fake_sqs.calls("DeleteMessageBatch")
    assert receives.entries == 5
    assert receives.requests - receives.empty == 2, "one that brought all five, and the one that waits"
    assert deletes.requests <= 2
    assert deletes.entries == 5


def test_parity_18_pools(app: hadoken.App, fake_sqs: FakeSQS, worker: StartWorker) -> None:
    """Two pools serve their five messages each, on threads of their own; a pool of one is strictly sequential."""
    wide, narrow = app.queue("wide", str), app.queue("narrow", str)
    app.pool("wide", concurrency=5)
    app.pool("one", concurrency=1, queues={"narrow": 1})
    together, alone = threading.Barrier(5), Crowd()

    @wide.handler(pool="wide")
    def on_wide(body: str) -> None:
        together.wait(GLOBAL)

    @narrow.handler
    def on_narrow(body: str) -> None:
        with alone.inside():
            pass

    work = worker(app)
    ids = [*wide.send_many([f"m{n}" for n in range(5)]), *narrow.send_many([f"m{n}" for n in range(5)])]
    work.drain()
    assert fake_sqs.held("wide") == fake_sqs.held("narrow") == (0, 0, 0)
    assert set(work.snapshot().pools) == {"wide", "one"}
    threads = {name: {run.thread for run in work.runs if run.queue == name} for name in ("wide", "narrow")}
    assert threads == {"wide": {f"hadoken-wide-{n}" for n in range(1, 6)}, "narrow": {"hadoken-one-1"}}
    assert alone.peak == 1
    assert sorted(run.message.id for run in work.runs) == sorted(ids)


def test_parity_19_shares_follow_the_weights(app: hadoken.App, bench: Bench) -> None:
    """While three queues with weights 3, 2 and 1 have messages, each gets its share within 10 %; all are served."""
    weights = {bench.queue(): weight for weight in (3, 2, 1)}
    for url, weight in weights.items():
        bench.send_many(url, [str(weight)] * 120 * weight)
    app.pool("default", concurrency=4, queues={bench.name(url): weight for url, weight in weights.items()})
    started = TestSignal[int]("started")
    turn = threading.Event()  # never set: what a handler waits for stands for a call to somewhere

    def handle(body: str) -> None:
        started.emit(int(body))
        turn.wait(0.004)

    for url in weights:
        app.queue(bench.name(url), str).handler(handle)
    with hadoken.Worker(app, connection=bench.connection, wait_time=1):
        facts = started.wait(720)
        for url in weights:
            bench.wait_empty(url)
    shares = Counter(facts[:600])  # all three still have messages: they would run out together, at 720
    for weight in (3, 2, 1):
        assert 90 * weight <= shares[weight] <= 110 * weight, shares
    assert Counter(facts) == {3: 360, 2: 240, 1: 120}


def test_parity_19_an_empty_neighbour_delays_nobody(app: hadoken.App, fake_sqs: FakeSQS, worker: StartWorker) -> None:
    """Ten messages pass through one queue, one after the other, within a single long poll of an empty one."""
    bodies: list[str] = []
    busy, empty = app.queue("busy", str), app.queue("empty", str)
    busy.handler(bodies.append)
    empty.handler(bodies.append)
    work = worker(app)
    for n in range(10):
        busy.send(f"m{n}")
        work.drain()
    assert bodies == [f"m{n}" for n in range(10)]
    assert fake_sqs.calls("ReceiveMessage").empty == 0, "the neighbour's poll is still the first"
    assert work.snapshot().pools["default"].open_polls == 2
    assert fake_sqs.calls("ReceiveMessage").requests == 10 + 2, "one for each message, and the two that wait"
    assert fake_sqs.held("busy") == fake_sqs.held("empty") == (0, 0, 0)
