"""How queues of one pool share its places while several of them have messages.

Weighted fair share by virtual time: each message taken moves its queue's time on by 1/weight, and the queue that is
furthest behind is asked first; what its open receives may bring counts as taken. A queue that comes back from being
empty starts at the time of the others, so that it can not claim what it did not need before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hadoken.pipeline.poller import Poller


class WeightedShare:
    """Shares of received messages follow the queues' weights."""

    def __init__(self) -> None:
        self._time: dict[str, float] = {}
        self._now = 0.0  # virtual time of the queue served last

    def turn_of(self, poller: Poller) -> float:
        """Whose turn it is: the smallest is asked first."""
        return self._time.get(poller.queue.name, self._now) + poller.granted / poller.queue.weight

    def rejoin(self, poller: Poller) -> None:
        """Let a queue that had nothing start level with the others."""
        name = poller.queue.name
        self._time[name] = max(self._time.get(name, 0.0), self._now)

    def took(self, poller: Poller, count: int) -> None:
        """Note that `count` messages of this queue were received."""
        name = poller.queue.name
        before = self._time.get(name, self._now)
        self._now = max(self._now, before)
        self._time[name] = before + count / poller.queue.weight
