"""A worker that a test drives: it runs when told, time moves when told, and nothing happens between two calls."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest

import hadoken
from hadoken.pipeline.executor import Executor, Finished
from hadoken.testing import DrivenWorker, FakeSQS, Rule, StartWorker, worker
from hadoken.testing.waiting import wait_until
from hadoken.worker.pool import Pool
from tests.support.waiting import GLOBAL

QUICK = 0.05  # seconds of patience with handlers that wait for the test


def bodies(work: DrivenWorker) -> list[object]:
    """The bodies of all runs so far."""
    return [run.body for run in work.runs]


def test_nothing_runs_before_it_is_told(app: hadoken.App, fake_sqs: FakeSQS) -> None:
    """What is sent waits for `drain`, which runs it, deletes it and says so."""
    orders = app.queue("orders", dict)
    seen: list[object] = []
    orders.handler(seen.append)
    with worker(app, sqs=fake_sqs) as work:
        orders.send({"id": 1})
        assert not seen
        (run,) = work.drain()
        assert (run.queue, run.body, run.attempt, type(run.outcome)) == ("orders", {"id": 1}, 1, hadoken.Ack)
        assert seen == [{"id": 1}]
        assert len(fake_sqs.queues.named("orders")) == 0
        assert work.drain() == []


def test_the_end_of_the_block_drains(app: hadoken.App) -> None:
    """What was sent and never driven is run when the block ends."""
    orders = app.queue("orders", str)
    seen: list[str] = []
    orders.handler(seen.append)
    with worker(app):
        orders.send_many([f"m{n}" for n in range(25)])
    assert sorted(seen) == sorted(f"m{n}" for n in range(25))


def test_an_outcome_that_nobody_announces_holds_nothing_up(
    app: hadoken.App, fake_sqs: FakeSQS, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where handler threads leave the engine to look by itself, `advance` comes to its end all the same.

    They do so while the engine has a timer soon; with one outcome left like that, time never moved to the timer.
    """
    orders = app.queue("orders", str)
    release = threading.Event()
    monkeypatch.setattr(Executor, "_bring_back", lambda executor, finished: executor._outcomes.append(finished))

    @orders.handler(retry=hadoken.fixed(30))
    def handle(body: str, ctx: hadoken.Context) -> None:
        if body == "long":
            assert release.wait(GLOBAL)
        if ctx.attempt == 1:
            raise hadoken.Retry

    with worker(app, sqs=fake_sqs, concurrency=3, patience=QUICK) as work:
        orders.send_many(["long", "short"])
        assert [run.attempt for run in work.advance("31s")] == [1, 2]
        assert len(fake_sqs.deleted("orders")) == 1
        monkeypatch.undo()  # the last outcome of all is always announced
        release.set()
        work.advance("31s")
        assert bodies(work) == ["short", "short", "long", "long"]


def test_an_outcome_that_comes_after_the_look_is_taken_in_a_drain(
    app: hadoken.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler thread that could leave its outcome lying calls all the same, where no timer will make anybody look.

    Time does not move under a handler that runs, so here it would wait for ever for the message behind that outcome.
    """
    orders = app.queue("orders.fifo", str)
    second_began = threading.Event()
    monkeypatch.setattr(Pool, "_enough", lambda _pool, _now: 10)  # as under load
    monkeypatch.setattr(Executor, "_bring_back", bring_back_with_more_to_do)

    @orders.handler
    def handle(body: str) -> None:
        if body == "waits":
            assert second_began.wait(GLOBAL)
        elif body == "first":
            assert not second_began.wait(0.1)  # for the engine to come to rest
        else:
            second_began.set()

    with worker(app, concurrency=3) as work:  # all three come with the first receive
        orders.send("waits", message_group_id="a", deduplication_id="0")
        for body in ("first", "second"):
            orders.send(body, message_group_id="b", deduplication_id=body)
        assert sorted(str(run.body) for run in work.drain()) == ["first", "second", "waits"]


def bring_back_with_more_to_do(executor: Executor, finished: Finished) -> None:
    """Bring an outcome back as a thread does that has seen another message to handle."""
    executor._outcomes.append(finished)
    if len(executor._outcomes) >= executor._wanted:
        executor._signalled = True
        executor._wake()


def test_handlers_run_in_the_threads_of_the_pool(app: hadoken.App) -> None:
    """The handler threads are the real ones, as many as the pool has, and they end with the block."""
    orders = app.queue("orders", str)
    together = threading.Barrier(4)
    names: set[str] = set()

    @orders.handler
    def handle(body: str) -> None:
        together.wait(GLOBAL)
        names.add(threading.current_thread().name)

    with worker(app, concurrency=4) as work:
        orders.send_many(["a", "b", "c", "d"])
        work.drain()
    assert names == {f"hadoken-default-{n}" for n in (1, 2, 3, 4)}
    assert wait_until(lambda: not any(t.name.startswith("hadoken-") for t in threading.enumerate()), GLOBAL)


def test_what_handlers_send_goes_to_the_same_place(app: hadoken.App, worker: StartWorker) -> None:
    """A chain of queues is run to its end by one `drain`, an included module's too; `sent` shows each link."""
    module = hadoken.Handlers()
    mails = module.queue("mails", dict)
    orders = app.queue("orders", int)
    app.include(module)

    @orders.handler
    def order(number: int) -> None:
        mails.send({"order": number}, attributes={"kind": "receipt"})

    @mails.handler
    def mail(letter: dict[str, int]) -> None:
        if letter["order"] < 3:
            orders.send(letter["order"] + 1, delay=0)

    work = worker(app)
    orders.send(1)
    work.drain()
    assert [one.body for one in work.sent(orders)] == [1, 2, 3]
    assert [one.body["order"] for one in work.sent(mail)] == [1, 2, 3]
    assert [one.body for one in work.sent("orders")] == [1, 2, 3]
    assert {(one.queue, one.attributes["kind"]) for one in work.sent(mails)} == {("mails", "receipt")}


def test_after_the_block_an_app_sends_where_it_did(app: hadoken.App, fake_sqs: FakeSQS) -> None:
    """The way of an app's senders is put back, also where the block failed."""
    orders = app.queue("orders", str)
    orders.handler(lambda body: None)
    other = FakeSQS()
    app.connect(other.door)
    other.provide(app)

    def block() -> None:
        with worker(app, sqs=fake_sqs):
            orders.send("in")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        block()
    orders.send("out")
    assert [one.entry.body for one in fake_sqs.sent] == ["in"]
    assert [one.entry.body for one in other.sent] == ["out"]


def test_a_delay_passes_when_told(app: hadoken.App, worker: StartWorker) -> None:
    """`drain` does not wait for a delayed message; `advance` brings it to the second."""
    orders = app.queue("orders", str)
    orders.handler(lambda body: None)
    work = worker(app)
    orders.send("late", delay=31)
    assert work.drain() == []
    assert work.advance("30s") == []
    assert [run.body for run in work.advance(timedelta(seconds=1))] == ["late"]


def test_back_off_passes_when_told(app: hadoken.App, worker: StartWorker) -> None:
    """Each retry comes after its wait, neither sooner nor by itself."""
    orders = app.queue("orders", str)

    @orders.handler(retry=[10, 60])
    def handle(body: str, ctx: hadoken.Context) -> None:
        if ctx.attempt < 3:
            raise ConnectionError(body)

    work = worker(app, raise_errors=False)
    orders.send("a")
    assert [run.attempt for run in work.drain()] == [1]
    assert work.advance(9) == []
    assert [run.attempt for run in work.advance(1)] == [2]
    assert work.advance("59s") == []
    (last,) = work.advance("1s")
    assert (last.attempt, type(last.outcome), last.error) == (3, hadoken.Ack, None)
    assert [str(error) for error in work.errors] == ["a", "a"]


def test_a_retry_of_nothing_is_no_back_off(app: hadoken.App, worker: StartWorker) -> None:
    """A retry without a wait is due at once, so `drain` goes on with it."""
    orders = app.queue("orders", str)

    @orders.handler
    def handle(body: str, ctx: hadoken.Context) -> hadoken.Outcome | None:
        return hadoken.Retry(after=0) if ctx.attempt < 3 else None

    work = worker(app)
    orders.send("a")
    assert [run.attempt for run in work.drain()] == [1, 2, 3]


def test_a_fifo_head_is_retried_in_place(app: hadoken.App, worker: StartWorker, fake_sqs: FakeSQS) -> None:
    """A failed head holds its group, with its receive count, until its back-off is over; other groups go on."""
    orders = app.queue("orders.fifo", str)

    @orders.handler(retry=hadoken.fixed(20))
    def handle(body: str, ctx: hadoken.Context) -> None:
        if body == "a1" and ctx.attempt == 1:
            raise ConnectionError

    work = worker(app, raise_errors=False)
    for body in ("a1", "a2", "b1", "b2"):
        orders.send(body, message_group_id=body[0])
    assert sorted(run.body for run in work.drain()) == ["a1", "b1", "b2"]
    assert work.advance("19s") == []
    assert [(run.body, run.message.receive_count, run.attempt) for run in work.advance("1s")] == [
        ("a1", 1, 2),
        ("a2", 1, 1),
    ]
    assert len(fake_sqs.queues.named("orders.fifo")) == 0


def test_out_of_attempts_is_a_dead_letter(app: hadoken.App, worker: StartWorker) -> None:
    """After five receives SQS moves a message to the dead-letter queue; `advance` passes all waits."""
    orders = app.queue("orders", dict)

    @orders.handler(retry=hadoken.fixed(60))
    def handle(body: dict[str, int], ctx: hadoken.Context) -> None:
        raise ConnectionError

    work = worker(app, raise_errors=False)
    orders.send({"id": 7}, attributes={"tenant": "t"})
    assert len(work.drain()) == 1
    assert len(work.advance("1h")) == 4
    (letter,) = work.dead_letters(orders)
    assert (letter.body, letter.attributes, letter.receive_count) == ({"id": 7}, {"tenant": "t"}, 5)
    assert [each.id for each in work.dead_letters("orders")] == [each.id for each in work.dead_letters(handle)]


def test_a_dead_letter_says_why(app: hadoken.App, worker: StartWorker) -> None:
    """A copy that a handler asked for carries its reason and its key, on a FIFO queue too; it stays where it is."""
    queues = [app.queue("orders", str), app.queue("orders.fifo", str)]

    def handle(body: str) -> hadoken.DeadLetter:
        return hadoken.DeadLetter("no such customer")

    for queue in queues:
        queue.handler(handle)
    work = worker(app)
    ids = [queues[0].send("a"), queues[1].send("a", message_group_id="g")]
    work.drain()
    for queue, id_ in zip(queues, ids, strict=True):
        (letter,) = work.dead_letters(queue)
        assert (letter.body, letter.key, letter.attributes["hadoken-reason"]) == ("a", id_, "no such customer")
        assert [each.id for each in work.dead_letters(queue)] == [letter.id]


def test_leases_are_extended_under_a_handler_that_waits(
    app: hadoken.App, worker: StartWorker, fake_sqs: FakeSQS
) -> None:
    """Time moves on under a handler that waits for the test; the keeper keeps its message, which runs once."""
    orders = app.queue("orders", str)
    release = threading.Event()
    left: list[float] = []

    @orders.handler(visibility_timeout=30)
    def handle(body: str, ctx: hadoken.Context) -> None:
        assert release.wait(GLOBAL)
        left.append(ctx.time_left)

    work = worker(app, patience=QUICK)
    orders.send("long")
    assert work.advance("10m") == []
    assert work.snapshot().in_flight == 1
    release.set()
    assert len(work.drain()) == 1
    events = [event.what for event in fake_sqs.queues.log.since()]
    assert events.count("received") == 1
    assert events.count("visibility changed") >= 19, "every 15 s or so, but for what a filled batch takes along"
    assert "expired" not in events
    assert 0 < left[0] <= 30


def test_a_time_limit_goes_by_virtual_time(app: hadoken.App, worker: StartWorker) -> None:
    """A handler over its time limit is cancelled when virtual time says so, and its lease is let go."""
    orders = app.queue("orders", str)
    cancelled = threading.Event()

    @orders.handler(time_limit=60)
    def handle(body: str, ctx: hadoken.Context) -> None:
        pause = threading.Event()
        while not ctx.cancelled:
            assert not pause.wait(0.001)
        cancelled.set()

    work = worker(app, patience=QUICK)
    orders.send("slow")
    work.advance("59s")
    assert not cancelled.is_set()
    work.advance("1s")
    assert cancelled.wait(GLOBAL)
    assert work.snapshot().counts["orders"]["overrun"] == 1
    work.drain()
    assert len(work.runs) == 1


def test_retention_ends_what_nobody_takes(app: hadoken.App, worker: StartWorker, fake_sqs: FakeSQS) -> None:
    """Four days later a message that never became visible to a handler is gone."""
    fake_sqs.create_queue("orders", {"MessageRetentionPeriod": "60"})
    orders = app.queue("orders", str)
    orders.handler(lambda body: None)
    work = worker(app)
    orders.send("late", delay=100)
    work.advance("61s")
    assert work.advance("1d") == []
    assert len(fake_sqs.queues.named("orders")) == 0


def test_a_queue_of_ones_own_is_left_as_it_is(app: hadoken.App, fake_sqs: FakeSQS) -> None:
    """A queue created before keeps its attributes; those that are missing are made, each with a dead-letter queue."""
    fake_sqs.create_queue("orders", {"VisibilityTimeout": "7"})
    app.queue("orders", str).handler(lambda body: None)
    app.queue("mails.fifo", str)
    with worker(app, sqs=fake_sqs) as work:
        assert {queue.name for queue in fake_sqs.queues} == {"orders", "mails.fifo", "mails-dlq.fifo"}
        assert fake_sqs.queues.named("orders").settings.visibility == 7
        with pytest.raises(hadoken.ConfigurationError, match="orders has no dead-letter queue"):
            work.dead_letters("orders")
        with pytest.raises(hadoken.ConfigurationError, match=r"no queue ordres .*orders, mails.fifo"):
            work.sent("ordres")


def test_each_message_twice(app: hadoken.App, worker: StartWorker) -> None:
    """`redeliver` shows a handler that cannot take the same message twice, with the same id and key."""
    orders = app.queue("orders", int)
    paid: list[int] = []
    orders.handler(paid.append)
    work = worker(app)
    ids = orders.send_many([1, 2])
    again = work.redeliver()
    assert sorted(paid) == [1, 1, 2, 2]
    assert sorted(run.message.id for run in again) == sorted(ids)
    assert {run.message.receive_count for run in again} == {2}
    assert work.redeliver() == [], "twice in all"
    assert work.drain() == []


def test_each_fifo_message_twice_in_order(app: hadoken.App, worker: StartWorker) -> None:
    """Second deliveries of a group come in the order of the first."""
    orders = app.queue("orders.fifo", int)
    seen: list[int] = []
    orders.handler(seen.append)
    work = worker(app)
    for n in range(5):
        orders.send(n, message_group_id="g")
    work.redeliver()
    assert seen == [0, 1, 2, 3, 4] * 2


def test_a_second_delivery_that_fails_is_raised(app: hadoken.App, worker: StartWorker) -> None:
    """The error of a handler that is not idempotent comes up in the test."""
    orders = app.queue("orders", int)
    seen: set[int] = set()

    @orders.handler
    def handle(number: int) -> None:
        if number in seen:
            raise ValueError(f"{number} is paid already")
        seen.add(number)

    work = worker(app)
    orders.send(7)
    work.drain()
    with pytest.raises(ValueError, match="7 is paid already"):
        work.redeliver()


def test_workers_one_after_the_other(app: hadoken.App, fake_sqs: FakeSQS) -> None:
    """What the first worker left, a second one on the same local SQS takes up; two at once are refused."""
    orders = app.queue("orders", str)
    orders.handler(lambda body: None)
    with worker(app, sqs=fake_sqs) as work:
        orders.send("later", delay=60)
        with pytest.raises(hadoken.LifecycleError, match="another worker runs"), worker(app, sqs=fake_sqs):
            raise AssertionError("not reached")
    with pytest.raises(hadoken.LifecycleError, match="has ended"):
        work.drain()
    fake_sqs.advance(60)
    with worker(app, sqs=fake_sqs) as work:
        assert [run.body for run in work.drain()] == ["later"]


def test_a_clock_moved_by_the_local_sqs_moves_the_worker(
    app: hadoken.App, worker: StartWorker, fake_sqs: FakeSQS
) -> None:
    """`fake_sqs.advance` with a worker on it is the worker's."""
    orders = app.queue("orders", str)
    orders.handler(lambda body: None)
    work = worker(app)
    orders.send("late", delay=60)
    fake_sqs.advance(60)
    assert bodies(work) == ["late"]


@pytest.mark.parametrize(
    ("span", "says"),
    [
        ("31x", r"'31x' is no span of time .*31s"),
        ("", "no span of time"),
        ("s", "no span of time"),
        ("1h 30", "no span of time"),
        (-1, "time moves forwards"),
        (float("nan"), "time moves forwards"),
        (float("inf"), "time moves forwards"),
        (timedelta(seconds=-1), "time moves forwards"),
    ],
)
def test_a_span_that_is_none(app: hadoken.App, worker: StartWorker, span: str | float | timedelta, says: str) -> None:
    """A wrong span is refused with what would be right, and time stands still."""
    app.queue("orders", str).handler(lambda body: None)
    work = worker(app)
    before = work.sqs.clock.lease()
    with pytest.raises(hadoken.InvalidOption, match=says):
        work.advance(span)
    assert work.sqs.clock.lease() == before


@pytest.mark.parametrize(("span", "seconds"), [("500ms", 0.5), ("31s", 31), ("1h30m", 5_400), ("4d", 345_600), (2, 2)])
def test_spans(app: hadoken.App, worker: StartWorker, span: str | float, seconds: float) -> None:
    """Time moves by exactly what was asked for when nothing had to be told to SQS."""
    app.queue("orders", str).handler(lambda body: None)
    work = worker(app)
    before = work.sqs.clock.lease()
    work.advance(span)
    assert work.sqs.clock.lease() == pytest.approx(before + seconds, abs=1e-3)


def test_an_app_without_handlers_is_refused(app: hadoken.App) -> None:
    """What a worker refuses, the kit refuses."""
    with pytest.raises(hadoken.ConfigurationError, match="app shop has no handler"):
        worker(app)


def test_another_sqs_is_refused(app: hadoken.App) -> None:
    """Only a local SQS in memory can be driven."""
    app.queue("orders", str).handler(lambda body: None)
    with pytest.raises(hadoken.ConfigurationError, match=r"sqs is str; .*take the fixture fake_sqs"):
        worker(app, sqs="http://127.0.0.1:9324")  # type: ignore[arg-type] # the point


ELSEWHERE = [
    "billing",
    "arn:aws:sqs:eu-west-1:123456789012:billing",
    "https://sqs.eu-west-1.amazonaws.com/123456789012/billing",
    "http://127.0.0.1:9324/queue/billing",
]


@pytest.mark.parametrize("address", ELSEWHERE)
def test_a_queue_mapped_elsewhere_is_here(
    app: hadoken.App, worker: StartWorker, fake_sqs: FakeSQS, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """A variable that leads to AWS leads to the queue of that name here, for all that a test does with it."""
    monkeypatch.setenv("HADOKEN_QUEUES__ORDERS", address)
    orders = app.queue("orders", str)

    @orders.handler
    def handle(body: str, ctx: hadoken.Context) -> hadoken.Outcome | None:
        return hadoken.DeadLetter("again") if ctx.message.receive_count > 1 else None

    work = worker(app)
    faults = work.faults(operation="DeleteMessageBatch", queue="billing", code="ServiceUnavailable", times=1)
    id_ = orders.send("a")
    (run,) = work.drain()
    assert (run.queue, run.message.id) == ("orders", id_)
    assert faults.fired == 1
    assert [each.queue for each in work.sent(handle)] == ["orders"]
    assert len(work.redeliver()) == 1
    assert [letter.body for letter in work.dead_letters(orders)] == ["a"]
    assert [event.id for event in fake_sqs.events("billing", "sent")] == [id_]


def test_two_queues_mapped_to_one_name_are_refused(app: hadoken.App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Queues that differ by account or region alone cannot be told apart here; no thread is left."""
    monkeypatch.setenv("HADOKEN_QUEUES__ORDERS", "arn:aws:sqs:eu-west-1:123456789012:both")
    monkeypatch.setenv("HADOKEN_QUEUES__MAILS", "arn:aws:sqs:us-east-1:123456789012:both")
    for name in ("orders", "mails"):
        app.queue(name, str).handler(lambda body: None)
    says = "mails is mapped to .*us-east-1.*unset HADOKEN_QUEUES__MAILS"
    with pytest.raises(hadoken.ConfigurationError, match=says), worker(app):
        raise AssertionError("not reached")


def test_a_queue_whose_handler_is_left_out_can_be_sent_to(app: hadoken.App, worker: StartWorker) -> None:
    """A worker of one queue alone tests its handler; what that sends to others stays there and is seen."""
    orders, mails = app.queue("orders", str), app.queue("mails", str)
    mails.handler(lambda body: None)

    @orders.handler
    def order(body: str) -> None:
        mails.send(body)

    work = worker(app, queues=["orders"])
    orders.send("a")
    work.drain()
    assert [sent.body for sent in work.sent(mails)] == ["a"]
    assert [run.queue for run in work.runs] == ["orders"]


def test_it_can_be_driven_from_an_async_test(app: hadoken.App, worker: StartWorker) -> None:
    """Its loop is its own, so a running loop of the test is no obstacle."""
    orders = app.queue("orders", str)
    orders.handler(lambda body: None)

    async def main() -> list[object]:
        work = worker(app)
        orders.send("a")
        return [run.body for run in work.drain()]

    assert asyncio.run(main()) == ["a"]


def test_a_handler_cannot_drive(app: hadoken.App, worker: StartWorker) -> None:
    """A handler that drains would wait for itself; it is told so at once."""
    orders = app.queue("orders", str)
    orders.handler(lambda body: work.drain())
    work = worker(app)
    orders.send("a")
    with pytest.raises(hadoken.LifecycleError, match="would wait for itself"):
        work.drain()


def test_two_threads_cannot_drive_at_once(app: hadoken.App, worker: StartWorker) -> None:
    """A call during another one is refused at once, and the other one goes on."""
    orders = app.queue("orders", str)
    begun, release = threading.Event(), threading.Event()

    @orders.handler
    def handle(body: str) -> None:
        begun.set()
        assert release.wait(GLOBAL)

    work = worker(app)
    orders.send("a")
    first = threading.Thread(target=work.drain)
    first.start()
    assert begun.wait(GLOBAL)
    with pytest.raises(hadoken.LifecycleError, match="while another call is under way"):
        work.drain()
    release.set()
    first.join(GLOBAL)
    assert bodies(work) == ["a"]


def test_a_handler_that_is_told_to_end_can(app: hadoken.App, worker: StartWorker, fake_sqs: FakeSQS) -> None:
    """Time stands still until a handler has done what it does when it is cancelled: its outcome counts."""
    orders = app.queue("orders", str)

    @orders.handler(time_limit=60, visibility_timeout=30, retry=hadoken.fixed(300))
    def handle(body: str, ctx: hadoken.Context) -> None:
        pause = threading.Event()
        while not ctx.cancelled:
            assert not pause.wait(0.001)
        raise TimeoutError

    work = worker(app, raise_errors=False)
    orders.send("slow")
    (run,) = work.advance("5m")
    assert (run.attempt, repr(run.outcome)) == (1, "Retry(after=300, reason='TimeoutError')")
    assert [event.at - run.at for event in fake_sqs.events("orders", "received")] == [0]
    assert [again.attempt for again in work.advance("3m")] == [2]


def test_waits_for_an_sqs_that_fails_are_their_bounds(app: hadoken.App, fake_sqs: FakeSQS) -> None:
    """The engine's own waits are the same in each run, too: 2 s at the start, then 0.2 s, 0.4 s, 0.8 s for a delete."""
    faults = fake_sqs.faults
    faults.add(Rule(operation="GetQueueUrl", code="ServiceUnavailable", times=1))
    faults.add(Rule(operation="DeleteMessageBatch", code="ServiceUnavailable", times=3))
    orders = app.queue("orders", str)
    orders.handler(lambda body: None)
    began = fake_sqs.clock.lease()
    with worker(app, sqs=fake_sqs) as work:
        orders.send("a")
        (run,) = work.drain()
        assert run.at - began == pytest.approx(2, abs=1e-3)
        (deleted,) = fake_sqs.events("orders", "deleted")
        assert deleted.at - run.at == pytest.approx(0.1 + 0.2 + 0.4 + 0.8, abs=1e-3), "the first is the batch's"


def test_several_pools(app: hadoken.App, worker: StartWorker) -> None:
    """Each pool has its threads; one whose handlers all wait does not keep the other from going on."""
    app.pool("slow", concurrency=1, queues={"reports": 1})
    reports, orders = app.queue("reports", str), app.queue("orders", str)
    release = threading.Event()
    names: list[str] = []

    @reports.handler
    def report(body: str) -> None:
        assert release.wait(GLOBAL)

    @orders.handler
    def order(body: str) -> None:
        names.append(threading.current_thread().name)

    work = worker(app, patience=QUICK)
    reports.send_many(["a", "b"])
    orders.send_many(["c", "d"], delay=5)
    assert sorted(run.body for run in work.advance("5s")) == ["c", "d"]
    release.set()
    assert [run.body for run in work.drain()] == ["a", "b"]
    assert all(name.startswith("hadoken-default-") for name in names)


def test_deduplication_ends_after_five_minutes(app: hadoken.App, worker: StartWorker) -> None:
    """The same deduplication id is one message within five minutes of virtual time, and a second one after them."""
    orders = app.queue("orders.fifo", str)
    orders.handler(lambda body: None)
    work = worker(app)

    def send() -> None:
        orders.send("a", message_group_id="g", deduplication_id="d")

    send()
    work.advance("4m59s")
    send()
    assert work.drain() == []
    work.advance("1s")
    send()
    assert len(work.drain()) == 1


def test_jitter_is_its_bound(app: hadoken.App, worker: StartWorker) -> None:
    """A back-off with jitter comes after its longest wait, each time; a source of one's own is asked."""
    orders = app.queue("orders", str)
    mails = app.queue("mails", str)

    def handle(body: str) -> None:
        raise ConnectionError

    orders.handler(handle)  # the default: exponential from 5 s, with full jitter
    mails.handler(retry=hadoken.exponential(40, random=lambda: 0.5))(handle)
    work = worker(app, raise_errors=False)
    orders.send("a")
    mails.send("b")
    waits = [run.outcome.after for run in work.drain() if isinstance(run.outcome, hadoken.Retry)]
    assert sorted(waits) == [5, 20]
    assert work.advance("4.8s") == []
    (second,) = work.advance("0.2s")
    assert isinstance(second.outcome, hadoken.Retry)
    assert second.outcome.after == 10


def test_a_handler_that_was_let_go_gets_its_patience_anew(app: hadoken.App, worker: StartWorker) -> None:
    """One that waited in a call and was let go since is waited for in the next, before time moves."""
    orders = app.queue("orders", str)
    release = threading.Event()

    @orders.handler(time_limit=60)
    def handle(body: str, ctx: hadoken.Context) -> None:
        assert release.wait(GLOBAL)

    work = worker(app, patience=0.3)
    orders.send("a")
    assert work.advance("30s") == []
    release.set()
    assert [run.body for run in work.advance("1h")] == ["a"]
    assert work.snapshot().counts["orders"]["overrun"] == 0
