"""One pool stepped by hand: what scouts find while no thread is free, several receives of a queue, bytes in flight."""

from __future__ import annotations

from hadoken.errors import SQSUnavailable
from hadoken.pipeline.acknowledger import Operation
from hadoken.sqs.api import ChangeVisibilityBatch
from tests.unit.pipeline.making import message, queue
from tests.unit.worker.bench import RETRY, Bench

DEAD = "http://sqs.local/000000000000/dead"


def busy(*queues: str, lookahead: int | None = 0, **settings: object) -> Bench:
    """One thread that has a message of the first queue in hand, and queues with a scout each."""
    made = [queue(name, visibility_timeout=600, **settings) for name in queues]
    bench = Bench(*made, concurrency=1, lookahead=lookahead)
    bench.receive(message("first"), queue=queues[0])
    bench.hands.take_all()
    return bench


def scouts(bench: Bench) -> list[str]:
    """Queues with an open scout."""
    return [poll.poller.queue.name for poll in bench.polls() if poll.grant.scout]


def test_what_a_scout_finds_while_no_thread_is_free_is_given_back() -> None:
    """After a second, at once visible to others, and counted; when a thread is free it is looked for again."""
    bench = busy("orders", "mails")
    bench.receive(message("found"), queue="mails")
    assert bench.pool.next_due() == bench.now + 1
    bench.turn(0.9)
    assert bench.batches() == []
    bench.turn(0.1)
    (batch,) = bench.batches(Operation.CHANGE)
    assert batch.request == ChangeVisibilityBatch(batch.queue.url, [("found#1", 0)])
    bench.answer_all()
    counts = bench.pool.counts["mails"]
    assert (counts.received, counts.unstarted, counts.scouted) == (1, 1, 1)
    assert "mails" not in {poll.poller.queue.name for poll in bench.polls()}
    bench.turn(60)
    assert "mails" not in {poll.poller.queue.name for poll in bench.polls()}
    bench.finish("first")
    bench.receive(queue="orders")  # it was the only place, and orders is now empty
    assert "mails" in {poll.poller.queue.name for poll in bench.polls()}
    assert bench.hands.take_all() == []  # what was given back is not started here
    bench.turn(1)
    bench.answer_all()
    bench.check_empty()
    assert not bench.executor._withdrawn


def test_what_was_never_started_says_nothing_of_how_long_handlers_run() -> None:
    """It comes back in no time; taken for short runs, such messages would draw in more than threads can start."""
    bench = busy("orders", "mails", lookahead=None)
    bench.receive(message("found"), queue="mails")
    bench.turn(1)
    bench.answer_all()
    bench.turn(3_600)
    bench.finish("first")
    assert bench.pool.places._run == 3_601
    bench.hands.take_all()
    bench.turn()
    assert not bench.executor._withdrawn
    assert bench.pool.places._run == 3_601


def test_what_a_thread_has_begun_in_time_is_kept() -> None:
    """The thread became free within the second."""
    bench = busy("orders", "mails")
    bench.receive(message("found"), queue="mails")
    bench.turn(0.5)
    bench.finish("first")
    bench.hands.take_all()
    assert bench.running() == ["found"]
    bench.turn(1)
    assert bench.batches(Operation.CHANGE) == []
    bench.finish("found")
    assert (bench.pool.counts["mails"].acked, bench.pool.counts["mails"].scouted) == (1, 0)


def test_a_thread_that_takes_it_at_the_same_moment_does_not_run_it() -> None:
    """It was taken out of the hand-over and not begun: it is released, so its handler is not called."""
    bench = busy("orders", "mails")
    bench.receive(message("found"), queue="mails")
    handed = bench.executor.take(bench.executor.slots[0])
    assert handed is not None
    bench.turn(1)
    assert len(bench.batches(Operation.CHANGE)) == 1
    finished = bench.executor._handle(handed, bench.executor.slots[0])
    assert finished.verdict is None
    bench.executor._bring_back(finished)
    bench.turn()
    bench.answer_all()
    assert bench.pool.counts["mails"].scouted == 1
    assert not bench.executor._withdrawn


def test_a_last_attempt_is_not_given_back_unstarted() -> None:
    """The next receive would dead-letter it although no handler has seen it (I9): it waits for its thread."""
    bench = busy("orders", "mails", dead_letter_url=DEAD, max_receive_count=3)
    bench.receive(message("found", receives=3), queue="mails")
    bench.turn(5)
    assert bench.batches() == []
    bench.finish("first")
    bench.hands.take_all()
    assert bench.running() == ["found"]


def test_a_head_with_others_behind_it_is_not_given_back() -> None:
    """They would pay for it with a receive each."""
    bench = busy("orders", "steps.fifo", lookahead=30)
    assert "steps.fifo" in scouts(bench)
    bench.receive(message("a1", group="a"), queue="steps.fifo")
    bench.receive(message("a2", group="a"), queue="steps.fifo")
    bench.turn(1)
    assert bench.batches(Operation.CHANGE) == []
    assert bench.pool.counts["steps.fifo"].scouted == 0


def test_a_head_alone_is_given_back() -> None:
    """Nobody pays for it."""
    bench = busy("orders", "steps.fifo")
    bench.receive(message("a1", group="a"), queue="steps.fifo")
    bench.turn(1)
    assert len(bench.batches(Operation.CHANGE)) == 1
    bench.answer_all()
    assert len(bench.pool.groups) == 0


def test_a_scouted_message_of_a_drain_is_the_drains() -> None:
    """It was taken back when the drain began, and is given back once; nothing is left to do a second later."""
    bench = busy("orders", "mails")
    bench.receive(message("found"), queue="mails")
    bench.pool.drain()
    bench.turn()
    bench.answer_all()
    bench.turn(1)
    assert (bench.pool.counts["mails"].unstarted, bench.pool.counts["mails"].scouted) == (1, 0)


def test_a_scouted_message_whose_lease_is_lost_is_not_changed() -> None:
    """No visibility change after a lapse (I4)."""
    bench = busy("orders", "mails")
    bench.receive(message("found"), queue="mails")
    record = bench.record("found")
    bench.pool._answers.lost(record, bench.now)
    bench.turn(1)
    assert bench.batches(Operation.CHANGE) == []


def deep() -> Bench:
    """A queue of which four receives are open."""
    bench = Bench(queue(visibility_timeout=600), concurrency=10, lookahead=50)
    for receive in range(3):
        bench.receive(*(message(f"m{receive}-{n}") for n in range(10)))
    assert len(bench.polls()) == 3
    return bench


def test_a_receive_that_fails_while_others_are_open() -> None:
    """Their messages come and are handled; no other is sent for the failed one, and its places are free again."""
    bench = deep()
    failed, second, third = bench.polls()
    bench.fail(failed, SQSUnavailable("no answer", transient=True))
    assert bench.polls() == [second, third]
    assert bench.pool.admission.granted == 20
    bench.receive(message("late"))
    assert bench.record("late")
    assert bench.pool.admission.granted == sum(poll.grant.size for poll in bench.polls())
    for poll in bench.polls():
        bench.fail(poll, SQSUnavailable("no answer", transient=True))
    assert bench.pool.admission.granted == 0
    due = bench.pool.admission.next_try()
    assert due is not None
    bench.turn(due - bench.now)
    assert len(bench.polls()) == 1


def test_a_drain_waits_for_every_open_receive() -> None:
    """What they bring is started while threads are idle, and nothing is given back before the last has ended."""
    bench = deep()
    bench.hands.take_all()
    bench.pool.drain()
    bench.turn()
    assert bench.batches(Operation.CHANGE) == []
    while bench.polls():
        assert not bench.pool.idle
        assert bench.batches(Operation.CHANGE) == []
        bench.receive(message(f"last-{len(bench.polls())}"))
    given_back = [record for batch in bench.batches(Operation.CHANGE) for record in batch.records]
    assert len(given_back) == 23  # all but those that threads had begun
    while bench.hands.busy:
        bench.hands.finish(bench.hands.busy[0])
    bench.turn()
    bench.answer_all()
    assert bench.pool.idle
    bench.check_empty()


def test_messages_of_several_receives_are_each_held_once() -> None:
    """Two answers at one moment that hold the same message: it runs once."""
    bench = deep()
    bench.receive(message("twice"), turn=False)
    bench.receive(message("twice", receives=2), turn=False)
    bench.turn()
    assert bench.pool.counts["orders"].again == 1
    assert bench.record("twice").handle == "twice#2"


def test_a_retry_frees_its_bytes_when_sqs_has_confirmed_it() -> None:
    """Memory is held until then."""
    bench = Bench(queue())
    bench.receive(message("m1", body="x" * 1_000))
    held = bench.pool.table.bytes
    assert held > 1_000
    bench.run("m1", RETRY)
    assert bench.pool.table.bytes == held
    bench.turn(1)
    bench.answer_all()
    assert bench.pool.table.bytes == 0
