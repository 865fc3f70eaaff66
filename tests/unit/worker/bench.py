"""A pool on the bench: stepped by hand in virtual time, every call to SQS answered by the test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hadoken.clock import VirtualClock
from hadoken.errors import SQSError
from hadoken.message import Context
from hadoken.outcome import ACKED, Kind, Verdict
from hadoken.pipeline.acknowledger import Batch, Operation
from hadoken.pipeline.executor import Executor
from hadoken.pipeline.inflight import Record
from hadoken.pipeline.keeper import Extension
from hadoken.pipeline.queues import QueueInfo
from hadoken.sqs.api import BatchAnswer, EntryFailure, Received, ReceivedMessage
from hadoken.worker.pool import Call, Pool
from hadoken.worker.receipts import Poll
from tests.unit.pipeline.making import NOW
from tests.unit.worker.hands import Hands, Unrun

RETRY = Verdict(Kind.RETRY, after=5, reason="it failed", failed=True)


class Bench:
    """A pool, its threads played by `hands`, and the calls that wait for an answer."""

    def __init__(self, *queues: QueueInfo, concurrency: int = 2, lookahead: int | None = 10) -> None:
        self.clock = VirtualClock(NOW)
        self.wakes = 0
        handlers = {one.name: Unrun(one.name) for one in queues}
        self.executor = Executor(handlers, concurrency, wake=self._woken, ask_extend=self._asked, clock=self.clock)
        self.pool = Pool("default", queues, self.executor, lookahead=lookahead)
        self.hands = Hands(self.executor, self.clock)
        self.open: list[Call] = []
        self.turn()

    @property
    def now(self) -> float:
        """Lease clock."""
        return self.clock.lease()

    def turn(self, seconds: float = 0) -> list[Call]:
        """Let time pass, then take a turn; the new calls are open."""
        self.clock.advance(seconds)
        calls = self.pool.turn(self.now)
        self.open += calls
        return calls

    def polls(self) -> list[Poll]:
        """Open receives."""
        return [call for call in self.open if isinstance(call, Poll)]

    def extensions(self) -> list[Extension]:
        """Extensions on the wire."""
        return [call for call in self.open if isinstance(call, Extension)]

    def batches(self, operation: Operation | None = None) -> list[Batch]:
        """Batches of the acknowledger on the wire."""
        found = [call for call in self.open if isinstance(call, Batch)]
        return [batch for batch in found if operation in {None, batch.operation}]

    def receive(self, *messages: ReceivedMessage, queue: str = "", turn: bool = True) -> Poll:
        """Answer the open receive of a queue (the only one by default)."""
        poll = next(poll for poll in self.polls() if not queue or poll.poller.queue.name == queue)
        self.open.remove(poll)
        self.pool.answered(poll, Received(messages), self.now)
        if turn:
            self.turn()
        return poll

    def answer(self, call: Call, failed: Mapping[int, EntryFailure] | None = None) -> None:
        """Answer one batch."""
        self.open.remove(call)
        self.pool.answered(call, BatchAnswer(failed or {}), self.now)
        self.turn()

    def answer_all(self) -> None:
        """Answer every batch on the wire with success, and what follows from it."""
        while waiting := [call for call in self.open if not isinstance(call, Poll)]:
            for call in waiting:
                self.answer(call)

    def fail(self, call: Call, error: SQSError) -> None:
        """Fail one call whole."""
        self.open.remove(call)
        self.pool.failed(call, error, self.now)
        self.turn()

    def finish(self, name: str, verdict: Verdict = ACKED) -> Context:
        """End the handler that has this message, then take a turn."""
        ctx = self.hands.finish(self.hands.of(name), verdict)
        self.turn()
        return ctx

    def run(self, name: str, verdict: Verdict = ACKED) -> None:
        """Start what can be and end one handler."""
        self.hands.take_all()
        self.finish(name, verdict)

    def record(self, name: str) -> Record:
        """The record of a message."""
        return next(one for one in self.pool.table.records.values() if one.message.message_id == name)

    def running(self) -> Sequence[str]:
        """Ids of the messages that threads have in hand."""
        return [slot.in_hand.message_id for slot in self.hands.busy if slot.in_hand]

    def check_empty(self) -> None:
        """Assert that nothing of any message is left."""
        pool = self.pool
        assert len(pool.table) == pool.keeper.members == len(pool.groups) == pool.acknowledger.pending == 0
        assert pool.table.entered == pool.table.left
        assert pool.groups.next_try() is None
        assert not pool.keeper._asked

    def _woken(self) -> None:
        self.wakes += 1

    def _asked(self, ticket: int, seconds: float) -> None:
        self.pool.extend(ticket, seconds)
