"""Who is told of everything that changes in a local SQS: the seam between its state and a store.

A queue tells as little as it can: which message or queue is no longer as it was. What that means, and when it is
written, is the witness's business, which reads the state later, in one go. Most local SQS have no witness.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from hadoken.local.deduplication import Accepted, Key
    from hadoken.local.queue import Queue
    from hadoken.local.stored import Stored


class Witness(Protocol):
    """What a queue tells. Each call only takes a note: it blocks on nothing and raises nothing."""

    def entered(self, queue: Queue, message: Stored) -> None:
        """A message came into a queue, or came back to it, under the number that it has now."""
        ...

    def changed(self, queue: Queue, message: Stored) -> None:
        """A message of a queue was received, hidden or shown."""
        ...

    def left(self, queue: Queue, message: Stored) -> None:
        """A message is gone from a queue; `message.number` is still the one that it had there."""
        ...

    def remembered(self, queue: Queue, key: Key, accepted: Accepted) -> None:
        """A FIFO queue will take the same message for a repeat, for five minutes from now."""
        ...

    def forgot(self, queue: Queue) -> None:
        """A queue takes no message for a repeat any more."""
        ...

    def queue_changed(self, queue: Queue) -> None:
        """A queue was created, or has other settings or tags."""
        ...

    def queue_left(self, queue: Queue) -> None:
        """A queue was deleted; its messages have left before."""
        ...
