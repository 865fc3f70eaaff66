"""What chance does to one queue under a harsh profile, and to the order of answers under every one.

A queue under the profile `aws` has no `Whims` and pays nothing for them. Nothing here changes a message: `Whims`
decides and remembers, and the queue acts.
"""

from __future__ import annotations

import random
from collections import deque
from typing import TYPE_CHECKING, TypeVar

from hadoken.local.state.deadlines import Deadlines

if TYPE_CHECKING:
    from hadoken.local.state.profile import Profile
    from hadoken.local.state.settings import Settings
    from hadoken.local.state.stored import Stored

T = TypeVar("T")

# Orders prepared for each size of batch. Guess: enough that a client that trusts positions fails soon.
_ORDERS = 32


class Shuffle:
    """Puts the answers of batches in an order that says nothing.

    The orders are drawn beforehand: a draw for each answer would cost more than the answer.
    """

    def __init__(self, seed: int) -> None:
        chance = random.Random(f"answers {seed}")  # noqa: S311 -- chance in a test, no secret
        self._orders = [[chance.sample(range(size), size) for _ in range(_ORDERS)] for size in range(11)]
        self._turn = 0

    def __call__(self, entries: list[T]) -> list[T]:
        """The same 0..10 entries in another order."""
        if len(entries) < 2:
            return entries
        self._turn = (self._turn + 1) % _ORDERS
        return [entries[position] for position in self._orders[len(entries)][self._turn]]


class Whims:
    """The harsh side of one queue.

    Args:
        profile: which habits, and how often.
        seed: of all that is drawn here; the same calls meet the same fate.
        now: seconds of the lease clock, from which the counting times are counted.

    Thread: that of its queue. Each call costs O(1) or O(log n), and memory is bounded by the messages there are and
    those that still come back.
    """

    def __init__(self, profile: Profile, seed: str, now: float) -> None:
        self.profile = profile
        self.chance = random.Random(seed)  # noqa: S311 -- chance in a test, no secret
        self._doubles: Deadlines[int] = Deadlines()
        self._returns: Deadlines[Stored] = Deadlines()
        self._returned: set[int] = set()
        self._settings: deque[tuple[float, Settings]] = deque()
        self._counted_at = now

    def misses(self) -> bool:
        """Whether a short poll finds nothing."""
        return self._happens(self.profile.missed)

    def shorter(self, room: int) -> int:
        """How many of up to `room` messages a receive brings: at least one."""
        return self.chance.randint(1, room) if room > 1 and self._happens(self.profile.short) else room

    def given(self, message: Stored, timeout: float, now: float) -> None:
        """Note a receive of a standard message: it may be given out once more before its lease ends.

        Every second time at once, so that consumers that need no time for a message meet it too.
        """
        if self._happens(self.profile.doubled):
            self._doubles.set(message.number, now + timeout * max(0.0, self.chance.uniform(-1, 1)))

    def gone(self, message: Stored, now: float, *, deleted: bool) -> None:
        """Note that a standard message is gone: if it was deleted it may come back, but once only."""
        self._doubles.discard(message.number)
        if message.number in self._returned:
            self._returned.discard(message.number)
        elif deleted and self._happens(self.profile.returned):
            self._returned.add(message.number)
            self._returns.set(message, now + self.profile.max_return * self.chance.random())

    def doubles(self, now: float) -> list[int]:
        """Take the numbers of the messages that can be received again now, if they are in flight."""
        return self._doubles.due(now)

    def returns(self, now: float) -> list[Stored]:
        """Take the deleted messages that come back now."""
        return self._returns.due(now)

    def next(self) -> float | None:
        """When something of this makes a message receivable; None if never."""
        times = [at for at in (self._doubles.next(), self._returns.next()) if at is not None]
        return min(times, default=None)

    def counting(self, now: float) -> float | None:
        """The latest time at which the queue is counted, taken once; None if it is not due. For late counters."""
        lateness = self.profile.lateness
        if not lateness or now < self._counted_at + lateness:
            return None
        self._counted_at += (now - self._counted_at) // lateness * lateness
        return self._counted_at

    def postpone(self, settings: Settings, now: float) -> None:
        """Let new settings come later."""
        self._settings.append((now + self.profile.lateness, settings))

    @property
    def postponed(self) -> Settings | None:
        """The settings that were asked for last and have not come yet; None if there are none."""
        return self._settings[-1][1] if self._settings else None

    def forget_settings(self) -> None:
        """Let no settings come any more: their queue is gone."""
        self._settings.clear()

    def settings(self, now: float) -> list[tuple[float, Settings]]:
        """Take the settings that have come by now, with the times at which they came, in order."""
        found: list[tuple[float, Settings]] = []
        while self._settings and self._settings[0][0] <= now:
            found.append(self._settings.popleft())
        return found

    def forget_messages(self) -> None:
        """Let no message come back: the queue was purged."""
        self._doubles = Deadlines()
        self._returns = Deadlines()
        self._returned.clear()

    def _happens(self, chance: float) -> bool:
        return chance > 0 and self.chance.random() < chance
