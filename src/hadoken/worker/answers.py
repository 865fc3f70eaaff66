"""What the answers to deletes, copies and visibility changes mean, and what it means that a lease is lost.

Engine loop only; blocks on nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from hadoken.outcome import Kind
from hadoken.pipeline.acknowledger import Batch, End
from hadoken.pipeline.inflight import State
from hadoken.pipeline.keeper import Extension
from hadoken.sqs import api
from hadoken.worker.endings import GONE_ELSEWHERE

if TYPE_CHECKING:
    from hadoken.errors import SQSError
    from hadoken.pipeline.inflight import Record
    from hadoken.worker.endings import Endings
    from hadoken.worker.stages import Stages

log = logging.getLogger("hadoken.pool")

LAPSED: Final = "it was not extended in time"
UNKNOWN: Final = api.EntryFailure(api.NO_ANSWER, "the answer does not say", sender_fault=False)


class Answers:
    """The answers to one pool's batches."""

    def __init__(self, stages: Stages, endings: Endings) -> None:
        self._endings = endings
        self._margin = stages.margin
        self._keeper = stages.keeper
        self._acknowledger = stages.acknowledger
        self._executor = stages.executor
        self._counts = stages.counts

    def answered(self, call: Extension | Batch, answer: object, now: float) -> None:
        """Take in the answer to a batch."""
        if isinstance(answer, api.SentBatch):
            # A copy that is in neither list is not confirmed, and its original must not be deleted.
            unknown = set(range(len(call.records))) - answer.sent.keys() - answer.failed.keys()
            self._entries(call, {**answer.failed, **dict.fromkeys(unknown, UNKNOWN)}, now)
            return
        if not isinstance(answer, api.BatchAnswer):
            raise TypeError(f"a batch was answered by {type(answer).__name__}")
        self._entries(call, answer.failed, now)

    def failed(self, call: Extension | Batch, error: SQSError, now: float) -> None:
        """Take in that a batch failed whole."""
        code = api.NO_ANSWER if api.may_be_applied(error) else error.code
        failure = api.EntryFailure(code, str(error), sender_fault=not error.transient)
        self._entries(call, dict.fromkeys(range(len(call.records)), failure), now)

    def lost(self, record: Record, now: float) -> None:
        """A lease lapsed (I4): tell whom it concerns; what was not started goes, what runs may finish."""
        self._note_lost(record, LAPSED)
        if record.state is State.ACTIVE:
            self._executor.withdraw(record.ticket)
            self._executor.tell(record.ticket, lease_lost=True)
        elif record.state is State.WAITING:
            self._endings.end(record, End.LOST, now, None)
        elif record.state is State.SETTLING:
            end = self._acknowledger.lapsed(record, now)
            if end is not None:
                self._endings.end(record, end, now, record.verdict)

    def _entries(self, call: Extension | Batch, failed: Mapping[int, api.EntryFailure], now: float) -> None:
        self._margin.note(now - call.sent_at)
        if isinstance(call, Extension):
            for record in self._keeper.answered(call, {at: failure.fault for at, failure in failed.items()}, now):
                self.lost(record, now)
            self._tell_extended(call, failed)
            return
        for record, end in self._acknowledger.answered(call, failed, now):
            if end is End.REFUSED and record.verdict is not None and record.verdict.kind is Kind.DEAD_LETTER:
                self._endings.retry_late(record, record.verdict, now)
                continue
            if end in GONE_ELSEWHERE:
                self._note_lost(record, "SQS says so" if end is End.LOST else "a visibility change was not answered")
            self._endings.end(record, end, now, record.verdict)

    def _tell_extended(self, call: Extension, failed: Mapping[int, api.EntryFailure]) -> None:
        counts = self._counts[call.queue.name]
        for position, record in enumerate(call.records):
            if position not in failed and record.state is not State.GONE:
                counts.extensions += 1
                if record.state is State.ACTIVE:
                    self._executor.tell(record.ticket, lease_end=record.lease_end)

    def _note_lost(self, record: Record, cause: str) -> None:
        if record.state is State.SETTLING and record.lost and cause != LAPSED:
            return  # counted when it lapsed
        record.lost = True
        self._counts[record.queue.name].lost += 1
        log.warning(
            "queue %s: the lease of message %s is lost (%s); another worker may run it again",
            record.queue.name, record.message.message_id, cause,
        )  # fmt: skip
