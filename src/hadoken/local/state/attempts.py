"""What a FIFO queue gave out under each ReceiveRequestAttemptId, so that a receive can be asked for again.

Source: SQS API Reference, ReceiveMessage: for five minutes the same attempt brings the same messages and handles and
resets their visibility, as long as none of them was deleted, changed, or became visible again.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hadoken.local.state.stored import Taken

INTERVAL: Final = 300  # seconds from the first receive of an attempt; a repeat does not prolong it


class Attempts:
    """The receives of one FIFO queue that can still be repeated.

    A message belongs to one attempt at most, that of its latest receive; whatever happens to it breaks the attempt. So
    what is held is bounded by the messages in flight.

    Thread: that of its queue. Times are seconds of the lease clock and never go back.
    """

    __slots__ = ("_attempt_of", "_given")

    def __init__(self) -> None:
        self._given: OrderedDict[str, tuple[float, list[Taken]]] = OrderedDict()
        self._attempt_of: dict[int, str] = {}

    def __len__(self) -> int:
        """How many attempts can be repeated."""
        return len(self._given)

    def find(self, attempt: str, limit: int) -> list[Taken]:
        """What an attempt brought; empty if it cannot be repeated. Call `expire` before.

        Args:
            attempt: ReceiveRequestAttemptId.
            limit: of the receive. More than that is never given out, so a smaller request is not the same one.
        """
        found = self._given.get(attempt)
        return found[1] if found and len(found[1]) <= limit else []

    def remember(self, attempt: str, taken: list[Taken], now: float) -> None:
        """Remember what an attempt brought, in place of what it brought before; nothing is not worth it."""
        self._forget(attempt)
        if taken:
            self._given[attempt] = (now + INTERVAL, taken)
            self._attempt_of.update((message.number, attempt) for message, _ in taken)

    def leave(self, number: int) -> None:
        """Forget the attempt, if any, that gave out a message to which something happened."""
        attempt = self._attempt_of.get(number)
        if attempt is not None:
            self._forget(attempt)

    def expire(self, now: float) -> None:
        """Forget the attempts of five minutes ago and before."""
        given = self._given
        while given and next(iter(given.values()))[0] <= now:
            self._forget(next(iter(given)))

    def _forget(self, attempt: str) -> None:
        for message, _ in self._given.pop(attempt, (0.0, []))[1]:
            del self._attempt_of[message.number]
