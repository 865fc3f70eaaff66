"""The hand-over: one queue that the engine fills and the handler threads of a pool empty, with few threads awake.

`queue.SimpleQueue` wakes a sleeper for each item. Ten short messages so wake ten threads, nine of which find that the
first has done their work. Here the thread that parked last is woken first, its caches are still warm, and only one
wake is under way at a time: a thread that arrives and finds more than it takes wakes the next one before it begins. So
no thread idles while there is work, as long as handlers block, and short handlers are run by the one or two that are
awake.

Rules of this file:
- No lock guards anything: each step on `deque` and `list` is atomic. An item is put before a sleeper is looked for, and
  a sleeper lies down before it looks for items once more; one of the two sees the other, so no wake is lost.
- `_waking` says that a woken thread has not arrived yet. It may be false too early, which costs one wake too many. It
  is true only while somebody will look for items and sleepers once more: the thread that is on its way, or the one that
  wanted to wake another and found none.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Bed:
    """Where one thread sleeps: made once for each."""

    __slots__ = ("lock",)

    def __init__(self) -> None:
        self.lock = threading.Lock()  # guards nothing: it is held while the thread sleeps or is awake, never free
        self.lock.acquire()


class Handover(Generic[T]):
    """Items on their way to threads."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._parked: list[Bed] = []
        self._waking = False

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> None:
        """Add an item. Thread: any; does not block."""
        self._items.append(item)
        if self._parked and not self._waking:
            self._wake_one()

    def get(self, bed: Bed) -> T:
        """Take the next item, oldest first; sleeps until there is one. Thread: the one whose bed it is."""
        try:
            while True:
                try:
                    item = self._items.popleft()
                except IndexError:
                    self._park(bed)
                    continue
                if self._items and self._parked and not self._waking:
                    self._wake_one()
                return item
        except BaseException:  # thrown in by another thread: this one dies, and what it was woken for must not lie here
            if self._items:
                self._wake_one()
            raise

    def get_nowait(self) -> T | None:
        """Take the next item; None where there is none. Thread: any; does not block."""
        try:
            return self._items.popleft()
        except IndexError:
            return None

    def _park(self, bed: Bed) -> None:
        self._parked.append(bed)
        if self._items:
            try:
                self._parked.remove(bed)
            except ValueError:
                pass  # woken between the two lines: the release is here, or comes
            else:
                return
        try:
            bed.lock.acquire()
        finally:
            self._waking = False

    def _wake_one(self) -> None:
        while True:
            self._waking = True
            try:
                bed = self._parked.pop()
            except IndexError:  # others were quicker
                self._waking = False
                if self._items and self._parked:
                    continue  # one lay down since, and whoever put the item saw `_waking` and relied on us
                return
            bed.lock.release()
            return
