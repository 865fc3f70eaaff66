"""What becomes of messages whose handlers fail: retried when the policy says so, dead-lettered when they should be."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

import hadoken
from hadoken import limits
from hadoken.testing import DrivenWorker, FakeSQS, StartWorker


class Hopeless(Exception):
    """A failure that no retry can mend."""


class StillHopeless(Hopeless):
    """A special case of it."""


def test_parity_26_fails_twice_then_works(fake_sqs: FakeSQS, worker: StartWorker) -> None:
    """A handler that fails twice sees receive counts 1, 2, 3, and then the message is gone."""
    app = hadoken.App("t")
    queue = app.queue("q", str)

    @queue.handler(retry=hadoken.fixed(0))
    def handle(body: str, ctx: hadoken.Context) -> None:
        if ctx.attempt < 3:
            raise RuntimeError(body)

    work = worker(app, raise_errors=False)
    ids = queue.send_many(["a", "b", "c"])
    work.drain()
    for id_ in ids:
        mine = [run for run in work.runs if run.message.id == id_]
        assert [(run.message.receive_count, run.attempt) for run in mine] == [(1, 1), (2, 2), (3, 3)]
        assert [event.count for event in fake_sqs.events("q", "received") if event.id == id_] == [1, 2, 3]
    assert sorted(fake_sqs.deleted("q")) == sorted(ids)
    counts = work.snapshot().counts["q"]
    assert (counts["failed"], counts["retried"], counts["acked"], counts["lost"]) == (6, 6, 3, 0)


def test_parity_27_intervals_are_respected(fake_sqs: FakeSQS, worker: StartWorker) -> None:
    """A list of intervals sets the wait after each attempt, and no attempt comes earlier than that."""
    app = hadoken.App("t")
    queue = app.queue("q", str)

    @queue.handler(retry=[10, 200])
    def handle(body: str, ctx: hadoken.Context) -> None:
        if ctx.attempt < 4:
            raise RuntimeError(body)

    work = worker(app, raise_errors=False)
    queue.send("a")
    work.advance("1h")
    waits = [after.at - before.at for before, after in itertools.pairwise(work.runs)]
    assert waits == pytest.approx([10, 200, 200], abs=0.2), "and a linger"
    assert [wait >= wanted for wait, wanted in zip(waits, [10, 200, 200], strict=True)] == [True] * 3
    assert [event.timeout for event in fake_sqs.events("q", "visibility changed")] == [10, 200, 200]


def test_parity_27_waits_fit_what_sqs_allows(fake_sqs: FakeSQS, worker: StartWorker) -> None:
    """A wait beyond what is left of the 12 h since the receive is shortened to it; none is refused or negative."""
    app = hadoken.App("t")
    queue = app.queue("q", str)
    waits = {"policy": 43_200.0, "longer": 60_000.0, "day": 86_400.0, "zero": 0.0}

    @queue.handler(retry=hadoken.fixed(43_200))
    def handle(body: str, ctx: hadoken.Context) -> None:
        if body == "policy":
            raise RuntimeError(body)
        if ctx.attempt == 1:
            raise hadoken.Retry(after=waits[body])

    work = worker(app, raise_errors=False)
    ids = dict(zip(waits, queue.send_many(list(waits)), strict=True))
    work.drain()
    changed = {event.id: event for event in fake_sqs.events("q", "visibility changed")}
    received = {event.id: event for event in fake_sqs.events("q", "received") if event.count == 1}
    assert len(changed) == 4
    assert changed[ids["zero"]].timeout == 0
    for id_ in (ids[body] for body in ("policy", "longer", "day")):
        assert limits.VISIBILITY_TOTAL - 60 < changed[id_].timeout <= limits.VISIBILITY_TOTAL
        assert changed[id_].at + changed[id_].timeout <= received[id_].at + limits.VISIBILITY_TOTAL
    assert fake_sqs.calls("ChangeMessageVisibilityBatch").failed == 0
    assert fake_sqs.deleted("q") == [ids["zero"]]
    assert sorted(run.body for run in work.advance("12h")) == ["day", "longer", "policy"], "and then it comes back"


@pytest.mark.parametrize(
    "non_retryable",
    [Hopeless, (Hopeless, KeyError), lambda error: isinstance(error, Hopeless)],
    ids=["class", "classes", "predicate"],
)
def test_parity_28_non_retryable(
    fake_sqs: FakeSQS, worker: StartWorker, non_retryable: type[Hopeless] | tuple[type[Exception], ...]
) -> None:
    """A non-retryable failure takes one attempt to the dead-letter queue, the key kept; others are retried."""
    app = hadoken.App("t")
    queue = app.queue("q", str)
    failures = {"hopeless": Hopeless, "special": StillHopeless, "retried": RuntimeError}

    @queue.handler(non_retryable=non_retryable, retry=hadoken.fixed(0))
    def handle(body: str, ctx: hadoken.Context) -> None:
        if ctx.attempt == 1:
            raise failures[body]("no way")

    work = worker(app, raise_errors=False)
    hopeless, special, retried = queue.send_many(["hopeless", "special", "retried"])
    work.drain()
    assert fake_sqs.receives("q") == {hopeless: 1, special: 1, retried: 2}
    assert reasons(work, queue) == {
        hopeless: ("hopeless", "Hopeless: no way"),
        special: ("special", "StillHopeless: no way"),
    }
    counts = work.snapshot().counts["q"]
    assert (counts["dead_lettered"], counts["retried"], counts["acked"]) == (2, 1, 1)
    assert not fake_sqs.events("q", "moved"), "SQS itself moved none"
    # A copy is there before its message goes: a crash between the two costs a duplicate, never a message.
    events = fake_sqs.queues.log.since()
    copied = [at for at, event in enumerate(events) if (event.queue, event.what) == ("q-dlq", "sent")]
    gone = [at for at, event in enumerate(events) if event.what == "deleted" and event.id in (hopeless, special)]
    assert len(copied) == len(gone) == 2
    assert max(copied) < min(gone)


def test_parity_29_non_retryable_wins_over_intervals(fake_sqs: FakeSQS, worker: StartWorker) -> None:
    """Where both would apply, a non-retryable failure is not retried."""
    app = hadoken.App("t")
    queue = app.queue("q", str)

    @queue.handler(retry=[0, 0, 0], non_retryable=Hopeless)
    def handle(body: str) -> None:
        raise Hopeless(body)

    work = worker(app, raise_errors=False)
    id_ = queue.send("a")
    assert len(work.drain()) == 1
    assert fake_sqs.receives("q") == {id_: 1}
    assert reasons(work, queue) == {id_: ("a", "Hopeless: a")}
    assert work.advance("1h") == []


def test_parity_30_error_hook(fake_sqs: FakeSQS, worker: StartWorker) -> None:
    """An error hook gets the exception, the queue and the message of each failure, and the message is still retried."""
    app = hadoken.App("t")
    queue = app.queue("q", str)
    told: list[tuple[str, str, str, str, int]] = []

    @app.on_error
    def broken(error: BaseException, queue: str, message: hadoken.Message[object]) -> None:
        raise OSError("the hook's own trouble")

    @app.on_error
    def note(error: BaseException, queue: str, message: hadoken.Message[object]) -> None:
        told.append((repr(error), queue, message.id, str(message.body), message.receive_count))

    @queue.handler(retry=hadoken.fixed(0))
    def handle(body: str, ctx: hadoken.Context) -> None:
        if ctx.attempt < 3:
            raise RuntimeError(f"attempt {ctx.attempt}")

    work = worker(app, raise_errors=False)
    id_ = queue.send("a")
    work.drain()
    assert told == [(f"RuntimeError('attempt {n}')", "q", id_, "a", n) for n in (1, 2)]
    assert fake_sqs.receives("q") == {id_: 3}
    assert fake_sqs.deleted("q") == [id_]


def test_parity_31_max_receive_count(fake_sqs: FakeSQS, worker: StartWorker) -> None:
    """With a maxReceiveCount of 2 a message is started twice, told that the second is its last, then moved by SQS."""
    app = hadoken.App("t")
    queue = app.queue("q", str)
    last: list[tuple[int, bool]] = []

    @queue.handler(retry=hadoken.fixed(30))
    def handle(body: str, ctx: hadoken.Context) -> None:
        last.append((ctx.attempt, ctx.is_last_attempt))
        raise RuntimeError(body)

    fake_sqs.provide(app, max_receives=2)
    work = worker(app, raise_errors=False)
    ids = queue.send_many(["a", "b", "c"])
    work.advance("1h")
    assert Counter(last) == {(1, False): 3, (2, True): 3}
    assert fake_sqs.receives("q") == dict.fromkeys(ids, 2)
    assert {event.id for event in fake_sqs.events("q", "moved")} == set(ids)
    assert not fake_sqs.deleted("q")
    assert sorted(letter.body for letter in work.dead_letters(queue)) == ["a", "b", "c"]


def reasons(work: DrivenWorker, queue: hadoken.Queue[str]) -> dict[str, tuple[str, str | bytes]]:
    """Key -> (body, reason) of what lies in the dead-letter queue."""
    return {one.key: (one.body, one.attributes["hadoken-reason"]) for one in work.dead_letters(queue)}
