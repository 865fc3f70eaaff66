"""One pool stepped by hand: what a review found wrong, each defect as the behaviour that was missing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hadoken import limits
from hadoken.clock import Clock, VirtualClock
from hadoken.errors import SQSThrottled, SQSUnavailable
from hadoken.local.inprocess import LocalSQS
from hadoken.message import Context
from hadoken.outcome import ACKED, Kind, Verdict
from hadoken.pipeline.acknowledger import LINGER, Operation
from hadoken.pipeline.inflight import State
from hadoken.pipeline.keeper import Extension
from hadoken.sqs.api import Receive, Received, ReceivedMessage, SendBatch, SendEntry, SentBatch
from tests.unit.pipeline.making import LEASE_LOST, NOW, TRANSIENT, message, queue
from tests.unit.worker.bench import RETRY, Bench

DEAD = "http://sqs.local/000000000000/dead"
WALL = 1_700_000_000  # seconds since 1970 at which the lease clock was zero
RELEASE = Verdict(Kind.RELEASE)
DEAD_LETTER = Verdict(Kind.DEAD_LETTER, reason="bad", failed=True)
NO_ANSWER = SQSUnavailable("no answer", code="ReadTimeoutError", transient=True)


def extend_all(bench: Bench, seconds: float) -> None:
    """Let so many seconds pass, every extension answered at once."""
    for _ in range(int(seconds)):
        bench.turn(1)
        for extension in bench.extensions():
            bench.answer(extension)


class Recording:
    """A handler for `Executor._handle`: it notes what it was given, and may do something first."""

    name = "handlers.orders"

    def __init__(self, first: Callable[[], object] = lambda: None) -> None:
        self.runs: list[Context] = []
        self._first = first

    def run(self, raw: ReceivedMessage, ctx: Context, clock: Clock) -> Verdict:
        """Handle one message."""
        self._first()
        self.runs.append(ctx)
        return ACKED


# ---- leases ----------------------------------------------------------------------------------------------------------


def test_a_handler_that_came_back_late_is_kept_again_for_its_next_try() -> None:
    """Over its time limit a FIFO head is not extended any more; once it has raised, its retry in place is."""
    bench = Bench(queue("orders.fifo", time_limit=60.0))
    bench.receive(message("a1", group="a"), message("a2", group="a"))
    bench.hands.take_all()
    extend_all(bench, 61)
    assert bench.hands.ctx(bench.hands.of("a1")).cancelled
    bench.finish("a1", RETRY)
    assert bench.record("a1") in bench.extensions()[0].records
    bench.answer(bench.extensions()[0])
    extend_all(bench, 6)
    bench.hands.take_all()
    assert bench.running() == ["a1"]
    extend_all(bench, 50)
    assert not bench.record("a1").lost
    assert not bench.hands.ctx(bench.hands.of("a1")).lease_lost
    bench.finish("a1")
    bench.answer_all()
    bench.run("a2")
    bench.turn(LINGER)
    bench.answer_all()
    bench.check_empty()
    assert [name for _, name in bench.hands.started] == ["a1", "a1", "a2"]
    assert bench.pool.counts["orders.fifo"].lost == 0


def late_extension(bench: Bench) -> Extension:
    """Hang an extension of a1 and a2 until both leases lapse, and receive a1 anew; returns the call, unanswered."""
    bench.receive(message("a1", group="a"), message("a2", group="a"))
    bench.hands.take_all()
    bench.turn(15)
    (late,) = bench.extensions()
    bench.turn(13)
    assert bench.record("a1").lost
    bench.receive(message("a1", group="a", receives=2))
    assert not bench.record("a1").lost
    return late


def test_a_refusal_of_an_old_handle_does_not_lose_the_new_lease() -> None:
    """The answer to an extension that was overtaken by a new receive says nothing about that one."""
    bench = Bench(queue("orders.fifo"), concurrency=1)
    late = late_extension(bench)
    end = bench.record("a1").lease_end
    bench.answer(late, {0: LEASE_LOST, 1: LEASE_LOST})
    assert (bench.record("a1").lost, bench.record("a1").lease_end) == (False, end)
    assert bench.pool.counts["orders.fifo"].lost == 2


def test_a_late_success_of_an_old_handle_does_not_move_the_new_lease() -> None:
    """What SQS did to the old handle is over, also if it was good."""
    bench = Bench(queue("orders.fifo"), concurrency=1)
    late = late_extension(bench)
    end = bench.record("a1").lease_end
    bench.answer(late)
    assert (bench.record("a1").lease_end, bench.record("a1").extensions) == (end, 0)
    bench.turn(15)
    (extension,) = bench.extensions()
    assert extension.request.entries == [("a1#2", 30)]


def test_a_clock_of_a_server_that_was_ahead_does_not_age_later_leases() -> None:
    """One Date an hour too late once cost every lease of the next receives; now all that is received is started."""
    bench = Bench(queue("orders", visibility_timeout=15))
    answer_dated(bench, WALL + bench.now + 3600)
    for n in range(5):
        bench.turn(16)
        answer_dated(bench, float(int(WALL + bench.now)), message(f"m{n}"))
        bench.run(f"m{n}")
        bench.turn(LINGER)
        bench.answer_all()
    counts = bench.pool.counts["orders"]
    assert (counts.acked, counts.deleted, counts.lost, counts.unstarted) == (5, 5, 0, 0)


def answer_dated(bench: Bench, date: float, *messages: ReceivedMessage) -> None:
    """Answer the open receive with a Date of the server's."""
    (poll,) = bench.polls()
    bench.open.remove(poll)
    bench.pool.answered(poll, Received(messages, date), bench.now)
    bench.turn()


# ---- order -----------------------------------------------------------------------------------------------------------


def withdrawn_head() -> Bench:
    """One busy thread; behind it a1, withdrawn since its extensions fail, and a2, kept; then a1 is received anew."""
    bench = Bench(queue("orders.fifo"), concurrency=1)
    bench.receive(message("z1", group="z"), message("a1", group="a"), message("a2", group="a"))
    bench.hands.take_all()
    while not bench.record("a1").lost:
        bench.turn(0.5)
        for extension in bench.extensions():
            names = [record.message.message_id for record in extension.records]
            bench.answer(extension, {at: TRANSIENT for at, name in enumerate(names) if name == "a1"})
        assert bench.now < NOW + 60
    bench.receive(message("a1", group="a", receives=2))
    assert not bench.record("a1").lost
    return bench


def test_a_withdrawn_head_that_is_received_again_runs_before_what_follows_it() -> None:
    """It never started and is ours again: it goes first, and nothing is given back."""
    bench = withdrawn_head()
    bench.finish("z1")
    bench.hands.take_all()
    bench.turn(LINGER)
    bench.hands.take_all()
    assert bench.running() == ["a1"]
    assert bench.batches(Operation.CHANGE) == []
    assert bench.pool.counts["orders.fifo"].unstarted == 0
    bench.finish("a1")
    bench.answer_all()
    bench.hands.take_all()
    assert [name for _, name in bench.hands.started] == ["z1", "a1", "a2"]


def test_a_withdrawn_head_that_is_received_again_in_a_drain_waits_for_its_place() -> None:
    """The drain starts it when the thread is idle, before what follows it."""
    bench = withdrawn_head()
    handed = bench.executor.take(bench.executor.slots[0])
    assert handed is not None
    bench.pool.drain()
    bench.finish("z1")
    handler = Recording()
    bench.executor._handlers = {"orders.fifo": handler}
    bench.executor._bring_back(bench.executor._handle(handed, bench.executor.slots[0]))
    bench.turn()
    assert handler.runs == []
    assert bench.record("a1").state is State.ACTIVE
    bench.hands.take_all()
    assert bench.running() == ["a1"]
    assert bench.pool.counts["orders.fifo"].unstarted == 0


# ---- dead letters ----------------------------------------------------------------------------------------------------


def test_copies_go_in_batches_that_sqs_accepts_by_size() -> None:
    """Ten copies of 150 kB are more than the 1 MiB of one batch: they go in two, in order, and all arrive."""
    bench = Bench(queue("orders", dead_letter_url=DEAD), concurrency=1)
    sqs = LocalSQS(clock=bench.clock)
    assert sqs.create_queue("dead") == DEAD
    bench.receive(*(message(f"m{n}", body="x" * 150_000) for n in range(10)))
    for n in range(10):
        bench.hands.take()
        bench.hands.finish(bench.hands.of(f"m{n}"), DEAD_LETTER)
    bench.turn()
    copied: list[str] = []
    while batches := bench.batches(Operation.COPY):
        for batch in batches:
            assert sum(len(entry.body) for entry in batch.request.entries) <= limits.BATCH_BYTES
            copied += [record.message.message_id for record in batch.records]
            bench.open.remove(batch)
            bench.pool.answered(batch, sqs.execute(batch.request), bench.now)
        bench.turn(LINGER)
    assert copied == [f"m{n}" for n in range(10)]
    bench.turn(LINGER)
    bench.answer_all()
    bench.check_empty()
    assert len(sqs.execute(Receive(DEAD, 10, 0, 30)).messages) == bench.pool.counts["orders"].deleted == 10


def test_a_copy_that_the_answer_does_not_name_is_sent_again_before_the_delete() -> None:
    """What is in neither list of a SendMessageBatch is not confirmed, so its original stays until it is (I1)."""
    bench = Bench(queue("orders", dead_letter_url=DEAD))
    bench.receive(message("m1"), message("m2"))
    for name in ("m1", "m2"):
        bench.run(name, DEAD_LETTER)
    bench.turn(LINGER)
    (copies,) = bench.batches(Operation.COPY)
    bench.open.remove(copies)
    bench.pool.answered(copies, SentBatch({0: "copy-1"}), bench.now)
    bench.turn(LINGER)
    assert [record.message.message_id for b in bench.batches(Operation.DELETE) for record in b.records] == ["m1"]
    for batch in bench.batches(Operation.DELETE):
        bench.answer(batch)
    bench.turn(2)  # longer than the first wait can be
    (again,) = bench.batches(Operation.COPY)
    assert [record.message.message_id for record in again.records] == ["m2"]
    bench.open.remove(again)
    bench.pool.answered(again, SentBatch({0: "copy-2"}), bench.now)
    bench.turn(LINGER)
    bench.answer_all()
    bench.check_empty()
    assert bench.pool.counts["orders"].deleted == 2


# ---- visibility changes that are not answered ------------------------------------------------------------------------


def test_a_release_that_was_not_answered_leaves_the_next_workers_lease_alone(caplog: pytest.LogCaptureFixture) -> None:
    """It may have been applied: a second one would make visible what another worker has meanwhile."""
    bench = Bench(queue("orders"), concurrency=1)
    sqs = LocalSQS(clock=bench.clock)
    url = sqs.create_queue("orders")
    sqs.execute(SendBatch(url, [SendEntry("x")]))
    (poll,) = bench.polls()
    bench.receive(*sqs.execute(poll.request).messages)
    (held,) = bench.pool.table.records.values()
    bench.pool.quiet()
    bench.run(held.message.message_id, RELEASE)
    bench.turn(LINGER)
    (change,) = bench.batches(Operation.CHANGE)
    sqs.execute(change.request)
    assert len(sqs.execute(Receive(url, 10, 0, 30)).messages) == 1, "another worker has it"
    bench.fail(change, NO_ANSWER)
    bench.turn(10)
    assert bench.batches() == []
    assert sqs.execute(Receive(url, 10, 0, 30)).messages == []
    assert bench.pool.counts["orders"].lost == 1
    assert "is lost (a visibility change was not answered)" in caplog.text
    bench.check_empty()


def retrying(bench: Bench) -> Operation:
    """Retry m1 in five seconds; its visibility change is on the wire."""
    bench.receive(message("m1"))
    bench.run("m1", RETRY)
    bench.turn(LINGER)
    (change,) = bench.batches()
    assert change.request.entries == [("m1#1", 5)]
    return change.operation


def test_a_retry_that_was_not_answered_is_sent_again_while_it_is_invisible_in_any_case() -> None:
    """Until its wait is over nobody else can get it, whether the first change was applied or not."""
    bench = Bench(queue("orders"), concurrency=1)
    assert retrying(bench) is Operation.CHANGE
    bench.clock.advance(1)
    bench.fail(bench.batches()[0], NO_ANSWER)
    bench.turn(0.2)
    (again,) = bench.batches()
    assert again.request.entries == [("m1#1", 4)]
    bench.answer_all()
    bench.check_empty()
    assert bench.pool.counts["orders"].lost == 0


def test_a_retry_that_was_not_answered_in_its_whole_wait_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    """By then another worker may have it: it is counted as lost, told, and not touched any more."""
    bench = Bench(queue("orders"), concurrency=1)
    retrying(bench)
    bench.clock.advance(5)
    bench.fail(bench.batches()[0], NO_ANSWER)
    assert bench.pool.counts["orders"].lost == 1
    assert "is lost (a visibility change was not answered)" in caplog.text
    bench.turn(10)
    assert bench.batches() == []
    bench.check_empty()


def test_a_throttled_release_is_sent_again() -> None:
    """A refusal is an answer: nothing was applied, and the message is ours as before."""
    bench = Bench(queue("orders"), concurrency=1)
    bench.receive(message("m1"))
    bench.run("m1", RELEASE)
    bench.turn(LINGER)
    bench.fail(bench.batches()[0], SQSThrottled("slow down", code="RequestThrottled", transient=True))
    bench.turn(0.2)
    (again,) = bench.batches()
    assert again.request.entries == [("m1#1", 0)]
    bench.answer_all()
    bench.check_empty()
    assert bench.pool.counts["orders"].lost == 0


def test_what_follows_a_head_whose_release_was_not_answered_is_given_back() -> None:
    """The head may run elsewhere by now, so what was received behind it must not run here before it."""
    bench = Bench(queue("orders.fifo"))
    bench.receive(message("a1", group="a"))
    bench.run("a1", RELEASE)
    bench.turn(LINGER)
    (change,) = bench.batches(Operation.CHANGE)
    bench.receive(message("a2", group="a"))
    bench.fail(change, NO_ANSWER)
    assert bench.hands.take() is None
    (back,) = bench.batches(Operation.CHANGE)
    assert back.request.entries == [("a2#1", 0)]
    bench.answer_all()
    bench.check_empty()


# ---- between a thread's taking and its start -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["orders", "orders.fifo"])
def test_what_a_thread_has_taken_and_not_begun_is_not_started_after_the_deadline(name: str) -> None:
    """Its release is under way, or its lease left to lapse: the thread looks once more before it starts."""
    bench = Bench(queue(name), concurrency=1)
    handler = Recording()
    bench.executor._handlers = {name: handler}
    bench.pool.drain()
    bench.receive(message("m1", group="a"))
    handed = bench.executor.take(bench.executor.slots[0])
    assert handed is not None
    assert bench.pool.abandon(bench.now) == []
    bench.turn()
    finished = bench.executor._handle(handed, bench.executor.slots[0])
    assert finished.verdict is None
    assert handler.runs == []
    bench.executor._bring_back(finished)
    bench.turn()
    bench.answer_all()
    bench.check_empty()


class Interrupted(VirtualClock):
    """A clock that lets something else happen while a thread asks it for the time."""

    def __init__(self, start: float) -> None:
        super().__init__(start)
        self.meanwhile: Callable[[], object] | None = None

    def lease(self) -> float:
        """Seconds of the lease clock; first what should happen meanwhile."""
        act, self.meanwhile = self.meanwhile, None
        if act is not None:
            act()
        return super().lease()


class Looked(set[int]):
    """Tickets that were withdrawn; something else happens just after a thread has looked into them."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        super().__init__()
        self.meanwhile = meanwhile

    def __contains__(self, ticket: object) -> bool:
        found = super().__contains__(ticket)
        self.meanwhile()
        return found


def lapse(bench: Bench) -> None:
    """What the engine does when the lease of everything has lapsed."""
    bench.clock.advance(29)
    bench.pool.turn(bench.now)


@pytest.mark.parametrize("moment", ["before it has said what it has", "just after its look", "in the handler"])
def test_a_lapse_between_taking_and_starting_is_not_missed(moment: str) -> None:
    """Whenever the lease lapses, the message is not started or its handler is told."""
    bench = Bench(queue("orders"), concurrency=1)
    clock = Interrupted(bench.now)
    bench.clock = bench.executor._clock = clock
    handler = Recording((lambda: lapse(bench)) if moment == "in the handler" else lambda: None)
    bench.executor._handlers = {"orders": handler}
    bench.receive(message("m1"))
    handed = bench.executor.take(bench.executor.slots[0])
    assert handed is not None
    if moment == "before it has said what it has":
        clock.meanwhile = lambda: lapse(bench)
    elif moment == "just after its look":
        bench.executor._withdrawn = Looked(lambda: lapse(bench))
    finished = bench.executor._handle(handed, bench.executor.slots[0])
    assert bench.record("m1").lost
    if moment == "before it has said what it has":
        assert (handler.runs, finished.verdict) == ([], None)
    else:
        assert [ctx.lease_lost for ctx in handler.runs] == [True]
    assert bench.executor.slots[0].running is None


# ---- waking the engine -----------------------------------------------------------------------------------------------


def test_outcomes_wake_the_engine_while_a_failed_delete_waits_long_for_its_next_try() -> None:
    """The next look of the acknowledger is seconds away, so each outcome must call the engine by itself."""
    bench = Bench(queue("orders"), concurrency=1)
    bench.receive(*(message(f"m{n}") for n in range(8)))
    bench.run("m0")
    bench.turn(LINGER)
    for _ in range(6):
        bench.answer(bench.batches()[0], {0: TRANSIENT})
        flush = bench.pool.acknowledger.next_flush()
        assert flush is not None
        bench.turn(flush - bench.now + 0.001)
    bench.answer(bench.batches()[0], {0: TRANSIENT})
    flush = bench.pool.acknowledger.next_flush()
    assert flush is not None
    assert flush > bench.now + LINGER
    before = bench.wakes
    bench.hands.take()
    bench.hands.finish(bench.hands.of("m1"))
    assert bench.hands.waiting, "the thread has more to do, so it does not call because it parks"
    assert bench.wakes == before + 1
