"""How many handlers run at once, whose messages come first, and who waits for whom."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import hadoken
from tests.support.journal import ENDED, STARTED, Journal
from tests.support.signals import TestSignal
from tests.support.waiting import GLOBAL, wait_until
from tests.support.worker import Bench


class Crowd:
    """Counts how many are inside at once.

    Attributes:
        peak: the most there ever were.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the two numbers; never held while calling out
        self._inside = 0
        self.peak = 0

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Be one of them for the length of a block."""
        with self._lock:
            self._inside += 1
            self.peak = max(self.peak, self._inside)
        yield
        with self._lock:
            self._inside -= 1


def test_parity_15_never_above_the_limit(bench: Bench, journal: Journal) -> None:
    """Of 10 messages exactly as many run at once as there are handler threads, and each runs once."""
    url = bench.queue()
    ids = bench.send_many(url, [f"m{n}" for n in range(10)])
    app = hadoken.App("t")
    crowd, release = Crowd(), threading.Event()

    @app.handler(bench.name(url))
    def handle(body: str, ctx: hadoken.Context) -> None:
        with journal.run(ctx), crowd.inside():
            assert release.wait(GLOBAL)

    with hadoken.Worker(app, connection=bench.connection, wait_time=1, concurrency=4) as worker:
        journal.wait(4, STARTED)
        bench.wait_told(url, "received", 10)  # all are here: a fifth could start if anything let it
        assert worker.snapshot().in_flight == 10
        assert len(journal.lines(STARTED)) == 4
        release.set()
        journal.wait(10, ENDED)
        bench.wait_empty(url)
    assert crowd.peak == 4
    assert {line.thread for line in journal.lines(STARTED)} == {f"hadoken-default-{n}" for n in range(1, 5)}
    assert bench.receives(url) == Counter(ids)


def test_parity_16_busy_is_exact_after_failures(bench: Bench, journal: Journal) -> None:
    """Handlers, hooks and policies that raise, of every kind, leave no place taken: all threads run afterwards."""
    url = bench.queue()
    kinds = ["error", "exit", "interrupt", "retry", "release", "wrong", "group"] * 4
    ids = bench.send_many(url, kinds)
    app = hadoken.App("t")
    crowd, release = Crowd(), threading.Event()

    @app.on_error
    def broken(error: BaseException, queue: str, message: hadoken.Message[object]) -> None:
        raise OSError("the hook's own trouble")

    def policy(attempt: int) -> float:
        raise LookupError("the policy's own trouble")

    @app.handler(bench.name(url), retry=policy)
    def handle(body: str, ctx: hadoken.Context) -> object:
        with journal.run(ctx):
            return fail(body) if body in kinds and ctx.attempt == 1 else stay()

    def stay() -> None:
        with crowd.inside():
            assert release.wait(GLOBAL)

    with hadoken.Worker(app, connection=bench.connection, wait_time=1, concurrency=6) as worker:
        journal.wait(len(kinds), STARTED)
        assert wait_until(lambda: worker.snapshot().counts[bench.name(url)]["received"] >= len(kinds))
        bench.send_many(url, ["stay"] * 6)
        assert wait_until(lambda: crowd.peak == 6), crowd.peak
        held = worker.snapshot().pools["default"]
        assert held.in_flight == held.active + held.waiting + held.settling
        assert held.leases == held.in_flight
        release.set()
        assert wait_until(lambda: worker.snapshot().in_flight == 0)
    assert crowd.peak == 6
    assert set(ids) <= set(bench.receives(url))


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


def test_parity_17_messages_come_in_batches(bench: Bench) -> None:
    """Five waiting messages come in one receive."""
    url = bench.queue()
    bench.send_many(url, [f"m{n}" for n in range(5)])
    app = hadoken.App("t")
    bodies = TestSignal[str]("bodies")
    app.queue(bench.name(url), str).handler(bodies.emit)
    with hadoken.Worker(app, connection=bench.connection, wait_time=1):
        assert sorted(bodies.wait(5)) == [f"m{n}" for n in range(5)]
        bench.wait_empty(url)
    assert bench.requests("ReceiveMessage") - bench.requests("ReceiveMessage", "empty") == 1
    assert bench.requests("ReceiveMessage", "entries") == 5
    assert bench.requests("DeleteMessageBatch") <= 2
    assert bench.requests("DeleteMessageBatch", "entries") == 5


def test_parity_18_pools(bench: Bench, journal: Journal) -> None:
    """Two pools serve their five messages each, on threads of their own; a pool of one is strictly sequential."""
    wide, narrow = bench.queue(), bench.queue()
    ids = bench.send_many(wide, [f"wide {n}" for n in range(5)]) + bench.send_many(
        narrow, [f"one {n}" for n in range(5)]
    )
    app = hadoken.App("t")
    app.pool("wide", concurrency=5)
    app.pool("one", concurrency=1, queues={bench.name(narrow): 1})
    together = threading.Barrier(5)

    @app.handler(bench.name(wide), pool="wide")
    def on_wide(body: str, ctx: hadoken.Context) -> None:
        with journal.run(ctx):
            together.wait(GLOBAL)

    @app.handler(bench.name(narrow))
    def on_narrow(body: str, ctx: hadoken.Context) -> None:
        with journal.run(ctx):
            pass

    with hadoken.Worker(app, connection=bench.connection, wait_time=1) as worker:
        journal.wait(10, ENDED)
        bench.wait_empty(wide)
        bench.wait_empty(narrow)
        assert set(worker.snapshot().pools) == {"wide", "one"}
    runs = journal.runs()
    assert {start.thread for start, _ in runs if start.body.startswith("wide")} == {
        f"hadoken-wide-{n}" for n in range(1, 6)
    }
    sequential = [(start, end) for start, end in runs if start.body.startswith("one")]
    assert {start.thread for start, _ in sequential} == {"hadoken-one-1"}
    assert all(after[0].at >= before[1].at for before, after in pairwise(sequential))
    assert sorted(start.id for start, _ in runs) == sorted(ids)


def test_parity_19_shares_follow_the_weights(bench: Bench) -> None:
    """While three queues with weights 3, 2 and 1 have messages, each gets its share within 10 %; all are served."""
    weights = {bench.queue(): weight for weight in (3, 2, 1)}
    for url, weight in weights.items():
        bench.send_many(url, [str(weight)] * 120 * weight)
    app = hadoken.App("t")
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


def test_parity_19_an_empty_neighbour_delays_nobody(bench: Bench) -> None:
    """Ten messages pass through one queue, one after the other, within a single long poll of an empty one."""
    busy, empty = bench.queue(), bench.queue()
    app = hadoken.App("t")
    bodies = TestSignal[str]("bodies")
    queue = app.queue(bench.name(busy), str)
    queue.handler(bodies.emit)
    app.queue(bench.name(empty), str).handler(bodies.emit)
    with hadoken.Worker(app, connection=bench.connection, wait_time=20) as worker:
        for n in range(1, 11):
            queue.send(f"m{n}")
            bodies.wait(n)
        assert bench.requests("ReceiveMessage", "empty") == 0, "the neighbour's poll is still the first"
        assert wait_until(lambda: worker.snapshot().pools["default"].open_polls == 2)
        worker.drain()
        bench.send_many(busy, ["last"])  # ends the open polls, so that nobody waits for 20 s
        bench.send_many(empty, ["last"])
        bodies.wait(12)
    assert bodies.facts[:10] == [f"m{n}" for n in range(1, 11)]
    assert bench.counts(busy) == bench.counts(empty) == (0, 0, 0)
