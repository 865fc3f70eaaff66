"""One pool stepped by hand: the ways of standard messages, leases, time limits."""

from __future__ import annotations

import pytest

from hadoken.errors import SQSError, SQSUnavailable
from hadoken.outcome import Kind, Verdict
from hadoken.pipeline.acknowledger import LINGER, LONGEST_RETRY, Operation
from hadoken.pipeline.inflight import State
from hadoken.sqs.api import BatchAnswer, ChangeVisibilityBatch, DeleteBatch, Received, SentBatch
from hadoken.worker.snapshot import PoolSnapshot
from tests.unit.pipeline.making import DENIED, LEASE_LOST, NOW, TRANSIENT, message, queue
from tests.unit.worker.bench import RETRY, Bench

DEAD = "http://sqs.local/000000000000/dead"


@pytest.fixture
def bench() -> Bench:
    """Two threads on one standard queue with a dead-letter queue."""
    return Bench(queue(dead_letter_url=DEAD, max_receive_count=3))


def test_a_message_goes_all_the_way(bench: Bench) -> None:
    """Received, run, deleted; then nothing of it is left and the counters tell it."""
    (poll,) = bench.polls()
    assert (poll.request.max_messages, poll.request.wait_time, poll.request.visibility_timeout) == (10, 20, 30)
    bench.receive(message("m1"))
    bench.run("m1")
    assert bench.pool.table.settling == 1
    bench.turn(LINGER)
    (batch,) = bench.batches()
    assert batch.request == DeleteBatch(bench.pool.pollers[0].queue.url, ["m1#1"])
    assert len(bench.pool.table) == 1
    bench.answer(batch)
    bench.check_empty()
    counts = bench.pool.counts["orders"]
    assert (counts.received, counts.acked, counts.deleted, counts.failed) == (1, 1, 1, 0)


def test_the_handler_gets_attempt_and_lease(bench: Bench) -> None:
    """The context tells the attempt, whether it is the last, and what is left of the lease."""
    bench.receive(message("m1", receives=3))
    slot = bench.hands.take()
    assert slot is not None
    assert (bench.hands.ctx(slot).attempt, bench.hands.ctx(slot).is_last_attempt, bench.hands.ctx(slot).time_left) == (
        3,
        True,
        28,
    )


@pytest.mark.parametrize(
    ("verdict", "counter", "operation"),
    [
        (Verdict(Kind.ACK), "acked", Operation.DELETE),
        (RETRY, "retried", Operation.CHANGE),
        (Verdict(Kind.RELEASE), "released", Operation.CHANGE),
        (Verdict(Kind.DEAD_LETTER, reason="bad"), "dead_lettered", Operation.COPY),
        (Verdict(Kind.DISCARD, reason="old"), "discarded", Operation.DELETE),
    ],
)
def test_each_outcome_is_told_and_counted(bench: Bench, verdict: Verdict, counter: str, operation: Operation) -> None:
    """Every kind of outcome has one counter and one operation."""
    bench.receive(message("m1"))
    bench.run("m1", verdict)
    bench.turn(LINGER)
    assert [batch.operation for batch in bench.batches()] == [operation]
    bench.answer_all()
    bench.turn(LINGER)
    bench.answer_all()
    bench.check_empty()
    counts = bench.pool.counts["orders"]
    assert {
        name for name in ("acked", "retried", "released", "dead_lettered", "discarded") if getattr(counts, name)
    } == {counter}
    assert counts.failed == verdict.failed


def test_a_retry_of_a_standard_message_is_a_visibility_change(bench: Bench) -> None:
    """The wait counts from the outcome, and a last attempt is left to SQS's own redrive."""
    bench.receive(message("m1", receives=3))
    bench.run("m1", RETRY)
    bench.turn(LINGER)
    (batch,) = bench.batches()
    assert batch.request == ChangeVisibilityBatch(batch.queue.url, [("m1#3", 5)])


def test_without_a_dead_letter_queue_a_dead_letter_is_retried_late(caplog: pytest.LogCaptureFixture) -> None:
    """It is said loudly, and the message is not lost."""
    bench = Bench(queue())
    bench.receive(message("m1"))
    bench.run("m1", Verdict(Kind.DEAD_LETTER, reason="bad", failed=True))
    bench.turn(LINGER)
    (batch,) = bench.batches()
    assert batch.request == ChangeVisibilityBatch(batch.queue.url, [("m1#1", int(LONGEST_RETRY))])
    assert "should be dead-lettered (bad), but no dead-letter queue takes it; retried in 900 s" in caplog.text


def test_places_bound_what_is_received(bench: Bench) -> None:
    """Twelve places: ten at once, then no more than fit, and none while there are not ten free for a busy queue."""
    bench.receive(*(message(f"m{n}") for n in range(10)))
    assert bench.polls() == []
    for n in range(7):
        bench.run(f"m{n}")
        assert bench.polls() == []
    bench.run("m7")
    (poll,) = bench.polls()
    assert poll.request.max_messages == 10
    assert bench.pool.table.active + poll.poller.granted == bench.pool.places.total


def test_an_outcome_that_comes_during_a_turn_is_not_missed(bench: Bench) -> None:
    """A turn looks again when so many outcomes have come as it wants, for nobody would announce them any more."""
    bench.receive(message("m1"), message("m2"))
    bench.hands.take_all()
    flush = bench.pool.acknowledger.flush_due

    def finish_meanwhile(now: float, *, everything: bool = False) -> list[object]:
        if bench.running():
            bench.hands.finish(bench.hands.busy[0])
        return list(flush(now, everything=everything))

    bench.pool.acknowledger.flush_due = finish_meanwhile  # type: ignore[method-assign,assignment] -- the moment in between
    bench.turn()
    assert bench.pool.table.settling >= 1


def test_a_refused_copy_is_retried_late(bench: Bench) -> None:
    """The original goes back for a quarter of an hour, until SQS's own redrive takes it."""
    bench.receive(message("m1"))
    bench.run("m1", Verdict(Kind.DEAD_LETTER, reason="bad", failed=True))
    bench.turn(LINGER)
    bench.answer(bench.batches()[0], {0: DENIED})
    bench.turn(LINGER)
    (batch,) = bench.batches()
    assert batch.request == ChangeVisibilityBatch(batch.queue.url, [("m1#1", int(LONGEST_RETRY))])
    bench.answer_all()
    bench.check_empty()


# ---- failures of calls -----------------------------------------------------------------------------------------------


def test_a_failed_poll_backs_off_and_goes_on(bench: Bench) -> None:
    """A receive that failed is tried again after its back-off, and the pool says when."""
    bench.fail(bench.polls()[0], SQSUnavailable("no answer", transient=True))
    assert bench.polls() == []
    due = bench.pool.next_due()
    assert due is not None
    assert NOW + 1 <= due <= NOW + 2
    bench.turn(2)
    assert len(bench.polls()) == 1


def test_a_poll_that_waits_for_places_is_no_deadline() -> None:
    """When its back-off ends while there is no place, the pool sleeps until an event frees one: it does not spin."""
    slow = {"visibility_timeout": 3_600, "time_limit": None}
    bench = Bench(queue("a", **slow), queue("b", **slow), lookahead=12)
    bench.receive(message("a0"), queue="a")
    bench.receive(message("b0"), queue="b")
    bench.receive(queue="a")
    failing = next(poll for poll in bench.polls() if poll.poller.queue.name == "b")
    bench.fail(failing, SQSUnavailable("no answer", transient=True))
    bench.receive(message("a1"), queue="a")
    bench.receive(*(message(f"c{n}") for n in range(10)), queue="a")
    bench.turn(2)
    assert bench.polls() == []
    assert bench.pool.next_due() == NOW + 1_800  # half of the leases
    for _ in range(9):
        bench.hands.take_all()
        bench.finish(bench.running()[0])
    assert [poll.poller for poll in bench.polls()] == [failing.poller]


def test_a_whole_batch_that_fails_is_tried_again(bench: Bench) -> None:
    """Every entry of it goes on by itself."""
    bench.receive(message("m1"), message("m2"))
    bench.hands.take_all()
    bench.finish("m1")
    bench.finish("m2")
    bench.turn(LINGER)
    bench.fail(bench.batches()[0], SQSUnavailable("no answer", transient=True))
    assert bench.pool.table.settling == 2
    bench.turn(0.2)
    (batch,) = bench.batches()
    assert len(batch.records) == 2
    bench.answer_all()
    bench.check_empty()


def test_a_batch_refused_for_good_is_given_up(bench: Bench) -> None:
    """An answer that no try can mend ends the settling; the message is remembered as handled."""
    bench.receive(message("m1"))
    bench.run("m1")
    bench.turn(LINGER)
    bench.fail(bench.batches()[0], SQSError("our bug", code="InvalidBatchEntryId"))
    bench.check_empty()
    assert bench.pool.counts["orders"].deleted == 0
    bench.receive(message("m1", receives=2))
    assert bench.hands.take() is None


def test_answers_of_the_wrong_kind_are_a_bug(bench: Bench) -> None:
    """They are refused by name, so that the engine fails loudly."""
    (poll,) = bench.polls()
    with pytest.raises(TypeError, match="a receive was answered by BatchAnswer"):
        bench.pool.answered(poll, BatchAnswer(), bench.now)
    bench.receive(message("m1"))
    bench.turn(15)
    with pytest.raises(TypeError, match="a batch was answered by Received"):
        bench.pool.answered(bench.extensions()[0], Received([]), bench.now)


# ---- leases ----------------------------------------------------------------------------------------------------------


def test_leases_are_extended_in_every_state(bench: Bench) -> None:
    """Received and not started, running, and settling: all are extended at half of the lease (I4)."""
    bench.receive(*(message(f"m{n}") for n in range(3)))
    bench.hands.take_all()
    bench.finish("m0")
    bench.turn(LINGER)
    bench.answer(bench.batches()[0], {0: TRANSIENT})
    bench.turn(15 - LINGER)
    (extension,) = bench.extensions()
    assert [r.state for r in extension.records] == [State.SETTLING, State.ACTIVE, State.ACTIVE]
    ctx = bench.hands.ctx(bench.hands.of("m1"))
    assert ctx.time_left == 13
    bench.answer(extension)
    assert ctx.time_left == 28
    assert bench.pool.counts["orders"].extensions == 3


def test_a_handler_asks_for_more(bench: Bench) -> None:
    """`ctx.extend` goes out with the next turn, and `time_left` follows the answer."""
    bench.receive(message("m1"))
    slot = bench.hands.take()
    assert slot is not None
    bench.hands.ctx(slot).extend(600)
    bench.turn()
    assert bench.extensions()[0].seconds == [600]
    bench.answer(bench.extensions()[0])
    assert bench.hands.ctx(slot).time_left == 598
    bench.finish("m1")
    bench.turn(LINGER)
    bench.answer_all()
    bench.check_empty()
    slot_after = bench.pool.counts["orders"]
    assert (slot_after.extended, slot_after.extensions) == (1, 1)
    bench.pool.extend(1, 600)  # its ticket is gone
    assert bench.pool.keeper.next_due() is None


def test_a_lapse_is_told_to_the_handler_and_counted(bench: Bench) -> None:
    """With SQS silent the lease ends: the handler hears it, and no visibility change is sent any more (I4)."""
    bench.receive(message("m1"))
    bench.hands.take()
    bench.turn(15)
    bench.turn(13)
    ctx = bench.hands.ctx(bench.hands.of("m1"))
    assert ctx.lease_lost
    assert bench.pool.counts["orders"].lost == 1
    bench.finish("m1", RETRY)
    assert bench.batches() == []
    bench.answer_all()
    bench.check_empty()


def test_after_a_lapse_an_ack_is_one_late_delete(bench: Bench) -> None:
    """It is tried once, and the message that comes back is deleted unrun, for its handler had ended."""
    bench.receive(message("m1"))
    bench.hands.take()
    bench.turn(15)
    bench.turn(13)
    bench.finish("m1")
    bench.turn(LINGER)
    (batch,) = bench.batches()
    bench.answer(batch)
    assert bench.pool.counts["orders"].deleted == 0
    bench.receive(message("m1", receives=2))
    assert bench.hands.take() is None
    bench.turn(LINGER)
    assert bench.batches()[0].request == DeleteBatch(batch.queue.url, ["m1#2"])
    bench.answer_all()
    bench.check_empty()
    assert len(bench.hands.started) == 1
    assert bench.pool.counts["orders"].lost == 1


def test_a_lapsed_message_that_no_thread_took_is_not_started(bench: Bench) -> None:
    """It is withdrawn, comes back without a verdict and leaves; another worker may have it (I4)."""
    bench.receive(*(message(f"m{n}") for n in range(3)))
    bench.hands.take_all()
    bench.turn(15)
    bench.turn(13)
    bench.finish("m0")
    assert bench.hands.take() is None
    bench.turn()
    assert [name for _, name in bench.hands.started] == ["m0", "m1"]
    assert {r.message.message_id for r in bench.pool.table.records.values()} == {"m0", "m1"}
    counts = bench.pool.counts["orders"]
    assert (counts.lost, counts.unstarted) == (3, 1)


@pytest.mark.parametrize("draining", [False, True])
def test_a_withdrawn_message_that_is_ours_again_is_run(bench: Bench, draining: bool) -> None:
    """Its lease had lapsed and it was received anew before a thread came to it: it is run once, not given back."""
    bench.receive(message("m0"), message("m1"), message("m2"))
    bench.hands.take_all()
    bench.turn(15)
    bench.turn(13)
    bench.receive(message("m2", receives=2))
    if draining:
        bench.finish("m1")
    bench.finish("m0")
    assert bench.hands.take() is None
    if draining:
        bench.pool.drain()
    bench.turn()
    assert bench.hands.take() is not None
    assert "m2" in bench.running()
    assert [name for _, name in bench.hands.started].count("m2") == 1
    assert bench.pool.counts["orders"].unstarted == 0


def test_a_copy_that_the_answer_does_not_name_is_not_confirmed(bench: Bench) -> None:
    """Its original is not deleted; the copy is sent again."""
    bench.receive(message("m1"))
    bench.run("m1", Verdict(Kind.DEAD_LETTER, reason="bad"))
    bench.turn(LINGER)
    (copy,) = bench.batches(Operation.COPY)
    bench.open.remove(copy)
    bench.pool.answered(copy, SentBatch({}), bench.now)
    bench.turn(1)
    assert [batch.operation for batch in bench.batches()] == [Operation.COPY]


def test_sqs_says_the_lease_is_lost(bench: Bench) -> None:
    """An extension refused as no longer ours is a lapse like any other."""
    bench.receive(message("m1"))
    bench.hands.take()
    bench.turn(15)
    bench.answer(bench.extensions()[0], {0: LEASE_LOST})
    ctx = bench.hands.ctx(bench.hands.of("m1"))
    assert ctx.lease_lost
    assert bench.pool.counts["orders"].extensions == 0


@pytest.mark.parametrize("verdict", [Verdict(Kind.ACK), RETRY], ids=["ack", "retry"])
def test_an_outcome_refused_as_lost_is_counted_once(bench: Bench, verdict: Verdict) -> None:
    """The record leaves, and the lease is counted as lost."""
    bench.receive(message("m1"))
    bench.run("m1", verdict)
    bench.turn(LINGER)
    bench.answer(bench.batches()[0], {0: LEASE_LOST})
    bench.check_empty()
    assert bench.pool.counts["orders"].lost == 1


@pytest.mark.parametrize(
    "verdict", [Verdict(Kind.ACK), RETRY, Verdict(Kind.DEAD_LETTER, reason="bad")], ids=["ack", "retry", "dead letter"]
)
def test_a_lapse_while_settling_is_counted_once(bench: Bench, verdict: Verdict) -> None:
    """The lapse counts; that the delete or change then fails as well is not a second one."""
    bench.receive(message("m1"))
    bench.run("m1", verdict)
    bench.turn(LINGER)
    for _ in range(60):
        for call in bench.batches():
            bench.answer(call, {0: TRANSIENT})
        for extension in bench.extensions():
            bench.answer(extension, {0: DENIED})
        bench.turn(1)
    bench.check_empty()
    assert bench.pool.counts["orders"].lost == 1


def test_a_message_received_again_while_it_runs_is_not_run_twice(bench: Bench) -> None:
    """Its newest handle is adopted, the lease begins anew, and one delete with it ends both."""
    bench.receive(message("m1"))
    bench.hands.take()
    bench.turn(15)
    bench.turn(13)
    bench.receive(message("m1", receives=2))
    assert bench.hands.take() is None
    assert bench.pool.counts["orders"].again == 1
    assert not bench.record("m1").lost
    bench.finish("m1")
    bench.turn(LINGER)
    assert bench.batches()[0].request == DeleteBatch(bench.pool.pollers[0].queue.url, ["m1#2"])
    bench.answer_all()
    bench.check_empty()


def test_the_same_message_twice_in_one_receive_is_one(bench: Bench) -> None:
    """The later handle wins, the keeper holds one lease, and it is run once."""
    bench.receive(message("m1"), message("m1", receives=2), message("m2"))
    assert len(bench.pool.table) == bench.pool.keeper.members == 2
    assert len(bench.hands.take_all()) == 2
    bench.finish("m1")
    bench.finish("m2")
    bench.turn(LINGER)
    assert bench.batches()[0].request == DeleteBatch(bench.pool.pollers[0].queue.url, ["m1#2", "m2#1"])
    bench.answer_all()
    bench.check_empty()


@pytest.mark.parametrize("on_the_wire", [True, False], ids=["on the wire", "to be sent again"])
def test_a_message_given_back_that_comes_again_is_a_new_one(bench: Bench, on_the_wire: bool) -> None:
    """That it can be received proves the change was applied: it is run again, and the lost answer is not waited for."""
    bench.receive(message("m1"))
    bench.run("m1", Verdict(Kind.RELEASE))
    bench.turn(LINGER)
    (batch,) = bench.batches()
    if not on_the_wire:
        bench.answer(batch, {0: TRANSIENT})
    bench.receive(message("m1", receives=2))
    assert bench.hands.take() is not None
    bench.answer_all()
    bench.turn(10)
    assert bench.batches() == []
    bench.finish("m1")
    bench.turn(LINGER)
    bench.answer_all()
    bench.check_empty()
    assert len(bench.hands.started) == 2


# ---- time limits -----------------------------------------------------------------------------------------------------


def test_a_handler_over_its_time_limit_is_told_and_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """Its lease is extended no more, the handler hears it, its slot stays taken; its end is the end of it."""
    bench = Bench(queue(time_limit=20))
    bench.receive(message("m1"))
    bench.hands.take()
    bench.turn(15)
    bench.answer_all()
    assert bench.pool.next_due() == NOW + 20
    bench.turn(5)
    ctx = bench.hands.ctx(bench.hands.of("m1"))
    assert ctx.cancelled
    assert bench.pool.hung == 1
    assert "handler handlers.orders (hadoken-default-1) has run message m1 for 20 s, its limit is 20 s" in caplog.text
    bench.turn(10)
    assert bench.extensions() == []
    bench.turn(13)
    assert ctx.lease_lost
    bench.finish("m1", RETRY)
    assert not bench.pool.hung
    bench.check_empty()
    assert bench.pool.counts["orders"].overrun == 1


def test_time_limits_are_looked_at_when_the_next_can_end() -> None:
    """Not at every turn: each check sets the time of the next, and none is set while nothing runs."""
    bench = Bench(queue(time_limit=100, visibility_timeout=3_600))
    bench.receive(*(message(f"m{n}") for n in range(3)))
    bench.hands.take()
    bench.turn(40)
    bench.hands.take()
    bench.turn(60)
    assert bench.pool.hung == 1
    assert bench.pool.next_due() == NOW + 140
    bench.finish("m1")
    bench.turn(40)
    assert bench.pool.next_due() == NOW + 240  # m2 waits for a thread: its run may begin at any moment
    bench.hands.take()
    bench.finish("m2")
    bench.turn(100)
    assert bench.pool._limits.next_look() is None


def test_a_handler_without_limit_runs_on() -> None:
    """None is no limit, also beside a queue that has one."""
    bench = Bench(queue("a", time_limit=None), queue("b", time_limit=10))
    bench.receive(message("m1"), queue="a")
    bench.hands.take()
    bench.turn(10)
    assert not bench.pool.hung
    bench.turn(1)
    assert len(bench.extensions()) == 0
    assert bench.pool.counts["a"].overrun == 0


def test_a_snapshot_is_plain_numbers(bench: Bench) -> None:
    """It tells the classes of what is held, leases, open polls and counters."""
    bench.receive(message("m1"), message("m2"))
    bench.run("m1")
    snapshot = PoolSnapshot.of(bench.pool)
    assert (snapshot.in_flight, snapshot.active, snapshot.waiting, snapshot.settling) == (2, 1, 0, 1)
    assert (snapshot.leases, snapshot.open_polls, snapshot.groups) == (2, 1, 0)
    assert snapshot.counts["orders"]["received"] == 2
