"""What a queue holds: every message, where each stands, and when that ends by itself.

A message comes in visible or delayed, is covered and uncovered any number of times, and is removed. Whoever calls has
decided that it shall be so; here the books are kept right: the states, the counts, the order, the deadlines.
No call looks at all messages, except to list them.
"""

# It names the queue that names it, for type checkers only: no cycle at run time.
# pyright: reportImportCycles=false
from __future__ import annotations

from typing import TYPE_CHECKING

from hadoken.local.state.deadlines import Deadlines
from hadoken.local.state.retention import Retention
from hadoken.local.state.stored import State, Stored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hadoken.local.state.order import Order
    from hadoken.local.state.telling import Telling


class Holding:
    """The messages of one queue.

    Attributes:
        order: in which visible messages can be received.
        in_flight: messages with a lease.
        delayed: messages whose delay has not ended.

    Thread: that of its queue. Times are seconds of the lease clock.
    """

    __slots__ = ("_invisible", "_messages", "_retention", "_telling", "delayed", "in_flight", "order")

    def __init__(self, order: Order, telling: Telling) -> None:
        self.order = order
        self.in_flight = 0
        self.delayed = 0
        self._telling = telling
        self._messages: dict[int, Stored] = {}
        self._invisible: Deadlines[int] = Deadlines()
        self._retention = Retention(self._messages)

    def __len__(self) -> int:
        """All messages: visible, delayed and in flight."""
        return len(self._messages)

    def __iter__(self) -> Iterator[Stored]:
        """Every message, in the order in which they came; a copy, so that they may be removed meanwhile."""
        return iter(list(self._messages.values()))

    def get(self, number: int) -> Stored | None:
        """The message with a number, None if it is gone."""
        return self._messages.get(number)

    def enter(self, message: Stored, until: float | None) -> None:
        """Take in a message, which is delayed until some time, or visible if that is None."""
        self._messages[message.number] = message
        self._retention.add(message)
        if until is None:
            message.state = State.VISIBLE
        else:
            message.state = State.DELAYED
            self.delayed += 1
            self._invisible.set(message.number, until)
        self.order.arrive(message)
        self._telling.entered(message)

    def restore(self, message: Stored, until: float | None) -> None:
        """Put a message back in the state that it has, and tell nobody; see `Queue.restore`."""
        self._messages[message.number] = message
        self._retention.add(message)
        if until is not None:
            self._invisible.set(message.number, until)
            self.delayed += message.state is State.DELAYED
            self.in_flight += message.state is State.IN_FLIGHT
        self.order.arrive(message)

    def cover(self, message: Stored, until: float) -> None:
        """Lease a message until some time, or move the end of its lease or delay."""
        if message.state is State.VISIBLE:
            message.state = State.IN_FLIGHT
            self.in_flight += 1
            self.order.hide(message)
        self._invisible.set(message.number, until)
        self._telling.changed(message)

    def uncover(self, message: Stored) -> None:
        """End the lease or delay of a message."""
        self._uncount(message)
        self._invisible.discard(message.number)
        message.state = State.VISIBLE
        self.order.show(message)
        self._telling.changed(message)

    def remove(self, message: Stored) -> None:
        """Let a message go, whatever its state."""
        self._uncount(message)
        message.state = State.GONE
        del self._messages[message.number]
        self._invisible.discard(message.number)
        self._retention.discard(message.number)
        self.order.leave(message)
        self._telling.left(message)

    def until(self, message: Stored) -> float | None:
        """When the lease or delay of a message ends; None if it is visible."""
        return self._invisible.get(message.number)

    def next_end(self) -> float | None:
        """When the first lease or delay ends, None if there is none."""
        return self._invisible.next()

    def ended(self, now: float) -> list[Stored]:
        """The messages whose lease or delay has ended, soonest first; the caller uncovers each of them."""
        return [self._messages[number] for number in self._invisible.due(now)]

    def oldest(self) -> Stored | None:
        """The message that has been kept the longest, None if there is none."""
        return self._retention.oldest()

    @property
    def leftovers(self) -> int:
        """Entries of messages that are gone: bounded, see `Deadlines` and `Retention`."""
        return self._invisible.size - len(self._invisible) + self._retention.leftovers

    def _uncount(self, message: Stored) -> None:
        if message.state is State.IN_FLIGHT:
            self.in_flight -= 1
        elif message.state is State.DELAYED:
            self.delayed -= 1
