"""Times by which something happens, one per key, soonest first."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

K = TypeVar("K", bound="Hashable")

# Below this many entries a rebuild costs more than it frees. Guess; any small number does.
_SMALL = 64


class Deadlines(Generic[K]):
    """A heap in which every key has at most one time that counts.

    A change or removal leaves the old entry in the heap, to be skipped when it surfaces. Once more than half of the
    entries are such leftovers the heap is rebuilt, so its size stays within twice the number of keys plus a constant,
    and each operation costs O(log n) on average.

    Thread: one at a time. Times are seconds of whatever clock the owner uses.
    """

    __slots__ = ("_at", "_heap", "_number")

    def __init__(self) -> None:
        self._at: dict[K, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._number = 0  # breaks ties in the order of setting, so that keys need no order of their own

    def __len__(self) -> int:
        return len(self._at)

    @property
    def size(self) -> int:
        """Entries in the heap, leftovers included: what memory is spent on."""
        return len(self._heap)

    def set(self, key: K, at: float) -> None:
        """Give `key` the time `at`, in place of the one it had."""
        self._number += 1
        self._at[key] = (at, self._number)
        heapq.heappush(self._heap, (at, self._number, key))
        self._compact()

    def discard(self, key: K) -> None:
        """Forget `key`, if it is known."""
        if self._at.pop(key, None) is not None:
            self._compact()

    def get(self, key: K) -> float | None:
        """The time of `key`, None if it has none."""
        at = self._at.get(key)
        return None if at is None else at[0]

    def next(self) -> float | None:
        """The soonest time, None if there is no key."""
        self._surface()
        return self._heap[0][0] if self._heap else None

    def first(self) -> K | None:
        """The key with the soonest time, None if there is no key."""
        self._surface()
        return self._heap[0][2] if self._heap else None

    def due(self, now: float) -> list[K]:
        """Take out the keys whose time is `now` or earlier, soonest first; may be empty."""
        found: list[K] = []
        heap = self._heap
        while heap and heap[0][0] <= now:
            entry = heapq.heappop(heap)
            if self._counts(entry):
                del self._at[entry[2]]
                found.append(entry[2])
        return found

    def _surface(self) -> None:
        """Drop leftovers until what comes first counts."""
        while self._heap and not self._counts(self._heap[0]):
            heapq.heappop(self._heap)

    def _counts(self, entry: tuple[float, int, K]) -> bool:
        at = self._at.get(entry[2])
        return at is not None and at[1] == entry[1]

    def _compact(self) -> None:
        if len(self._heap) > 2 * len(self._at) + _SMALL:
            self._heap = [(at, number, key) for key, (at, number) in self._at.items()]
            heapq.heapify(self._heap)
