"""What one pool is made of: the stages of the path, which know nothing of each other, around its in-flight table.

Engine loop only; blocks on nothing. Made and wired by `Pool`; what happens between stages is told in `receipts`,
`endings`, `answers` and `drain`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hadoken.pipeline.acknowledger import Acknowledger
from hadoken.pipeline.counts import Counts
from hadoken.pipeline.executor import Handed
from hadoken.pipeline.groups import Groups
from hadoken.pipeline.inflight import State, Table
from hadoken.pipeline.keeper import Keeper
from hadoken.pipeline.lease import Margin
from hadoken.pipeline.time_limits import TimeLimits

if TYPE_CHECKING:
    from hadoken.pipeline.executor import Executor
    from hadoken.pipeline.inflight import Record
    from hadoken.pipeline.queues import QueueInfo


class Stages:
    """The stages of one pool that hold something of its messages.

    Attributes:
        counts: logical queue name -> its counters.
        draining: what is held is only finished or given back.
        abandoned: the drain deadline has passed: nothing is started any more, what comes is given back at once.
    """

    def __init__(
        self, queues: Sequence[QueueInfo], executor: Executor, *, randomness: random.Random | None = None
    ) -> None:
        self.executor = executor
        self.table = Table()
        self.margin = Margin()
        self.keeper = Keeper(self.margin)
        self.acknowledger = Acknowledger(self.margin, randomness=randomness)
        self.groups = Groups()
        self.limits = TimeLimits(queues)
        self.counts = {queue.name: Counts() for queue in queues}
        self.draining = False
        self.abandoned = False

    def start(self, record: Record, now: float) -> None:
        """Give a message that may run now to the handler threads."""
        self.table.move(record, State.ACTIVE)
        self.limits.began(now)
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
