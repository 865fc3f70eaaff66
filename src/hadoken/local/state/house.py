"""What the queues of one local SQS have in common."""

# It names the queue that names it, for type checkers only: no cycle at run time.
# pyright: reportImportCycles=false
from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from hadoken.local.state.profile import AWS, Profile

if TYPE_CHECKING:
    from collections.abc import Callable

    from hadoken.clock import Clock
    from hadoken.local.state.eventlog import EventLog
    from hadoken.local.state.handles import Handles
    from hadoken.local.state.queue import Queue
    from hadoken.local.state.witness import Witness

# In flight per queue, standard and FIFO. SQS developer guide, message quotas; "approximately".
MAX_IN_FLIGHT: Final = 120_000


class House(NamedTuple):
    """What all queues of one local SQS share.

    Attributes:
        touched: takes note of a queue in which something may have become receivable, or sooner than before.
        find: the queue with an ARN, None if there is none.
        profile: how kind it is.
        seed: of everything that is left to chance.
        max_in_flight: of each queue.
        witness: told of every change; None for nobody.
    """

    clock: Clock
    log: EventLog
    handles: Handles
    touched: dict[Queue, None]
    find: Callable[[str], Queue | None]
    profile: Profile = AWS
    seed: int = 0
    max_in_flight: int = MAX_IN_FLIGHT
    witness: Witness[Queue] | None = None
