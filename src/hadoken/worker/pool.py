"""One pool: its stages wired around its in-flight table.

Rules of this file:
- No I/O, no thread, no clock: `turn(now)` returns the calls to make, `answered` and `failed` take their answers in.
  So a test can step a whole pool by hand.
- Engine loop only.
- The order of a turn is the way of a message backwards: outcomes first, for they free the places that polls then ask
  for.
- What happens to a message is told elsewhere, in its order: `receipts`, `scouts`, `endings`, `answers`, `drain`.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hadoken import limits
from hadoken.pipeline.acknowledger import LINGER, Batch
from hadoken.pipeline.admission import MAX_BYTES, Admission
from hadoken.pipeline.keeper import Extension
from hadoken.pipeline.places import Places
from hadoken.pipeline.poller import MOST_OPEN, Poller
from hadoken.worker.answers import Answers
from hadoken.worker.drain import Drain
from hadoken.worker.endings import Endings
from hadoken.worker.receipts import Poll, Receipts
from hadoken.worker.scouts import Scouts
from hadoken.worker.stages import Stages

if TYPE_CHECKING:
    from hadoken.errors import SQSError
    from hadoken.pipeline.executor import Executor, InHand
    from hadoken.pipeline.inflight import Record
    from hadoken.pipeline.queues import QueueInfo

log = logging.getLogger("hadoken.pool")

LOOK = LINGER / 2  # seconds after which the engine looks for outcomes by itself, while many end

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
        self._stages = stages = Stages(queues, executor, randomness=randomness)
        self.table = stages.table
        self.keeper = stages.keeper
        self.acknowledger = stages.acknowledger
        self.groups = stages.groups
        self.counts = stages.counts
        self._limits = stages.limits
        self.pollers = [Poller(queue, most_open=most_open, randomness=randomness) for queue in queues]
        self.places = Places(self.concurrency, linger=LINGER, lookahead=lookahead)
        self.admission = Admission(self.places, self.table, self.pollers, max_bytes=max_bytes)
        self.endings = Endings(stages)
        self._scouts = Scouts(stages, self.endings, self.admission, self.places, self.pollers)
        self._receipts = Receipts(stages, self.endings, self.admission, self.places, self._scouts)
        self._answers = Answers(stages, self.endings)
        self._drain = Drain(stages, self.endings, self.pollers)
        self._look_at: float | None = None  # when to look for outcomes that nobody called for

    # ---- the engine's side -------------------------------------------------------------------------------------------

    def turn(self, now: float) -> list[Call]:
        """Do all that is due at `now` and return the calls to make, none of which may be left out."""
        calls: list[Call] = []
        while True:
            self._take_outcomes(now)
            for record in self.groups.due(now):
                if not self.abandoned:  # else the drain gives it back, like all that waits
                    self._stages.start(record, now)
            if self._limits.is_due(now):
                for record, in_hand in self._limits.over(self.table, self.executor.in_hand(), now):
                    self._overrun(record, in_hand, now)
            due = self.keeper.due(now)
            for record in due.lost:
                self._answers.lost(record, now)
            calls.extend(due.extensions)
            self._scouts.release(now)
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
            self._scouts.next_due(),
            self._look_at,
        )
        return min((at for at in times if at is not None), default=None)

    def answered(self, call: Call, answer: object, now: float) -> None:
        """Take in the answer to a call of `turn`."""
        if isinstance(call, Poll):
            self._receipts.received(call, answer, now)
        else:
            self._answers.answered(call, answer, now)

    def failed(self, call: Call, error: SQSError, now: float) -> None:
        """Take in that a call of `turn` failed whole."""
        if isinstance(call, Poll):
            call.poller.failed(error, call.grant.size, now)
            self.admission.failed(call.grant)
        else:
            self._answers.failed(call, error, now)

    def extend(self, ticket: int, seconds: float) -> None:
        """Take in that a handler asked for a longer lease."""
        record = self.table.records.get(ticket)
        if record is not None:
            self.keeper.ask(record, seconds)

    # ---- the end -----------------------------------------------------------------------------------------------------

    @property
    def draining(self) -> bool:
        """Whether what is held is only finished or given back."""
        return self._stages.draining

    @property
    def abandoned(self) -> bool:
        """Whether the drain deadline has passed."""
        return self._stages.abandoned

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

    # ---- steps of a turn ---------------------------------------------------------------------------------------------

    def _take_outcomes(self, now: float) -> None:
        outcomes = self.executor.outcomes()
        if outcomes:
            ran = [finished.took for finished in outcomes if finished.verdict is not None]  # None: withdrawn unstarted
            self.places.ran(len(ran), sum(ran))
            self._look_at = now + LOOK
        elif self._look_at is not None and now >= self._look_at:
            self._look_at = None  # it has become quiet: from now on the first outcome calls
        for finished in outcomes:
            self.endings.finished(finished, now)

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

    def _polls(self, now: float) -> list[Call]:
        grants = self.admission.grants(now)
        return [Poll(grant, grant.poller.request(grant.size, grant.wait_time), now) for grant in grants]

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
