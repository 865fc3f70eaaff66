"""Since when the messages of a queue are kept, oldest first."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from hadoken.local.state.deadlines import Deadlines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hadoken.local.state.stored import Stored

# Below this many leftovers a rebuild costs more than it frees. Guess; any small number does.
_SMALL = 64


class Retention:
    """Which message has been kept the longest: by the time from which retention counts, not by the end of a period.

    Nearly all messages come in the order of that time: they stand in a line, as numbers, 8 bytes each. A dead letter
    that keeps its time, or a message that comes back, may be older than what came before it: it has a deadline instead.

    Who leaves stays in the line until it surfaces and is skipped. Once more than half of the line are such leftovers it
    is rebuilt, so each operation costs O(1) on average, or O(log n) for messages out of the line.

    Args:
        messages: those that are there, by number; changed by its owner before each call here.

    Thread: that of its queue. Times are seconds of the lease clock.
    """

    __slots__ = ("_latest", "_line", "_messages", "_out_of_line")

    def __init__(self, messages: Mapping[int, Stored]) -> None:
        self._messages = messages
        self._line: deque[int] = deque()
        self._latest = 0.0  # time of the last one in the line
        self._out_of_line: Deadlines[int] = Deadlines()

    @property
    def leftovers(self) -> int:
        """Entries beyond one for each message."""
        return len(self._line) + self._out_of_line.size - len(self._messages)

    def add(self, message: Stored) -> None:
        """Take note of a message that came in, for the first time or again."""
        if self._line and message.kept_from < self._latest:
            self._out_of_line.set(message.number, message.kept_from)
        else:
            self._latest = message.kept_from
            self._line.append(message.number)

    def discard(self, number: int) -> None:
        """Forget a message that is gone."""
        self._out_of_line.discard(number)
        if len(self._line) > 2 * len(self._messages) + _SMALL:
            self._line = deque(one for one in self._line if one in self._messages)

    def oldest(self) -> Stored | None:
        """The message that has been kept the longest, None if there is none; it stays here until it is discarded."""
        line, messages = self._line, self._messages
        while line and line[0] not in messages:
            line.popleft()
        first = messages[line[0]] if line else None
        aside = self._out_of_line.first()
        if aside is None:
            return first
        other = messages[aside]
        return other if first is None or other.kept_from < first.kept_from else first
