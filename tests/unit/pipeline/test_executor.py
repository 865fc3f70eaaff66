"""The executor: what crosses between engine and threads, and when the engine is woken."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hadoken.clock import Clock, VirtualClock
from hadoken.message import Context
from hadoken.outcome import ACKED, Kind, Verdict
from hadoken.pipeline.executor import Executor, Finished, Handed
from hadoken.sqs.api import ReceivedMessage
from tests.unit.pipeline.making import NOW, message

Body = Callable[[ReceivedMessage, Context], Verdict]


class Scripted:
    """A handler that does what the test says."""

    name = "handlers.scripted"

    def __init__(self, body: Body = lambda *_: ACKED) -> None:
        self.body = body

    def run(self, raw: ReceivedMessage, ctx: Context, clock: Clock) -> Verdict:
        """Do it."""
        return self.body(raw, ctx)


class Desk:
    """An executor without threads; `work` does what a thread does for one message."""

    def __init__(self, body: Body = lambda *_: ACKED, *, concurrency: int = 1) -> None:
        self.wakes = 0
        self.asked: list[tuple[int, float]] = []
        self.clock = VirtualClock(NOW)
        self.executor = Executor(
            {"orders": Scripted(body)},
            concurrency,
            wake=self._woken,
            ask_extend=lambda ticket, seconds: self.asked.append((ticket, seconds)),
            clock=self.clock,
        )

    def hand(self, *tickets: int) -> None:
        """Give messages to the threads."""
        for ticket in tickets:
            self.executor.hand(Handed(ticket, "orders", message(f"m{ticket}"), 1, False, NOW + 28))

    def work(self, count: int = 1) -> None:
        """Let the thread of the first slot handle so many messages."""
        for _ in range(count):
            handed = self.executor.take(self.executor.slots[0])
            assert handed is not None
            self.executor._bring_back(self.executor._handle(handed, self.executor.slots[0]))

    def _woken(self) -> None:
        self.wakes += 1


def test_outcomes_come_back_with_their_tickets() -> None:
    """In the order in which they were reached, each once."""
    desk = Desk()
    desk.hand(7, 8)
    desk.work(2)
    assert desk.executor.outcomes() == [Finished(7, ACKED), Finished(8, ACKED)]
    assert desk.executor.outcomes() == []


def test_the_handler_gets_a_context_and_the_slot_shows_it() -> None:
    """While it runs the slot says what is in hand; afterwards it holds nothing (I8)."""

    def body(raw: ReceivedMessage, ctx: Context) -> Verdict:
        (one,) = desk.executor.in_hand()
        assert (one.slot, one.ticket, one.queue, one.message_id, one.handler, one.since) == (
            1, 7, "orders", "m7", "handlers.scripted", NOW,
        )  # fmt: skip
        ctx.extend(60)
        desk.clock.advance(2)
        desk.executor.tell(7, lease_end=NOW + 58)
        assert (ctx.attempt, ctx.is_last_attempt, ctx.time_left) == (1, False, 56)
        desk.executor.tell(7, lease_lost=True)
        desk.executor.tell(8, cancelled=True)
        assert (ctx.lease_lost, ctx.cancelled) == (True, False)
        desk.executor.tell(7, cancelled=True)
        assert (ctx.lease_lost, ctx.cancelled) == (True, True)
        return ACKED

    desk = Desk(body)
    desk.hand(7)
    desk.work()
    assert desk.executor.outcomes() == [Finished(7, ACKED, took=2)]
    assert desk.asked == [(7, 60)]
    assert desk.executor.in_hand() == []
    assert desk.executor.slots[0].running is None


@pytest.mark.parametrize("error", [ValueError("bad"), SystemExit(3), KeyboardInterrupt()])
def test_a_handler_that_cannot_be_run_is_a_failure(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is raised, the thread lives and the message is retried; it is logged as text, without the exception."""

    def body(raw: ReceivedMessage, ctx: Context) -> Verdict:
        raise error

    desk = Desk(body)
    desk.hand(7)
    desk.work()
    (finished,) = desk.executor.outcomes()
    assert finished.verdict is not None
    assert (finished.verdict.kind, finished.verdict.failed) == (Kind.RETRY, True)
    assert type(error).__name__ in finished.verdict.reason
    assert "handler handlers.scripted: could not be run" in caplog.text
    assert caplog.records[0].exc_info is None
    assert error.__traceback__ is None


def test_an_outcome_wakes_the_engine_when_the_thread_would_park() -> None:
    """With no message left the thread is about to sleep: nobody else would tell."""
    desk = Desk()
    desk.executor.want(10)
    desk.hand(1, 2)
    desk.work()
    assert desk.wakes == 0
    desk.work()
    assert desk.wakes == 1


def test_enough_outcomes_wake_the_engine_once() -> None:
    """As many as it wants; it is not woken again before it has looked."""
    desk = Desk()
    assert not desk.executor.want(3)
    desk.hand(*range(1, 11))
    desk.work(2)
    assert desk.wakes == 0
    desk.work(3)
    assert desk.wakes == 1
    assert len(desk.executor.outcomes()) == 5
    desk.work(3)
    assert desk.wakes == 2


def test_a_wake_is_never_missed() -> None:
    """Outcomes that came unannounced before the engine said how many it wants are told by `want` itself."""
    desk = Desk()
    desk.executor.want(10)
    desk.hand(*range(1, 6))
    desk.work(2)
    assert desk.wakes == 0
    assert desk.executor.want(2)
    assert not desk.executor.want(3)
    desk.work()
    assert desk.wakes == 1


def test_what_is_withdrawn_is_not_started() -> None:
    """It comes back without a verdict; a later message of the same thread is run."""
    ran: list[str] = []
    desk = Desk(lambda raw, _: ran.append(raw.message_id) or ACKED)
    desk.hand(1, 2)
    desk.executor.withdraw(1)
    desk.work(2)
    assert [one.verdict for one in desk.executor.outcomes()] == [None, ACKED]
    assert ran == ["m2"]
    assert not desk.executor._withdrawn


def test_what_was_started_cannot_be_withdrawn() -> None:
    """Its outcome comes, and the wish is forgotten with it (I8)."""
    desk = Desk(lambda *_: desk.executor.withdraw(1) or ACKED)
    desk.hand(1)
    desk.work()
    assert desk.executor.outcomes()[0].verdict == ACKED
    assert not desk.executor._withdrawn


def test_taking_back_leaves_nothing_to_start() -> None:
    """In the order of the handing over; ends that were asked for stay."""
    desk = Desk(concurrency=2)
    desk.hand(1, 2, 3)
    desk.executor.withdraw(2)
    desk.executor.stop()
    assert desk.executor.take_back() == [1, 2, 3]
    assert not desk.executor._withdrawn
    assert desk.executor.take(desk.executor.slots[0]) is None
    assert desk.executor.take(desk.executor.slots[0]) is None
    assert desk.executor.take_back() == []


def test_a_thread_runs_until_it_is_stopped() -> None:
    """It handles what was handed over before, and knows who it is."""
    desk = Desk()
    desk.hand(1, 2)
    desk.executor.stop()
    desk.executor.run(desk.executor.slots[0])
    assert len(desk.executor.outcomes()) == 2
    assert desk.executor.slots[0].thread_id
