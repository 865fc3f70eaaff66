"""What a FIFO queue remembers of its sends, so that the same message sent again is not a second one.

Source: SQS developer guide, deduplication: five minutes from the first send, whatever became of the message since;
recorded AWS answers (also after its delete).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from hadoken.local.state.stored import Stored

INTERVAL: Final = 300  # seconds from the first send; a repeat does not prolong it
PER_GROUP: Final = "messageGroup"  # the DeduplicationScope in which an id counts in its message_group_id alone

# Of scope queue the deduplication id, of scope messageGroup (message_group_id, deduplication id).
Key = str | tuple[str, str]


class Accepted(NamedTuple):
    """What SQS says of a message that was sent: the id and the sequence number ("" on standard) it is known by."""

    id: str
    sequence: str


class Deduplication:
    """The sends of the last five minutes of one FIFO queue.

    Every entry lives equally long, so the order of entering is the order of ending: each call costs O(1), and what is
    held is what was sent in five minutes.

    Thread: that of its queue. Times are seconds of the lease clock and never go back.
    """

    __slots__ = ("_sends",)

    def __init__(self) -> None:
        self._sends: OrderedDict[Key, tuple[float, Accepted]] = OrderedDict()

    def __len__(self) -> int:
        """How many sends are remembered."""
        return len(self._sends)

    def find(self, key: Key) -> Accepted | None:
        """The first send under `key`, None if there is none; call `expire` before."""
        found = self._sends.get(key)
        return found[1] if found else None

    def remember(self, key: Key, accepted: Accepted, now: float) -> None:
        """Remember a first send."""
        self._sends[key] = (now + INTERVAL, accepted)

    def expire(self, now: float) -> None:
        """Forget the sends of five minutes ago and before."""
        sends = self._sends
        while sends and next(iter(sends.values()))[0] <= now:
            sends.popitem(last=False)

    def forget_all(self) -> None:
        """Forget everything, as a purge does."""
        self._sends.clear()


def key_of(message: Stored, scope: str | None) -> Key | None:
    """Under what a message is remembered; None if it carries no deduplication id.

    Args:
        message: to be sent.
        scope: DeduplicationScope of the queue, None for the default.
    """
    if message.deduplication_id is None:
        return None
    if scope == PER_GROUP:
        return message.message_group_id or "", message.deduplication_id
    return message.deduplication_id
