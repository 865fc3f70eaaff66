"""How a message ends here: from its handler's verdict, or from not being started, to its record leaving the table.

A message is settled (its outcome goes to SQS), held (a FIFO head, for its next try in place) or given back (unstarted).
Its record leaves the table in `end`, and nowhere else but at the drain deadline. Engine loop only; blocks on nothing.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from hadoken.outcome import Kind, Verdict
from hadoken.pipeline.acknowledger import LONGEST_RETRY, End
from hadoken.pipeline.inflight import State

if TYPE_CHECKING:
    from hadoken.pipeline.executor import Finished
    from hadoken.pipeline.inflight import Record
    from hadoken.worker.stages import Stages

log = logging.getLogger("hadoken.pool")

GIVEN_BACK: Final = (Kind.RETRY, Kind.RELEASE)
GONE_ELSEWHERE: Final = (End.LOST, End.UNKNOWN)
RELEASED: Final = Verdict(Kind.RELEASE)


class Endings:
    """The ends of the messages of one pool."""

    def __init__(self, stages: Stages) -> None:
        self._stages = stages
        self._table = stages.table
        self._groups = stages.groups
        self._keeper = stages.keeper
        self._acknowledger = stages.acknowledger
        self._limits = stages.limits
        self._counts = stages.counts

    def finished(self, finished: Finished, now: float) -> None:
        """Take in what a handler thread brought back."""
        record = self._table.records.get(finished.ticket)
        overran = self._limits.came_back(finished.ticket)
        if record is None or record.state is not State.ACTIVE:
            return  # given up at the drain deadline; its outcome comes too late to count
        if overran:  # it came back after all, so what is left to do for it is held like any other
            record.keep = True
            self._keeper.ask(record, record.timeout)
        verdict = finished.verdict
        if verdict is None:
            self._withdrawn(record, now)
            return
        if verdict.kind is Kind.RETRY and self._retries_in_place(record, verdict):
            if not (record.is_last_attempt and record.queue.dead_letter_url):
                self._counts[record.queue.name].note(verdict)
                self._hold(record, verdict, now)
                return
            verdict = Verdict(Kind.DEAD_LETTER, reason=verdict.reason, failed=verdict.failed)
        self._counts[record.queue.name].note(verdict)
        if record.lost and verdict.kind not in (Kind.ACK, Kind.DISCARD):
            self.end(record, End.LOST, now, verdict)
            return
        if verdict.kind is Kind.DEAD_LETTER and not record.queue.dead_letter_url:
            self.retry_late(record, verdict, now)
            return
        self.acknowledge(record, verdict, now)

    def acknowledge(self, record: Record, verdict: Verdict, now: float) -> None:
        """Hand a message that is done to the acknowledger."""
        record.verdict = verdict
        record.visible_at = now + verdict.after
        if verdict.kind in GIVEN_BACK:
            for behind in self._groups.behind(record):
                self.give_back(behind, now)
        self._table.move(record, State.SETTLING)
        self._acknowledger.add(record, now, urgent=self._stages.draining or self._groups.has_next(record))

    def give_back(self, record: Record, now: float) -> None:
        """Return a message that was not started, for any worker to take."""
        self._counts[record.queue.name].unstarted += 1
        if record.lost:
            self.end(record, End.LOST, now, None)
            return
        record.verdict = RELEASED
        record.visible_at = now if record.held_until is None else record.held_until
        self._groups.let_go(record)
        self._table.move(record, State.SETTLING)
        self._acknowledger.add(record, now, urgent=True)

    def retry_late(self, record: Record, verdict: Verdict, now: float) -> None:
        """Retry a message that should be dead-lettered and cannot: a FIFO one in place.

        Given back, it would be overtaken by what follows it, or what follows would pay for each of its tries with a
        receive and in the end be dead-lettered unstarted (I9).
        """
        in_place = record.group is not None and not self._stages.draining
        after = min(LONGEST_RETRY, record.queue.hold_limit) if in_place else LONGEST_RETRY
        log.error(
            "queue %s: message %s should be dead-lettered (%s), but no dead-letter queue takes it; retried in %d s",
            record.queue.name,
            record.message.message_id,
            verdict.reason,
            after,
        )
        late = Verdict(Kind.RETRY, after=after, reason=verdict.reason, failed=verdict.failed)
        if in_place:
            self._hold(record, late, now)
        else:
            self.acknowledge(record, late, now)

    def end(self, record: Record, end: End, now: float, verdict: Verdict | None) -> None:
        """Let a record go, then the next of its group may run."""
        counts = self._counts[record.queue.name]
        handled = verdict is not None and verdict.kind in (Kind.ACK, Kind.DISCARD)
        if end is End.DELETED:
            counts.deleted += 1
        elif end is not End.CHANGED and handled:
            self._table.remember_finished(record)
        if record.extensions:
            counts.extended += 1
        behind = self._groups.behind(record) if end in GONE_ELSEWHERE and not handled else []
        self._keeper.forget(record)
        self._table.remove(record)
        for other in behind:  # the lost one may run elsewhere: what follows it must not run here before it
            self.give_back(other, now)
        head = self._groups.leave(record)
        if head is not None and not self._stages.draining:
            self._stages.start(head, now)

    def _withdrawn(self, record: Record, now: float) -> None:
        """Go on with a message that was withdrawn unstarted since its lease was lost: it may be ours again by now."""
        if record.lost:
            self.give_back(record, now)
        elif self._stages.draining:
            self._table.move(record, State.WAITING)
        else:
            self._stages.start(record, now)

    def _retries_in_place(self, record: Record, verdict: Verdict) -> bool:
        return (
            record.group is not None
            and not record.lost
            and not self._stages.draining
            and verdict.after <= record.queue.hold_limit
        )

    def _hold(self, record: Record, verdict: Verdict, now: float) -> None:
        """Hold a failed FIFO head, with its group behind it, until its next try in place.

        A release would cost every message behind it a receive: five messages of a group were seen dead-lettered, four
        of them never started, after three failures of the first.
        """
        record.retries += 1
        self._table.move(record, State.WAITING)
        self._groups.hold(record, now + verdict.after)
