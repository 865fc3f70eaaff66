"""What becomes of messages whose handlers fail: retried when the policy says so, dead-lettered when they should be."""

from __future__ import annotations

from collections import Counter

import pytest

import hadoken
from hadoken import limits
from tests.support.journal import FAILED, STARTED, Journal
from tests.support.signals import TestSignal
from tests.support.waiting import wait_until
from tests.support.worker import Bench, Letterbox


class Hopeless(Exception):
    """A failure that no retry can mend."""


class StillHopeless(Hopeless):
    """A special case of it."""


def test_parity_26_fails_twice_then_works(bench: Bench, journal: Journal) -> None:
    """A handler that fails twice sees receive counts 1, 2, 3, and then the message is gone."""
    url = bench.queue()
    ids = bench.send_many(url, ["a", "b", "c"])
    app = hadoken.App("t")

    @app.handler(bench.name(url), retry=hadoken.fixed(0))
    def handle(body: str, ctx: hadoken.Context) -> None:
        with journal.run(ctx):
            if ctx.attempt < 3:
                raise RuntimeError(body)

    with hadoken.Worker(app, connection=bench.connection, wait_time=1) as worker:
        journal.wait(9, STARTED)
        bench.wait_empty(url)
        counts = worker.snapshot().counts[bench.name(url)]
    for id_ in ids:
        mine = [line for line in journal.lines(STARTED) if line.id == id_]
        assert [(line.count, line.attempt) for line in mine] == [(1, 1), (2, 2), (3, 3)]
        assert [event["count"] for event in bench.told(url, "received", id_)] == [1, 2, 3]
    assert sorted(bench.deleted(url)) == sorted(ids)
    assert (counts["failed"], counts["retried"], counts["acked"], counts["lost"]) == (6, 6, 3, 0)


def test_parity_27_intervals_are_respected(bench: Bench, journal: Journal) -> None:
    """A list of intervals sets the wait after each attempt, and no attempt comes earlier than that."""
    url = bench.queue()
    bench.send_many(url, ["a"])
    app = hadoken.App("t")

    @app.handler(bench.name(url), retry=[1, 2])
    def handle(body: str, ctx: hadoken.Context) -> None:
        with journal.run(ctx):
            if ctx.attempt < 4:
                raise RuntimeError(body)

    with hadoken.Worker(app, connection=bench.connection, wait_time=1):
        journal.wait(4, STARTED)
        bench.wait_empty(url)
    failed, started = journal.lines(FAILED), journal.lines(STARTED)
    waits = [start.at - end.at for end, start in zip(failed, started[1:], strict=True)]
    assert [wait >= wanted for wait, wanted in zip(waits, [1, 2, 2], strict=True)] == [True] * 3, waits
    assert [event["timeout"] for event in bench.told(url, "visibility changed")] == [1, 2, 2]


def test_parity_27_waits_fit_what_sqs_allows(bench: Bench) -> None:
    """A wait beyond what is left of the 12 h since the receive is shortened to it; none is refused or negative."""
    url = bench.queue()
    waits = {"policy": 43_200.0, "longer": 60_000.0, "day": 86_400.0, "zero": 0.0}
    ids = dict(zip(waits, bench.send_many(url, list(waits)), strict=True))
    app = hadoken.App("t")

    @app.handler(bench.name(url), retry=hadoken.fixed(43_200))
    def handle(body: str, ctx: hadoken.Context) -> None:
        if body == "policy":
            raise RuntimeError(body)
        if ctx.attempt == 1:
            raise hadoken.Retry(after=waits[body])

    with hadoken.Worker(app, connection=bench.connection, wait_time=1):
        bench.wait_told(url, "visibility changed", 4)
        bench.wait_told(url, "deleted", 1, ids["zero"])
    (zero,) = bench.told(url, "visibility changed", ids.pop("zero"))
    assert zero["timeout"] == 0
    for id_ in ids.values():
        (changed,) = bench.told(url, "visibility changed", id_)
        (received,) = bench.told(url, "received", id_)
        assert limits.VISIBILITY_TOTAL - 60 < changed["timeout"] <= limits.VISIBILITY_TOTAL
        assert changed["at"] + changed["timeout"] <= received["at"] + limits.VISIBILITY_TOTAL
    assert bench.requests("ChangeMessageVisibilityBatch", "failed") == 0


@pytest.mark.parametrize(
    "non_retryable",
    [Hopeless, (Hopeless, KeyError), lambda error: isinstance(error, Hopeless)],
    ids=["class", "classes", "predicate"],
)
def test_parity_28_non_retryable(
    bench: Bench, journal: Journal, non_retryable: type[Hopeless] | tuple[type[Exception], ...]
) -> None:
    """A non-retryable failure takes one attempt to the dead-letter queue, the key kept; others are retried."""
    box = bench.letterbox(5)
    hopeless, special, retried = bench.send_many(box.url, ["hopeless", "special", "retried"])
    app = hadoken.App("t")
    failures = {"hopeless": Hopeless, "special": StillHopeless, "retried": RuntimeError}

    @app.handler(bench.name(box.url), non_retryable=non_retryable, retry=hadoken.fixed(0))
    def handle(body: str, ctx: hadoken.Context) -> None:
        with journal.run(ctx):
            if ctx.attempt == 1:
                raise failures[body]("no way")

    with hadoken.Worker(app, connection=bench.connection, wait_time=1) as worker:
        bench.wait_told(box.dead, "sent", 2)
        bench.wait_empty(box.url)
        counts = worker.snapshot().counts[bench.name(box.url)]
    assert bench.receives(box.url) == {hopeless: 1, special: 1, retried: 2}
    assert dead_letters(bench, box) == {
        hopeless: ("hopeless", "Hopeless: no way"),
        special: ("special", "StillHopeless: no way"),
    }
    assert (counts["dead_lettered"], counts["retried"], counts["acked"]) == (2, 1, 1)
    assert not bench.told(box.url, "moved"), "SQS itself moved none"
    # A copy is there before its message goes: a crash between the two costs a duplicate, never a message.
    copied = [event["at"] for event in bench.told(box.dead, "sent")]
    gone = [event["at"] for event in bench.told(box.url, "deleted") if event["id"] != retried]
    assert [before <= after for before, after in zip(copied, gone, strict=True)] == [True, True]


def test_parity_29_non_retryable_wins_over_intervals(bench: Bench, journal: Journal) -> None:
    """Where both would apply, a non-retryable failure is not retried."""
    box = bench.letterbox(5)
    (id_,) = bench.send_many(box.url, ["a"])
    app = hadoken.App("t")

    @app.handler(bench.name(box.url), retry=[0, 0, 0], non_retryable=Hopeless)
    def handle(body: str, ctx: hadoken.Context) -> None:
        with journal.run(ctx):
            raise Hopeless(body)

    with hadoken.Worker(app, connection=bench.connection, wait_time=1):
        bench.wait_told(box.dead, "sent", 1)
        bench.wait_empty(box.url)
    assert len(journal.lines(STARTED)) == 1
    assert bench.receives(box.url) == {id_: 1}
    assert dead_letters(bench, box) == {id_: ("a", "Hopeless: a")}


def test_parity_30_error_hook(bench: Bench, journal: Journal) -> None:
    """An error hook gets the exception, the queue and the message of each failure, and the message is still retried."""
    url = bench.queue()
    (id_,) = bench.send_many(url, ["a"])
    app = hadoken.App("t")
    told = TestSignal[tuple[str, str, str, str, int]]("told")

    @app.on_error
    def broken(error: BaseException, queue: str, message: hadoken.Message[object]) -> None:
        raise OSError("the hook's own trouble")

    @app.on_error
    def note(error: BaseException, queue: str, message: hadoken.Message[object]) -> None:
        told.emit((repr(error), queue, message.id, str(message.body), message.receive_count))

    @app.handler(bench.name(url), retry=hadoken.fixed(0))
    def handle(body: str, ctx: hadoken.Context) -> None:
        with journal.run(ctx):
            if ctx.attempt < 3:
                raise RuntimeError(f"attempt {ctx.attempt}")

    with hadoken.Worker(app, connection=bench.connection, wait_time=1):
        journal.wait(3, STARTED)
        bench.wait_empty(url)
    assert told.facts == [(f"RuntimeError('attempt {n}')", bench.name(url), id_, "a", n) for n in (1, 2)]
    assert bench.receives(url) == {id_: 3}
    assert bench.deleted(url) == [id_]


def test_parity_31_max_receive_count(bench: Bench, journal: Journal) -> None:
    """With a maxReceiveCount of 2 a message is started twice, told that the second is its last, then moved by SQS."""
    box = bench.letterbox(2)
    ids = bench.send_many(box.url, ["a", "b", "c"])
    app = hadoken.App("t")
    last = TestSignal[tuple[int, bool]]("last")

    @app.handler(bench.name(box.url), retry=hadoken.fixed(0))
    def handle(body: str, ctx: hadoken.Context) -> None:
        last.emit((ctx.attempt, ctx.is_last_attempt))
        with journal.run(ctx):
            raise RuntimeError(body)

    with hadoken.Worker(app, connection=bench.connection, wait_time=1):
        bench.wait_told(box.url, "moved", 3)
        bench.wait_empty(box.url)
    assert Counter(last.facts) == {(1, False): 3, (2, True): 3}
    assert bench.receives(box.url) == dict.fromkeys(ids, 2)
    assert {line.id for line in journal.lines(STARTED)} == {e["id"] for e in bench.told(box.url, "moved")} == set(ids)
    assert not bench.deleted(box.url)
    assert sorted(bench.bodies(box.dead)) == ["a", "b", "c"]


def dead_letters(bench: Bench, box: Letterbox) -> dict[str, tuple[str, str]]:
    """Key -> (body, reason) of what lies in the dead-letter queue."""
    found: dict[str, tuple[str, str]] = {}

    def take() -> bool:
        for message in bench.receive(box.dead):
            attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
            found[attributes["hadoken-key"]] = (message["Body"], attributes["hadoken-reason"])
        return bench.counts(box.dead)[0] == 0

    assert wait_until(take)
    return found
