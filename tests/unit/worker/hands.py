"""The handler threads of a pool, played by the test: each step of a thread is a call, so time can pass between them."""

from __future__ import annotations

from hadoken.clock import Clock
from hadoken.message import Context
from hadoken.outcome import ACKED, Verdict
from hadoken.pipeline.executor import Executor, Finished, Running, Slot
from hadoken.sqs.api import ReceivedMessage


class Unrun:
    """A handler that only has a name: `Hands` plays what it does."""

    def __init__(self, name: str) -> None:
        self.name = f"handlers.{name}"

    def run(self, raw: ReceivedMessage, ctx: Context, clock: Clock) -> Verdict:
        """Never called: no thread runs."""
        raise AssertionError(f"{self.name} was called for {raw.message_id}")


class Hands:
    """Plays the threads of one executor.

    Attributes:
        started: (ticket, message id) of every start, in order.
    """

    def __init__(self, executor: Executor, clock: Clock) -> None:
        self.executor = executor
        self.started: list[tuple[int, str]] = []
        self._clock = clock

    @property
    def busy(self) -> list[Slot]:
        """Slots with a message in hand."""
        return [slot for slot in self.executor.slots if slot.in_hand is not None]

    @property
    def waiting(self) -> int:
        """Messages that no thread has taken yet."""
        return len(self.executor._handed)

    def take(self) -> Slot | None:
        """Let one idle thread take the next message, as `Executor._handle` begins; None if none is idle or waits."""
        executor = self.executor
        slot = next((slot for slot in executor.slots if slot.in_hand is None), None)
        while slot is not None:
            job = executor._handed.get_nowait()
            if job is None:
                return None
            if job.ticket in executor._withdrawn:
                executor._bring_back(Finished(job.ticket, None))
                continue
            ticket = job.ticket
            ctx = Context(
                attempt=job.attempt,
                is_last_attempt=job.is_last_attempt,
                lease_end=job.lease_end,
                ask_extend=executor._ask_extend,
                ticket=ticket,
                clock=self._clock,
            )
            slot.running = Running(ticket, job.queue, job.message.message_id, ctx, self._clock.lease())
            self.started.append((ticket, job.message.message_id))
            return slot
        return None

    def take_all(self) -> list[Slot]:
        """Let every idle thread take what it can."""
        taken: list[Slot] = []
        while (slot := self.take()) is not None:
            taken.append(slot)
        return taken

    def of(self, message_id: str) -> Slot:
        """The thread that has this message in hand."""
        return next(slot for slot in self.busy if slot.in_hand and slot.in_hand.message_id == message_id)

    @staticmethod
    def ctx(slot: Slot) -> Context:
        """The context of the handler that a thread runs."""
        assert slot.running is not None
        return slot.running.ctx

    def finish(self, slot: Slot, verdict: Verdict = ACKED) -> Context:
        """Let a thread end its handler, as `Executor._handle` ends; returns the context it had."""
        assert slot.running is not None
        ticket, _, _, ctx, since = slot.running
        slot.running = None
        self.executor._bring_back(Finished(ticket, verdict, self._clock.lease() - since))
        return ctx
