"""In which order the messages of a queue can be received: the one thing in which standard and FIFO queues differ.

A `Queue` tells its order about every message that comes, goes, shows or hides, and asks it who is next. Every call
costs O(1) or O(what it returns), however many messages there are.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Protocol

from hadoken.local.state.stored import State, Stored

if TYPE_CHECKING:
    import random


class Order(Protocol):
    """What a queue asks of its order. `message.state` is already the new one when a call is made."""

    def arrive(self, message: Stored) -> None:
        """A message came in, visible or not."""
        ...

    def leave(self, message: Stored) -> None:
        """A message is gone for good."""
        ...

    def show(self, message: Stored) -> None:
        """A message became visible."""
        ...

    def hide(self, message: Stored) -> None:
        """A message became invisible."""
        ...

    def ready(self) -> bool:
        """Whether any message can be received."""
        ...

    def candidates(self, limit: int) -> list[Stored]:
        """The next 0..limit messages that can be received, in order; nothing changes."""
        ...


class StandardOrder:
    """First visible, first received. AWS promises less.

    A list through the messages, by their `before` and `after`: 16 bytes for each, where an OrderedDict takes 120. A
    dict would take O(n) to find its first key after many removals at its front.
    """

    __slots__ = ("_first", "_last")

    def __init__(self) -> None:
        self._first: Stored | None = None
        self._last: Stored | None = None

    def arrive(self, message: Stored) -> None:
        """Take a message in at the end, if it is visible."""
        if message.state is State.VISIBLE:
            self.show(message)

    def leave(self, message: Stored) -> None:
        """Drop a message."""
        self.hide(message)

    def show(self, message: Stored) -> None:
        """Put a message at the end, if it is not in the list."""
        last = self._last
        if message.before is not None or self._first is message:
            return
        if last is None:
            self._first = message
        else:
            last.after = message
            message.before = last
        self._last = message

    def hide(self, message: Stored) -> None:
        """Take a message out, if it is in the list."""
        before, after = message.before, message.after
        if before is not None:
            before.after = after
        elif self._first is message:
            self._first = after
        else:
            return
        if after is None:
            self._last = before
        else:
            after.before = before
        message.before = message.after = None

    def ready(self) -> bool:
        """Whether any message is visible."""
        return self._first is not None

    def candidates(self, limit: int) -> list[Stored]:
        """The messages that have been visible the longest."""
        found: list[Stored] = []
        message = self._first
        while message is not None and len(found) < limit:
            found.append(message)
            message = message.after
        return found


class ShuffledOrder:
    """Any order: what is received is drawn from all that is visible. AWS may do so on a standard queue."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._visible: list[Stored] = []
        self._places: dict[int, int] = {}

    def arrive(self, message: Stored) -> None:
        """Take a message in, if it is visible."""
        if message.state is State.VISIBLE:
            self.show(message)

    def leave(self, message: Stored) -> None:
        """Drop a message."""
        self.hide(message)

    def show(self, message: Stored) -> None:
        """Take a message in."""
        if message.number not in self._places:
            self._places[message.number] = len(self._visible)
            self._visible.append(message)

    def hide(self, message: Stored) -> None:
        """Take a message out, if it is there; the last one takes its place."""
        place = self._places.pop(message.number, None)
        if place is None:
            return
        last = self._visible.pop()
        if last is not message:
            self._visible[place] = last
            self._places[last.number] = place

    def ready(self) -> bool:
        """Whether any message is visible."""
        return bool(self._visible)

    def candidates(self, limit: int) -> list[Stored]:
        """Any of the visible messages."""
        return self._chance.sample(self._visible, min(limit, len(self._visible)))


class FifoOrder:
    """The prefix rule: of one message_group_id, only what stands before its first invisible message can be received.

    Every message_group_id holds its undeleted messages in order. Those whose head is visible are *open*; a receive
    takes as many as it can of one, then of the next.
    Source: recorded AWS answers.
    """

    def __init__(self) -> None:
        self._members: dict[str, OrderedDict[int, Stored]] = {}
        self._open: OrderedDict[str, None] = OrderedDict()

    def arrive(self, message: Stored) -> None:
        """Take a message in at the end of its message_group_id."""
        name = message.message_group_id or ""
        self._members.setdefault(name, OrderedDict())[message.number] = message
        self._refresh(name)

    def leave(self, message: Stored) -> None:
        """Drop a message; an emptied message_group_id is forgotten."""
        name = message.message_group_id or ""
        members = self._members[name]
        del members[message.number]
        if not members:
            del self._members[name]
        self._refresh(name)

    def show(self, message: Stored) -> None:
        """See whether the message_group_id is open now."""
        self._refresh(message.message_group_id or "")

    def hide(self, message: Stored) -> None:
        """See whether the message_group_id is closed now."""
        self._refresh(message.message_group_id or "")

    def ready(self) -> bool:
        """Whether any message_group_id is open."""
        return bool(self._open)

    def candidates(self, limit: int) -> list[Stored]:
        """The visible prefixes of the open message_group_ids, one after the other."""
        found: list[Stored] = []
        for name in self._open:
            for message in self._members[name].values():
                if message.state is not State.VISIBLE:
                    break
                found.append(message)
                if len(found) == limit:
                    return found
        return found

    def __len__(self) -> int:
        """How many message_group_ids hold messages."""
        return len(self._members)

    def _refresh(self, name: str) -> None:
        members = self._members.get(name)
        if members and next(iter(members.values())).state is State.VISIBLE:
            self._open.setdefault(name)
        else:
            self._open.pop(name, None)
