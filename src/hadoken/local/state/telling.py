"""Whom one queue tells what happens in it: the event log, the witness, and those who wait for its messages."""

# It names the queue that names it, for type checkers only: no cycle at run time.
# pyright: reportImportCycles=false
from __future__ import annotations

from typing import TYPE_CHECKING

from hadoken.local.state.eventlog import Event, What

if TYPE_CHECKING:
    from hadoken.local.state.deduplication import Accepted, Key
    from hadoken.local.state.house import House
    from hadoken.local.state.queue import Queue
    from hadoken.local.state.stored import Stored


class Telling:
    """Tells everybody of one queue.

    `entered`, `changed` and `left` are for who keeps or awaits messages: what is true now. `happened` is for the event
    log: what led to it. Both are told once the queue is in its new state.

    Thread: that of its queue.
    """

    __slots__ = ("_clock", "_log", "_name", "_queue", "_touched", "_witness")

    def __init__(self, house: House, queue: Queue) -> None:
        self._queue = queue
        self._name = queue.name
        self._clock = house.clock
        self._log = house.log
        self._touched = house.touched
        self._witness = house.witness

    def entered(self, message: Stored) -> None:
        """A message is here, for the first time or again."""
        if self._witness is not None:
            self._witness.entered(self._queue, message)
        self._touched[self._queue] = None

    def changed(self, message: Stored) -> None:
        """A message was hidden or shown."""
        if self._witness is not None:
            self._witness.changed(self._queue, message)
        self._touched[self._queue] = None

    def left(self, message: Stored) -> None:
        """A message is gone."""
        if self._witness is not None:
            self._witness.left(self._queue, message)
        self._touched[self._queue] = None

    def remembered(self, key: Key, accepted: Accepted) -> None:
        """The same message will be taken for a repeat."""
        if self._witness is not None:
            self._witness.remembered(self._queue, key, accepted)

    def forgot(self) -> None:
        """No message will be taken for a repeat."""
        if self._witness is not None:
            self._witness.forgot(self._queue)

    def described(self) -> None:
        """The settings or tags are others."""
        if self._witness is not None:
            self._witness.queue_changed(self._queue)

    def happened(
        self,
        what: What,
        message: Stored,
        *,
        handle: str = "",
        client: str = "",
        stale: bool = False,
        found: bool = True,
        timeout: int = -1,
        target: str = "",
        at: float | None = None,
    ) -> None:
        """Write down what happened to a message; see `Event` for the arguments.

        A caller that knows what time it is says so: then the event and the message share that number, 32 bytes.
        """
        self._log.write(
            Event(
                at=self._clock.lease() if at is None else at,
                what=what,
                queue=self._name,
                id=message.id,
                count=message.count,
                handle=handle,
                client=client,
                stale=stale,
                found=found,
                timeout=timeout,
                target=target,
            )
        )

    def found_nothing(self, handle: str, client: str) -> None:
        """Write down a delete of a message that was gone already."""
        now, what = self._clock.lease(), What.DELETED
        self._log.write(
            Event(at=now, what=what, queue=self._name, id="", handle=handle, client=client, stale=True, found=False)
        )
