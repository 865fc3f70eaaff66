"""One pool stepped by hand: order in message groups, retries in place, and what becomes of a group whose head fails."""

from __future__ import annotations

import pytest

from hadoken.outcome import Kind, Verdict
from hadoken.pipeline.acknowledger import LINGER, Operation
from hadoken.pipeline.inflight import State
from hadoken.sqs.api import ChangeVisibilityBatch
from tests.unit.pipeline.making import DENIED, LEASE_LOST, NOW, TRANSIENT, message, queue
from tests.unit.worker.bench import RETRY, Bench

DEAD = "http://sqs.local/000000000000/dead.fifo"


@pytest.fixture
def bench() -> Bench:
    """Four threads on a FIFO queue: three receives, then the dead-letter queue."""
    return Bench(queue("orders.fifo", dead_letter_url=DEAD, max_receive_count=3), concurrency=4)


def receive(bench: Bench, *names: str, receives: int = 1) -> None:
    """Receive messages named by group and number, such as a1."""
    bench.receive(*(message(name, group=name[0], receives=receives) for name in names))
    bench.hands.take_all()


def test_one_of_a_group_runs_at_a_time(bench: Bench) -> None:
    """The heads of two groups run side by side; what follows waits, and takes no place."""
    receive(bench, "a1", "a2", "b1", "a3", "b2")
    assert bench.running() == ["a1", "b1"]
    assert (bench.pool.table.active, bench.pool.table.waiting) == (2, 3)


def test_the_next_starts_when_the_delete_is_confirmed(bench: Bench) -> None:
    """Not when the handler ends, nor when the delete is sent; which goes at once, for somebody waits."""
    receive(bench, "a1", "a2")
    bench.finish("a1")
    (batch,) = bench.batches()
    assert bench.hands.take() is None
    bench.answer(batch, {0: TRANSIENT})
    assert bench.hands.take() is None
    bench.turn(0.2)
    bench.answer(bench.batches()[0])
    assert bench.hands.take() is not None
    assert bench.running() == ["a2"]


def test_the_last_of_a_group_lingers_like_any_other(bench: Bench) -> None:
    """Nobody waits for it."""
    receive(bench, "a1")
    bench.finish("a1")
    assert bench.batches() == []
    bench.turn(LINGER)
    bench.answer_all()
    bench.check_empty()


def test_a_failed_head_is_retried_in_place(bench: Bench) -> None:
    """Nothing is sent to SQS; after its wait it runs again as the next attempt, before the rest of its group (I9)."""
    receive(bench, "a1", "a2")
    bench.finish("a1", RETRY)
    assert bench.batches() == []
    assert bench.pool.next_due() == NOW + 5
    bench.turn(4.9)
    assert bench.hands.take() is None
    bench.turn(0.1)
    slot = bench.hands.take()
    assert slot is not None
    assert (bench.running(), bench.hands.ctx(slot).attempt, bench.hands.ctx(slot).is_last_attempt) == (["a1"], 2, False)
    bench.finish("a1")
    bench.answer_all()
    bench.hands.take_all()
    bench.finish("a2")
    bench.turn(LINGER)
    bench.answer_all()
    bench.check_empty()
    counts = bench.pool.counts["orders.fifo"]
    assert (counts.retried, counts.failed, counts.deleted, counts.unstarted) == (1, 1, 2, 0)


def test_a_held_group_is_kept_leased(bench: Bench) -> None:
    """While the head waits for its next try, the leases of the whole group are extended."""
    receive(bench, "a1", "a2", "a3")
    bench.finish("a1", Verdict(Kind.RETRY, after=200, failed=True))
    bench.turn(15)
    assert len(bench.extensions()[0].records) == 3


def test_the_last_attempt_in_place_is_dead_lettered_with_its_error(bench: Bench) -> None:
    """Attempts in place count to maxReceiveCount; then the head is copied and deleted, and the rest goes on."""
    receive(bench, "a1", "a2", receives=2)
    bench.finish("a1", RETRY)
    bench.turn(5)
    slot = bench.hands.take()
    assert slot is not None
    assert bench.hands.ctx(slot).is_last_attempt
    bench.finish("a1", RETRY)
    (copy,) = bench.batches()
    assert copy.operation is Operation.COPY
    bench.answer(copy)
    assert bench.hands.take() is None
    bench.turn(LINGER)
    bench.answer_all()
    assert bench.hands.take() is not None
    assert bench.running() == ["a2"]
    counts = bench.pool.counts["orders.fifo"]
    assert (counts.retried, counts.dead_lettered, counts.failed) == (1, 1, 2)


def test_a_wait_beyond_the_hold_limit_releases_the_group_last_to_first(bench: Bench) -> None:
    """What follows goes back before the head does, so that SQS can keep the order."""
    receive(bench, "a1", "a2", "a3", "b1")
    bench.finish("a1", Verdict(Kind.RETRY, after=301, failed=True))
    (batch,) = bench.batches()
    assert batch.request == ChangeVisibilityBatch(batch.queue.url, [("a3#1", 0), ("a2#1", 0), ("a1#1", 301)])
    bench.answer(batch)
    bench.finish("b1")
    bench.turn(LINGER)
    bench.answer_all()
    bench.check_empty()
    assert bench.pool.counts["orders.fifo"].unstarted == 2


def test_an_explicit_release_releases_the_group_too(bench: Bench) -> None:
    """Else the rest would overtake it."""
    receive(bench, "a1", "a2")
    bench.finish("a1", Verdict(Kind.RELEASE))
    assert bench.batches()[0].request.entries == [("a2#1", 0), ("a1#1", 0)]


@pytest.mark.parametrize("denied", ["at boot", "at the copy"])
def test_a_head_that_cannot_be_dead_lettered_is_retried_in_place(denied: str) -> None:
    """What follows neither overtakes it nor pays for it with receives (I9); each last attempt tries the copy anew."""
    url = None if denied == "at boot" else DEAD
    bench = Bench(queue("orders.fifo", dead_letter_url=url, max_receive_count=3), concurrency=4)
    receive(bench, "a1", "a2", receives=3)
    for _ in range(3):
        bench.finish("a1", Verdict(Kind.DEAD_LETTER, reason="bad", failed=True))
        for copy in bench.batches(Operation.COPY):
            bench.answer(copy, {0: DENIED})
        assert bench.batches() == []
        assert bench.hands.take() is None
        for _ in range(30):
            bench.turn(10)
            bench.answer_all()
        bench.hands.take_all()
        assert bench.running() == ["a1"]
    bench.finish("a1")
    bench.answer_all()
    bench.hands.take_all()
    assert bench.running() == ["a2"]
    assert bench.pool.counts["orders.fifo"].unstarted == 0


def test_a_lost_head_stops_its_group(bench: Bench) -> None:
    """The head may run elsewhere, so nothing that follows runs here before it; it is given back."""
    receive(bench, "a1", "a2")
    bench.turn(15)
    bench.answer(bench.extensions()[0], {0: LEASE_LOST})
    bench.finish("a1", RETRY)
    assert bench.batches()[0].request.entries == [("a2#1", 0)]
    bench.answer_all()
    bench.check_empty()


def test_a_lost_head_that_is_done_lets_its_group_go_on(bench: Bench) -> None:
    """Its work is done and the late delete was tried: the rest follows it."""
    receive(bench, "a1", "a2")
    bench.turn(15)
    bench.answer(bench.extensions()[0], {0: LEASE_LOST})
    bench.finish("a1")
    bench.answer(bench.batches()[0], {0: LEASE_LOST})
    assert bench.hands.take() is not None
    assert bench.running() == ["a2"]
    assert bench.pool.counts["orders.fifo"].lost == 1


def test_a_lapse_of_what_waits_gives_back_what_follows(bench: Bench) -> None:
    """A message that waits and whose lease is lost leaves, and those behind it are given back."""
    receive(bench, "a1", "a2", "a3")
    bench.turn(15)
    bench.answer(bench.extensions()[0], {1: LEASE_LOST})
    assert bench.running() == ["a1"]
    assert {r.message.message_id: r.state for r in bench.pool.table.records.values()} == {
        "a1": State.ACTIVE, "a3": State.SETTLING,
    }  # fmt: skip
    bench.answer_all()
    bench.finish("a1")
    bench.turn(LINGER)
    bench.answer_all()
    bench.check_empty()


def test_a_lapse_of_a_held_head_ends_its_hold(bench: Bench) -> None:
    """It is not tried again when its time comes."""
    receive(bench, "a1")
    bench.finish("a1", Verdict(Kind.RETRY, after=100, failed=True))
    bench.turn(15)
    bench.answer(bench.extensions()[0], {0: LEASE_LOST})
    bench.check_empty()
    bench.turn(100)
    assert bench.hands.take() is None


def test_a_lapsed_unstarted_head_goes_without_its_change(bench: Bench) -> None:
    """A head that no thread took is withdrawn; its group is given back, itself not (I4)."""
    names = [f"{group}1" for group in "abcde"]
    receive(bench, *names, "e2")
    assert len(bench.running()) == 4
    bench.turn(15)
    bench.answer(bench.extensions()[0], {4: LEASE_LOST})
    bench.finish("a1")
    assert bench.hands.take() is None
    bench.turn()
    entries = [entry for batch in bench.batches(Operation.CHANGE) for entry in batch.request.entries]
    assert entries == [("e2#1", 0)]


def test_a_group_received_again_waits_for_its_own_release(bench: Bench) -> None:
    """A head that comes back before the release of the rest is confirmed waits behind it."""
    receive(bench, "a1", "a2")
    bench.finish("a1", Verdict(Kind.RELEASE))
    (batch,) = bench.batches()
    receive(bench, "a1", receives=2)
    assert bench.running() == []
    bench.answer(batch)
    bench.hands.take_all()
    assert bench.running() == ["a1"]


def test_a_handled_head_received_again_is_deleted_while_the_next_may_run(bench: Bench) -> None:
    """Its delete had failed for good; its work is done, so what follows need not wait."""
    receive(bench, "a1")
    bench.finish("a1")
    bench.turn(LINGER)
    bench.answer(bench.batches()[0], {0: LEASE_LOST})
    receive(bench, "a1", "a2", receives=2)
    assert bench.running() == ["a2"]
    bench.turn(LINGER)
    assert bench.batches(Operation.DELETE)
