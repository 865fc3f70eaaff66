"""What time does to a queue: retention periods, leases and delays end, and what a harsh profile has in mind happens.

See `queue` for the rules: all of this is done late, when somebody calls, and as if it had been done in time.
"""

# It names the queue that names it, for type checkers only: no cycle at run time.
# pyright: reportImportCycles=false
from __future__ import annotations

from typing import TYPE_CHECKING

from hadoken.local.state.eventlog import What
from hadoken.local.state.stored import State

if TYPE_CHECKING:
    from hadoken.local.state.queue import Queue
    from hadoken.local.state.whims import Whims


def next_change(queue: Queue) -> float | None:
    """When time alone may make something of a queue receivable; see `Queue.next_change`."""
    visible = queue.holding.next_end()
    if queue.whims is not None and (whim := queue.whims.next()) is not None:
        visible = whim if visible is None else min(whim, visible)
    oldest = queue.holding.oldest() if queue.settings.fifo and visible is not None else None
    if visible is None or oldest is None:
        return visible
    return min(visible, oldest.kept_from + queue.settings.retention)  # retention may end an invisible head


def let_pass(queue: Queue, now: float) -> None:
    """Let pass what is due in a queue by `now`; see `Queue.tick`."""
    if queue.whims is not None:
        _follow(queue, queue.whims, now)
    if queue.settings.fifo:
        queue.deduplication.expire(now)
        queue.attempts.expire(now)
    _end(queue, now)


def _end(queue: Queue, now: float) -> None:
    """End what ends by itself."""
    # The sum, as in `next_change`: `now - period` rounds otherwise, and what is due at its time would not be due then.
    period = queue.settings.retention
    while (message := queue.holding.oldest()) is not None and message.kept_from + period <= now:
        queue.let_go(message, What.RETIRED)
        queue.telling.happened(What.RETIRED, message)
    for message in queue.holding.ended(now):
        ended = What.DELAYED if message.state is State.DELAYED else What.EXPIRED
        queue.attempts.leave(message.number)
        queue.holding.uncover(message)
        queue.telling.happened(ended, message)


def _follow(queue: Queue, whims: Whims, now: float) -> None:
    """Let happen what a harsh profile has in mind, each thing at its own time."""
    for at, settings in whims.settings(now):
        _end(queue, at)
        queue.settings = settings
        queue.note()
    counting = whims.counting(now)
    if counting is not None:
        _end(queue, counting)
        queue.late_counts = queue.counted()
    for number in whims.doubles(now):
        message = queue.holding.get(number)
        if message is not None and message.state is State.IN_FLIGHT:
            queue.holding.uncover(message)
            queue.telling.happened(What.DOUBLED, message)
    for message in whims.returns(now):
        # Its retention period goes on, and may end it in the same tick.
        queue.holding.enter(message, None)
        queue.telling.happened(What.RETURNED, message)
