"""What a pool does with what it holds when the worker stops: finish, start while threads are idle, give back, give up.

Engine loop only; blocks on nothing. `stop.terminate` says when, `Pool.turn` takes the steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hadoken.pipeline.inflight import State
from hadoken.worker.endings import RELEASED

if TYPE_CHECKING:
    from hadoken.pipeline.executor import InHand
    from hadoken.pipeline.inflight import Record
    from hadoken.pipeline.poller import Poller
    from hadoken.worker.endings import Endings
    from hadoken.worker.stages import Stages


class Drain:
    """The end of one pool."""

    def __init__(self, stages: Stages, endings: Endings, pollers: Sequence[Poller]) -> None:
        self._stages = stages
        self._endings = endings
        self._pollers = pollers
        self._table = stages.table
        self._groups = stages.groups
        self._keeper = stages.keeper
        self._executor = stages.executor
        self._acknowledger = stages.acknowledger

    def begin(self) -> None:
        """Let what no thread has taken wait again; the steps see to it."""
        self._stages.draining = True
        self._take_back()

    def step(self, now: float) -> None:
        """Start what waits while threads are idle; give back the rest of a queue once it has no open receive.

        While one is open, SQS would hand what we give back to ourselves, at the price of another receive.
        """
        open_queues = {poller.queue.name for poller in self._pollers if poller.granted}
        waiting = [record for record in self._table.records.values() if record.state is State.WAITING]
        for record in waiting:
            if self._may_start(record):
                self._stages.start(record, now)
        for record in reversed(waiting):
            if record.state is State.WAITING and (self._stages.abandoned or record.queue.name not in open_queues):
                self._endings.give_back(record, now)

    def abandon(self, now: float) -> list[InHand]:
        """Give up what still runs: tell the handlers, release their messages (FIFO: leave the lease), say what it was.

        Returns:
            What the threads have in hand, one for each message given up; may be empty.
        """
        self._stages.abandoned = True
        self._take_back()
        active = [record for record in self._table.records.values() if record.state is State.ACTIVE]
        left = self._executor.withdraw_unstarted({record.ticket for record in active})
        for record in active:
            self._executor.tell(record.ticket, cancelled=True)
            if record.group is None and not record.lost:
                record.verdict = RELEASED
                record.visible_at = now
                self._table.move(record, State.SETTLING)
                self._acknowledger.add(record, now, urgent=True)
            else:
                self._keeper.forget(record)
                self._groups.leave(record)
                self._table.remove(record)
        return left

    def _may_start(self, record: Record) -> bool:
        idle = self._table.active < len(self._executor.slots)
        if not idle or self._stages.abandoned or record.lost:
            return False
        return record.held_until is None and self._groups.is_head(record)

    def _take_back(self) -> None:
        """Let wait again what was handed over and no thread has taken."""
        for ticket in self._executor.take_back():
            record = self._table.records.get(ticket)
            if record is not None and record.state is State.ACTIVE:
                self._table.move(record, State.WAITING)
