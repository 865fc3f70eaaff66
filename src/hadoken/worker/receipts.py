"""What receives bring: messages enter the table and go to the handler threads, or wait behind their group's head.

Engine loop only; blocks on nothing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hadoken.outcome import ACKED
from hadoken.pipeline.acknowledger import End
from hadoken.pipeline.inflight import State
from hadoken.pipeline.lease import ServerClock
from hadoken.sqs import api
from hadoken.worker.endings import GIVEN_BACK

if TYPE_CHECKING:
    from hadoken.pipeline.admission import Admission, Grant
    from hadoken.pipeline.inflight import Record
    from hadoken.pipeline.places import Places
    from hadoken.pipeline.poller import Poller
    from hadoken.pipeline.queues import QueueInfo
    from hadoken.worker.endings import Endings
    from hadoken.worker.scouts import Scouts
    from hadoken.worker.stages import Stages

log = logging.getLogger("hadoken.pool")


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


class Receipts:
    """The answers to one pool's receives."""

    def __init__(self, stages: Stages, endings: Endings, admission: Admission, places: Places, scouts: Scouts) -> None:
        self._stages = stages
        self._endings = endings
        self._admission = admission
        self._places = places
        self._scouts = scouts
        self._table = stages.table
        self._keeper = stages.keeper
        self._server_clock = ServerClock()

    def received(self, poll: Poll, received: object, now: float) -> None:
        """Take in the answer to a receive."""
        if not isinstance(received, api.Received):
            raise TypeError(f"a receive was answered by {type(received).__name__}")
        queue = poll.poller.queue
        count = len(received.messages)
        if count == poll.grant.size and not poll.grant.scout:
            self._places.travelled(now - poll.sent_at)
        held = self._table.bytes
        start = self._server_clock.lease_start(received.server_time, sent=poll.sent_at, arrived=now)
        records = [
            record
            for message in received.messages
            if (record := self._enter(message, queue, start=start, now=now)) is not None
        ]
        self._admission.received(poll.grant, count, self._table.bytes - held)
        # One that came twice in this receive is held already, under its newest handle.
        fresh = [record for record in records if record.entry is None]
        self._keeper.hold(fresh, lease_start=start, length=queue.visibility_timeout)
        stages = self._stages
        for record in records:
            if record.state is State.WAITING and stages.groups.join(record) and not stages.draining:
                stages.start(record, now)
                if poll.grant.scout:
                    self._scouts.found(record, now)

    def _enter(self, message: api.ReceivedMessage, queue: QueueInfo, *, start: float, now: float) -> Record | None:
        """Enter a message in the table. One that we hold already is not run beside itself: its newest handle wins."""
        counts = self._stages.counts[queue.name]
        held = self._table.holding(queue, message.message_id)
        if held is not None and held.state is State.SETTLING and held.verdict and held.verdict.kind in GIVEN_BACK:
            self._stages.acknowledger.forget(held)
            self._endings.end(held, End.CHANGED, now, held.verdict)  # it is visible again, so the change was applied
        elif held is not None:
            counts.again += 1
            self._keeper.forget(held)
            held.message, held.handle, held.received_at, held.lost = message, message.receipt_handle, start, False
            self._keeper.hold([held], lease_start=start, length=queue.visibility_timeout)
            return None
        finished = self._table.was_finished(queue, message.message_id)
        record = self._table.add(message, queue, received_at=start, lease_end=start + queue.visibility_timeout)
        counts.received += 1
        if finished:
            log.info("queue %s: message %s was handled before; deleting it again", queue.name, message.message_id)
            self._endings.acknowledge(record, ACKED, now)
        return record
