"""Who is told of everything that changes in a local SQS: the seam between its state and a store.

A queue tells as little as it can: which message or queue is no longer as it was. What that means, and when it is
written, is the witness's business, which reads the state later, in one go. Most local SQS have no witness.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from hadoken.local.state.deduplication import Accepted, Key
    from hadoken.local.state.stored import Stored

# The queue that tells: a parameter, because `queue` imports this file.
Q_contra = TypeVar("Q_contra", contravariant=True)


class Witness(Protocol[Q_contra]):
    """What a queue tells. Each call only takes a note: it blocks on nothing and raises nothing."""

    def entered(self, queue: Q_contra, message: Stored) -> None:
        """A message came into a queue, or came back to it, under the number that it has now."""
        ...

    def changed(self, queue: Q_contra, message: Stored) -> None:
        """A message of a queue was received, hidden or shown."""
        ...

    def left(self, queue: Q_contra, message: Stored) -> None:
        """A message is gone from a queue; `message.number` is still the one that it had there."""
        ...

    def remembered(self, queue: Q_contra, key: Key, accepted: Accepted) -> None:
        """A FIFO queue will take the same message for a repeat, for five minutes from now."""
        ...

    def forgot(self, queue: Q_contra) -> None:
        """A queue takes no message for a repeat any more."""
        ...

    def queue_changed(self, queue: Q_contra) -> None:
        """A queue was created, or has other settings or tags."""
        ...

    def queue_left(self, queue: Q_contra) -> None:
        """A queue was deleted; its messages have left before."""
        ...
