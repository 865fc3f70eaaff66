"""One pool stepped by hand: quiet, drain, and the deadline."""

from __future__ import annotations

import pytest

from hadoken.errors import SQSUnavailable
from hadoken.outcome import Kind, Verdict
from hadoken.pipeline.acknowledger import LINGER, Operation
from hadoken.sqs.api import ChangeVisibilityBatch
from tests.unit.pipeline.making import LEASE_LOST, TRANSIENT, message, queue
from tests.unit.worker.bench import RETRY, Bench


@pytest.fixture
def bench() -> Bench:
    """Two threads on one standard queue."""
    return Bench(queue())


@pytest.fixture
def fifo() -> Bench:
    """Two threads on one FIFO queue."""
    return Bench(queue("orders.fifo"))


def drain(bench: Bench) -> None:
    """Begin the drain and take the turn that does it."""
    bench.pool.drain()
    bench.turn()


def test_an_idle_pool_is_done_when_its_poll_is() -> None:
    """The open poll is awaited, and none follows it."""
    bench = Bench(queue())
    drain(bench)
    assert not bench.pool.idle
    bench.receive()
    assert bench.pool.idle
    assert bench.open == []


def test_a_poll_that_fails_at_the_drain_is_over_too() -> None:
    """No back-off follows."""
    bench = Bench(queue())
    drain(bench)
    bench.fail(bench.polls()[0], SQSUnavailable("no answer", transient=True))
    assert bench.pool.idle
    assert bench.pool.next_due() is None


def test_quiet_only_stops_receiving(bench: Bench) -> None:
    """What is held goes on as before."""
    bench.receive(message("m1"))
    bench.pool.quiet()
    bench.receive(message("m2"))
    assert bench.polls() == []
    bench.run("m1")
    bench.run("m2")
    bench.turn(LINGER)
    bench.answer_all()
    assert bench.pool.idle
    bench.check_empty()


def test_running_ones_finish_and_the_rest_is_given_back_last_to_first() -> None:
    """With no receive open, what no thread has taken is released; the others end as they like."""
    bench = Bench(queue(), lookahead=8)
    bench.receive(*(message(f"m{n}") for n in range(10)))
    bench.hands.take_all()
    assert bench.polls() == []
    drain(bench)
    (batch,) = bench.batches()
    assert batch.request == ChangeVisibilityBatch(batch.queue.url, [(f"m{n}#1", 0) for n in range(9, 1, -1)])
    bench.answer(batch)
    assert bench.running() == ["m0", "m1"]
    bench.finish("m0")
    bench.finish("m1", RETRY)
    bench.answer_all()
    assert bench.pool.idle
    bench.check_empty()
    assert bench.pool.counts["orders"].unstarted == 8


def test_what_an_open_poll_brings_is_started_while_threads_are_idle(bench: Bench) -> None:
    """Two idle threads take two of three; the third is given back once the poll is closed."""
    drain(bench)
    bench.receive(message("m1"), message("m2"), message("m3"))
    bench.hands.take_all()
    assert bench.running() == ["m1", "m2"]
    assert bench.batches()[0].request.entries == [("m3#1", 0)]


def test_what_waits_is_kept_while_its_queue_is_polled() -> None:
    """Given back now, it would come back to ourselves at the price of a receive (I9)."""
    bench = Bench(queue(), lookahead=12)
    bench.receive(*(message(f"m{n}") for n in range(4)))
    assert len(bench.polls()) == 1
    bench.hands.take_all()
    drain(bench)
    assert bench.batches() == []
    assert bench.pool.table.waiting == 2
    bench.run("m0")
    bench.hands.take_all()
    assert bench.running() == ["m2", "m1"]
    bench.receive()
    assert [b.request.entries for b in bench.batches(Operation.CHANGE)] == [[("m3#1", 0)]]


def test_a_retry_at_the_drain_is_not_held_in_place(fifo: Bench) -> None:
    """Nobody would be there to try it again: head and rest are released, last to first."""
    fifo.receive(message("a1", group="a"), message("a2", group="a"))
    fifo.hands.take_all()
    drain(fifo)
    fifo.finish("a1", RETRY)
    assert fifo.batches()[0].request.entries == [("a2#1", 0), ("a1#1", 5)]


def test_a_held_head_is_given_back_with_the_rest_of_its_wait(fifo: Bench) -> None:
    """It stays invisible until its next try was due; then it is not run here, even if SQS has not confirmed."""
    fifo.receive(message("a1", group="a"), message("a2", group="a"))
    fifo.hands.take_all()
    fifo.finish("a1", Verdict(Kind.RETRY, after=5, failed=True))
    fifo.receive()
    drain(fifo)
    for poll in fifo.polls():
        assert poll.poller.quiet
        fifo.receive()
    (batch,) = fifo.batches()
    assert batch.request.entries == [("a2#1", 0), ("a1#1", 5)]
    fifo.answer(batch, {0: TRANSIENT, 1: TRANSIENT})
    fifo.turn(10)
    assert fifo.hands.take() is None
    assert fifo.pool.table.active == 0
    fifo.answer_all()
    fifo.check_empty()


def test_the_next_of_a_group_is_started_by_the_drain(fifo: Bench) -> None:
    """While the queue is polled, the next of a group starts when the one before is gone and a thread is idle."""
    fifo.receive(message("a1", group="a"), message("a2", group="a"))
    fifo.hands.take_all()
    drain(fifo)
    fifo.finish("a1")
    fifo.answer_all()
    fifo.hands.take_all()
    assert fifo.running() == ["a2"]


def test_the_deadline_releases_what_runs(bench: Bench) -> None:
    """The handlers are told, their messages released at once, and what they return comes too late to count."""
    bench.receive(message("m1"), message("m2"))
    bench.hands.take_all()
    drain(bench)
    bench.receive()
    bench.turn(15)
    bench.answer_all()
    bench.turn(10)
    left = bench.pool.abandon(bench.now)
    bench.turn()
    assert [(one.message_id, one.slot) for one in left] == [("m1", 1), ("m2", 2)]
    (batch,) = bench.batches()
    assert batch.request.entries == [("m1#1", 0), ("m2#1", 0)]
    ctx = bench.hands.ctx(bench.hands.of("m1"))
    assert ctx.cancelled
    bench.answer_all()
    bench.finish("m1")
    bench.finish("m2", RETRY)
    assert bench.pool.idle
    bench.check_empty()
    assert bench.pool.counts["orders"].acked == 0


def test_the_deadline_leaves_lost_ones_alone(bench: Bench) -> None:
    """No visibility change is sent for a lease that is lost (I4)."""
    bench.receive(message("m1"))
    bench.hands.take()
    bench.turn(15)
    bench.answer(bench.extensions()[0], {0: LEASE_LOST})
    drain(bench)
    bench.receive()
    assert [one.message_id for one in bench.pool.abandon(bench.now)] == ["m1"]
    bench.turn()
    assert bench.batches() == []
    bench.check_empty()


def test_the_deadline_lets_fifo_leases_lapse_and_starts_nothing(fifo: Bench) -> None:
    """The head may still be working: neither it is released nor anything behind it started, also with a poll open."""
    fifo.receive(message("a1", group="a"), message("a2", group="a"), message("b1", group="b"))
    fifo.hands.take_all()
    drain(fifo)
    fifo.finish("b1", Verdict(Kind.RELEASE))
    assert fifo.polls()
    assert [one.message_id for one in fifo.pool.abandon(fifo.now)] == ["a1"]
    fifo.turn()
    assert fifo.hands.take() is None
    entries = [entry for batch in fifo.batches() for entry in batch.request.entries]
    assert ("a2#1", 0) in entries
    assert "a1#1" not in dict(entries)
    fifo.receive(message("c1", group="c"))
    assert fifo.hands.take() is None
    fifo.answer_all()
    fifo.check_empty()


def test_what_no_thread_has_taken_at_the_deadline_is_given_back(bench: Bench) -> None:
    """It is taken back from the threads, so that none starts it after its release."""
    drain(bench)
    bench.receive(message("m1"))
    assert bench.pool.table.active == 1
    assert bench.pool.abandon(bench.now) == []
    bench.turn()
    assert bench.hands.take() is None
    assert bench.batches()[0].request.entries == [("m1#1", 0)]
    bench.answer_all()
    bench.check_empty()
    assert bench.pool.counts["orders"].unstarted == 1


def test_a_held_head_is_not_started_after_the_deadline(fifo: Bench) -> None:
    """Its time comes in the very turn after the deadline, with a poll still open: it is given back."""
    fifo.receive(message("a1", group="a"))
    fifo.hands.take_all()
    fifo.finish("a1", RETRY)
    drain(fifo)
    assert fifo.polls()
    fifo.clock.advance(5)
    fifo.pool.abandon(fifo.now)
    fifo.turn()
    assert fifo.hands.take() is None
    fifo.answer_all()
    fifo.check_empty()
