"""What scouts found: each message is for the thread that takes it soon, or else for another worker.

Engine loop only; blocks on nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hadoken.pipeline.inflight import State

if TYPE_CHECKING:
    from hadoken.pipeline.admission import Admission
    from hadoken.pipeline.inflight import Record
    from hadoken.pipeline.places import Places
    from hadoken.pipeline.poller import Poller
    from hadoken.worker.endings import Endings
    from hadoken.worker.stages import Stages


class Scouts:
    """The messages that scouts of one pool found, until it is known whether a thread takes them."""

    def __init__(
        self, stages: Stages, endings: Endings, admission: Admission, places: Places, pollers: Sequence[Poller]
    ) -> None:
        self._stages = stages
        self._endings = endings
        self._admission = admission
        self._places = places
        self._poller_of = {poller.queue.name: poller for poller in pollers}
        self._found: deque[tuple[float, int]] = deque()

    def found(self, record: Record, now: float) -> None:
        """Take in that a scout brought this message, which has just been handed over."""
        self._found.append((now + self._places.max_local_wait, record.ticket))

    def next_due(self) -> float | None:
        """When the first of them has waited for long enough; None where there is none."""
        return self._found[0][0] if self._found else None

    def release(self, now: float) -> None:
        """Give back what no thread has taken in time: another worker may have one that is free.

        On its last attempt a message stays: the next receive would dead-letter it unstarted (I9). So does the head of a
        message group behind which others wait, who would pay for it with a receive each.
        """
        stages = self._stages
        while self._found and self._found[0][0] <= now:
            record = stages.table.records.get(self._found.popleft()[1])
            if record is None or record.state is not State.ACTIVE or stages.draining:
                continue
            if record.is_last_attempt or record.lost or stages.groups.has_next(record):
                continue
            if any(one.ticket == record.ticket for one in stages.executor.withdraw_unstarted({record.ticket})):
                continue  # a thread has begun it
            stages.counts[record.queue.name].scouted += 1
            self._admission.block(self._poller_of[record.queue.name])
            self._endings.give_back(record, now)
