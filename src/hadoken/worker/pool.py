"""One pool: its stages wired around its in-flight table.

Rules of this file:
- No I/O, no thread, no clock: `turn(now)` returns the calls to make, `answered` and `failed` take their answers in.
  So a test can step a whole pool by hand.
- Engine loop only.
- The order of a turn is the way of a message backwards: outcomes first, for they free the places that polls then ask
  for.
"""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hadoken import limits
from hadoken.errors import SQSError
from hadoken.outcome import ACKED, Kind, Verdict
from hadoken.pipeline.acknowledger import LINGER, LONGEST_RETRY, Acknowledger, Batch, End
from hadoken.pipeline.admission import MAX_BYTES, Admission, Grant
from hadoken.pipeline.counts import Counts
from hadoken.pipeline.executor import Executor, Finished, Handed, InHand
from hadoken.pipeline.groups import Groups
from hadoken.pipeline.inflight import Record, State, Table
from hadoken.pipeline.keeper import Extension, Keeper
from hadoken.pipeline.lease import Margin, ServerClock
from hadoken.pipeline.places import Places
from hadoken.pipeline.poller import MOST_OPEN, Poller
from hadoken.pipeline.queues import QueueInfo
from hadoken.pipeline.time_limits import TimeLimits
from hadoken.sqs import api
from hadoken.worker.drain import RELEASED, Drain

log = logging.getLogger("hadoken.pool")

LAPSED = "it was not extended in time"
GIVEN_BACK = (Kind.RETRY, Kind.RELEASE)
LOOK = LINGER / 2  # seconds after which the engine looks for outcomes by itself, while many end
GONE_ELSEWHERE = (End.LOST, End.UNKNOWN)
UNKNOWN = api.EntryFailure(api.NO_ANSWER, "the answer does not say", sender_fault=False)


@dataclass(slots=True)
class Poll:
    """One open receive."""

    grant: Grant
    request: api.Receive
    sent_at: float

    @property
    def poller(self) -> Poller:
        """Whose."""
        return self.grant.poller


Call = Poll | Extension | Batch


class Pool:
    """The path of the messages of one pool.

    Args:
        lookahead: messages that may wait for a thread; None: measured, see `Places`.
        most_open: receives of one queue that may be open at once.
        max_bytes: of messages in flight, see `Admission`.

    Attributes:
        counts: logical queue name -> its counters.
    """

    def __init__(
        self,
        name: str,
        queues: Sequence[QueueInfo],
        executor: Executor,
        *,
        lookahead: int | None = None,
        most_open: int = MOST_OPEN,
        max_bytes: int = MAX_BYTES,
        randomness: random.Random | None = None,
    ) -> None:
        self.name = name
        self.executor = executor
        self.concurrency = len(executor.slots)
        self.table = Table()
        self.margin = Margin()
        self.keeper = Keeper(self.margin)
        self.acknowledger = Acknowledger(self.margin, randomness=randomness)
        self.groups = Groups()
        self.pollers = [Poller(queue, most_open=most_open, randomness=randomness) for queue in queues]
        self.places = Places(self.concurrency, linger=LINGER, lookahead=lookahead)
        self.admission = Admission(self.places, self.table, self.pollers, max_bytes=max_bytes)
        self._scouted: deque[tuple[float, int]] = deque()
        self._look_at: float | None = None  # when to look for outcomes that nobody called for
        self._poller_of = {poller.queue.name: poller for poller in self.pollers}
        self.counts = {queue.name: Counts() for queue in queues}
        self._drain = Drain(
            self.table,
            self.groups,
            self.keeper,
            executor,
            self.acknowledger,
            self.pollers,
            start=self._activate,
            give_back=self._give_back,
        )
        self._server_clock = ServerClock()
        self._limits = TimeLimits(queues)

    # ---- the engine's side -------------------------------------------------------------------------------------------

    def turn(self, now: float) -> list[Call]:
        """Do all that is due at `now` and return the calls to make, none of which may be left out."""
        calls: list[Call] = []
        while True:
            self._take_outcomes(now)
            for record in self.groups.due(now):
                if not self.abandoned:  # else the drain gives it back, like all that waits
                    self._activate(record, now)
            if self._limits.is_due(now):
                for record, in_hand in self._limits.over(self.table, self.executor.in_hand(), now):
                    self._overrun(record, in_hand, now)
            due = self.keeper.due(now)
            for record in due.lost:
                self._lost(record, now)
            calls.extend(due.extensions)
            if self._scouted and self._scouted[0][0] <= now:
                self._release_scouted(now)
            if self.draining:
                self._drain.step(now)
            calls.extend(self.acknowledger.flush_due(now, everything=self.draining))
            calls.extend(self._polls(now))
            if not self.executor.want(self._enough(now)):
                return calls

    def next_due(self) -> float | None:
        """When the next turn is needed if nothing else happens; None if never. May be in the past: then at once."""
        times = (
            self.keeper.next_due(),
            self.acknowledger.next_flush(),
            self.groups.next_try(),
            self._limits.next_look(),
            self.admission.next_try(),
            self._scouted[0][0] if self._scouted else None,
            self._look_at,
        )
        return min((at for at in times if at is not None), default=None)

    def answered(self, call: Call, answer: object, now: float) -> None:
        """Take in the answer to a call of `turn`."""
        if isinstance(call, Poll):
            if not isinstance(answer, api.Received):
                raise TypeError(f"a receive was answered by {type(answer).__name__}")
            self._received(call, answer, now)
            return
        if isinstance(answer, api.SentBatch):
            # A copy that is in neither list is not confirmed, and its original must not be deleted.
            unknown = set(range(len(call.records))) - answer.sent.keys() - answer.failed.keys()
            self._batch_answered(call, {**answer.failed, **dict.fromkeys(unknown, UNKNOWN)}, now)
            return
        if not isinstance(answer, api.BatchAnswer):
            raise TypeError(f"a batch was answered by {type(answer).__name__}")
        self._batch_answered(call, answer.failed, now)

    def failed(self, call: Call, error: SQSError, now: float) -> None:
        """Take in that a call of `turn` failed whole."""
        if isinstance(call, Poll):
            call.poller.failed(error, call.grant.size, now)
            self.admission.failed(call.grant)
            return
        code = api.NO_ANSWER if api.may_be_applied(error) else error.code
        failure = api.EntryFailure(code, str(error), sender_fault=not error.transient)
        self._batch_answered(call, dict.fromkeys(range(len(call.records)), failure), now)

    def extend(self, ticket: int, seconds: float) -> None:
        """Take in that a handler asked for a longer lease."""
        record = self.table.records.get(ticket)
        if record is not None:
            self.keeper.ask(record, seconds)

    # ---- receiving ---------------------------------------------------------------------------------------------------

    def _polls(self, now: float) -> list[Call]:
        grants = self.admission.grants(now)
        return [Poll(grant, grant.poller.request(grant.size, grant.wait_time), now) for grant in grants]

    def _received(self, poll: Poll, received: api.Received, now: float) -> None:
        queue = poll.poller.queue
        count = len(received.messages)
        if count == poll.grant.size and not poll.grant.scout:
            self.places.travelled(now - poll.sent_at)
        held = self.table.bytes
        start = self._server_clock.lease_start(received.server_time, sent=poll.sent_at, arrived=now)
        records = [
            record
            for message in received.messages
            if (record := self._enter(message, queue, start=start, now=now)) is not None
        ]
        self.admission.received(poll.grant, count, self.table.bytes - held)
        # One that came twice in this receive is held already, under its newest handle.
        fresh = [record for record in records if record.entry is None]
        self.keeper.hold(fresh, lease_start=start, length=queue.visibility_timeout)
        for record in records:
            if record.state is State.WAITING and self.groups.join(record) and not self.draining:
                self._activate(record, now)
                if poll.grant.scout:
                    self._scouted.append((now + self.places.max_local_wait, record.ticket))

    def _enter(self, message: api.ReceivedMessage, queue: QueueInfo, *, start: float, now: float) -> Record | None:
        """Enter a message in the table. One that we hold already is not run beside itself: its newest handle wins."""
        counts = self.counts[queue.name]
        held = self.table.holding(queue, message.message_id)
        if held is not None and held.state is State.SETTLING and held.verdict and held.verdict.kind in GIVEN_BACK:
            self.acknowledger.forget(held)
            self._end(held, End.CHANGED, now, held.verdict)  # it is visible again, so the change was applied
        elif held is not None:
            counts.again += 1
            self.keeper.forget(held)
            held.message, held.handle, held.received_at, held.lost = message, message.receipt_handle, start, False
            self.keeper.hold([held], lease_start=start, length=queue.visibility_timeout)
            return None
        finished = self.table.was_finished(queue, message.message_id)
        record = self.table.add(message, queue, received_at=start, lease_end=start + queue.visibility_timeout)
        counts.received += 1
        if finished:
            log.info("queue %s: message %s was handled before; deleting it again", queue.name, message.message_id)
            self._settle(record, ACKED, now)
        return record

    def _release_scouted(self, now: float) -> None:
        """Give back what scouts found and no thread has taken in time: another worker may have one that is free.

        On its last attempt a message stays: the next receive would dead-letter it unstarted (I9). So does the head of a
        message group behind which others wait, who would pay for it with a receive each.
        """
        while self._scouted and self._scouted[0][0] <= now:
            record = self.table.records.get(self._scouted.popleft()[1])
            if record is None or record.state is not State.ACTIVE or self.draining:
                continue
            if record.is_last_attempt or record.lost or self.groups.has_next(record):
                continue
            if any(one.ticket == record.ticket for one in self.executor.withdraw_unstarted({record.ticket})):
                continue  # a thread has begun it
            self.counts[record.queue.name].scouted += 1
            self.admission.block(self._poller_of[record.queue.name])
            self._give_back(record, now)

    def _activate(self, record: Record, now: float) -> None:
        """Give a message that may run now to the handler threads."""
        self.table.move(record, State.ACTIVE)
        self._limits.began(now)
        self.executor.hand(
            Handed(
                record.ticket,
                record.queue.name,
                record.message,
                record.attempt,
                record.is_last_attempt,
                record.lease_end,
            )
        )

    # ---- finishing ---------------------------------------------------------------------------------------------------

    def _take_outcomes(self, now: float) -> None:
        outcomes = self.executor.outcomes()
        if outcomes:
            self.places.ran(len(outcomes), sum(finished.took for finished in outcomes))
            self._look_at = now + LOOK
        elif self._look_at is not None and now >= self._look_at:
            self._look_at = None  # it has become quiet: from now on the first outcome calls
        for finished in outcomes:
            self._finished(finished, now)

    def _finished(self, finished: Finished, now: float) -> None:
        record = self.table.records.get(finished.ticket)
        overran = self._limits.came_back(finished.ticket)
        if record is None or record.state is not State.ACTIVE:
            return  # given up at the drain deadline; its outcome comes too late to count
        if overran:  # it came back after all, so what is left to do for it is held like any other
            record.keep = True
            self.keeper.ask(record, record.timeout)
        verdict = finished.verdict
        if verdict is None:
            self._withdrawn(record, now)
            return
        if verdict.kind is Kind.RETRY and self._retries_in_place(record, verdict):
            if not (record.is_last_attempt and record.queue.dead_letter_url):
                self.counts[record.queue.name].note(verdict)
                self._hold(record, verdict, now)
                return
            verdict = Verdict(Kind.DEAD_LETTER, reason=verdict.reason, failed=verdict.failed)
        self.counts[record.queue.name].note(verdict)
        if record.lost and verdict.kind not in (Kind.ACK, Kind.DISCARD):
            self._end(record, End.LOST, now, verdict)
            return
        if verdict.kind is Kind.DEAD_LETTER and not record.queue.dead_letter_url:
            self._retry_late(record, verdict, now)
            return
        self._settle(record, verdict, now)

    def _withdrawn(self, record: Record, now: float) -> None:
        """Go on with a message that was withdrawn unstarted since its lease was lost: it may be ours again by now."""
        if record.lost:
            self._give_back(record, now)
        elif self.draining:
            self.table.move(record, State.WAITING)
        else:
            self._activate(record, now)

    def _retries_in_place(self, record: Record, verdict: Verdict) -> bool:
        return (
            record.group is not None
            and not record.lost
            and not self.draining
            and verdict.after <= record.queue.hold_limit
        )

    def _hold(self, record: Record, verdict: Verdict, now: float) -> None:
        """Hold a failed FIFO head, with its group behind it, until its next try in place.

        A release would cost every message behind it a receive: five messages of a group were seen dead-lettered, four
        of them never started, after three failures of the first.
        """
        record.retries += 1
        self.table.move(record, State.WAITING)
        self.groups.hold(record, now + verdict.after)

    def _retry_late(self, record: Record, verdict: Verdict, now: float) -> None:
        """Retry a message that should be dead-lettered and cannot: a FIFO one in place.

        Given back, it would be overtaken by what follows it, or what follows would pay for each of its tries with a
        receive and in the end be dead-lettered unstarted (I9).
        """
        in_place = record.group is not None and not self.draining
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
            self._settle(record, late, now)

    def _settle(self, record: Record, verdict: Verdict, now: float) -> None:
        """Hand a message that is done to the acknowledger."""
        record.verdict = verdict
        record.visible_at = now + verdict.after
        if verdict.kind in GIVEN_BACK:
            for behind in self.groups.behind(record):
                self._give_back(behind, now)
        self.table.move(record, State.SETTLING)
        self.acknowledger.add(record, now, urgent=self.draining or self.groups.has_next(record))

    def _give_back(self, record: Record, now: float) -> None:
        """Return a message that was not started, for any worker to take."""
        self.counts[record.queue.name].unstarted += 1
        if record.lost:
            self._end(record, End.LOST, now, None)
            return
        record.verdict = RELEASED
        record.visible_at = now if record.held_until is None else record.held_until
        self.groups.let_go(record)
        self.table.move(record, State.SETTLING)
        self.acknowledger.add(record, now, urgent=True)

    def _end(self, record: Record, end: End, now: float, verdict: Verdict | None) -> None:
        """Let a record go: the only place where one leaves the table, then the next of its group may run."""
        counts = self.counts[record.queue.name]
        handled = verdict is not None and verdict.kind in (Kind.ACK, Kind.DISCARD)
        if end is End.DELETED:
            counts.deleted += 1
        elif end is not End.CHANGED and handled:
            self.table.remember_finished(record)
        if record.extensions:
            counts.extended += 1
        behind = self.groups.behind(record) if end in GONE_ELSEWHERE and not handled else []
        self.keeper.forget(record)
        self.table.remove(record)
        for other in behind:  # the lost one may run elsewhere: what follows it must not run here before it
            self._give_back(other, now)
        head = self.groups.leave(record)
        if head is not None and not self.draining:
            self._activate(head, now)

    # ---- answers -----------------------------------------------------------------------------------------------------

    def _batch_answered(self, call: Extension | Batch, failed: Mapping[int, api.EntryFailure], now: float) -> None:
        self.margin.note(now - call.sent_at)
        if isinstance(call, Extension):
            for record in self.keeper.answered(call, {at: failure.fault for at, failure in failed.items()}, now):
                self._lost(record, now)
            self._tell_extended(call, failed)
            return
        for record, end in self.acknowledger.answered(call, failed, now):
            if end is End.REFUSED and record.verdict is not None and record.verdict.kind is Kind.DEAD_LETTER:
                self._retry_late(record, record.verdict, now)
                continue
            if end in GONE_ELSEWHERE:
                self._note_lost(record, "SQS says so" if end is End.LOST else "a visibility change was not answered")
            self._end(record, end, now, record.verdict)

    def _tell_extended(self, call: Extension, failed: Mapping[int, api.EntryFailure]) -> None:
        counts = self.counts[call.queue.name]
        for position, record in enumerate(call.records):
            if position not in failed and record.state is not State.GONE:
                counts.extensions += 1
                if record.state is State.ACTIVE:
                    self.executor.tell(record.ticket, lease_end=record.lease_end)

    def _lost(self, record: Record, now: float) -> None:
        """A lease lapsed (I4): tell whom it concerns; what was not started goes, what runs may finish."""
        self._note_lost(record, LAPSED)
        if record.state is State.ACTIVE:
            self.executor.withdraw(record.ticket)
            self.executor.tell(record.ticket, lease_lost=True)
        elif record.state is State.WAITING:
            self._end(record, End.LOST, now, None)
        elif record.state is State.SETTLING:
            end = self.acknowledger.lapsed(record, now)
            if end is not None:
                self._end(record, end, now, record.verdict)

    def _note_lost(self, record: Record, cause: str) -> None:
        if record.state is State.SETTLING and record.lost and cause != LAPSED:
            return  # counted when it lapsed
        record.lost = True
        self.counts[record.queue.name].lost += 1
        log.warning(
            "queue %s: the lease of message %s is lost (%s); another worker may run it again",
            record.queue.name, record.message.message_id, cause,
        )  # fmt: skip

    # ---- time limits -------------------------------------------------------------------------------------------------

    def _overrun(self, record: Record, in_hand: InHand, now: float) -> None:
        """End the extending of a handler that hangs; its thread keeps its slot and is not replaced."""
        record.keep = False
        self.counts[record.queue.name].overrun += 1
        self.executor.tell(record.ticket, cancelled=True)
        log.error(
            "handler %s (hadoken-%s-%d) has run message %s for %.0f s, its limit is %s s: it is not extended any more",
            in_hand.handler,
            self.name,
            in_hand.slot,
            in_hand.message_id,
            now - in_hand.since,
            record.queue.time_limit,
        )

    # ---- the end -----------------------------------------------------------------------------------------------------

    @property
    def draining(self) -> bool:
        """Whether what is held is only finished or given back."""
        return self._drain.begun

    @property
    def abandoned(self) -> bool:
        """Whether the drain deadline has passed."""
        return self._drain.over

    @property
    def hung(self) -> int:
        """How many handlers are over their time limit and have not come back."""
        return len(self._limits.hung)

    @property
    def idle(self) -> bool:
        """Whether nothing is held and no receive is open."""
        return not len(self.table) and not any(poller.granted for poller in self.pollers)

    def quiet(self) -> None:
        """Start no receive any more."""
        for poller in self.pollers:
            poller.quiet = True

    def drain(self) -> None:
        """Begin to stop; the next turns finish, start or give back what is held."""
        self.quiet()
        self._drain.begin()

    def abandon(self, now: float) -> list[InHand]:
        """Give up what still runs at the drain deadline; see `Drain.abandon`."""
        return self._drain.abandon(now)

    # ---- small things ------------------------------------------------------------------------------------------------

    def _enough(self, now: float) -> int:
        """Outcomes for which the engine wants to be woken: each, unless it will look soon anyway.

        It will where outcomes linger, and where so many runs end within `LOOK` that the first of the next batch need
        not call: each wake costs as much as handing ten messages over.
        """
        if self.draining:
            self._look_at = None
            return 1
        flush = self.acknowledger.next_flush()
        if flush is not None and flush <= now + LINGER:
            self._look_at = None
        elif self._look_at is None or self.places.ending(self.table.active, LOOK) < limits.BATCH_ENTRIES:
            self._look_at = None
            return 1
        batch = limits.BATCH_ENTRIES - self.acknowledger.pending % limits.BATCH_ENTRIES
        missing = self.admission.missing()
        return min(batch, missing) if missing else batch
