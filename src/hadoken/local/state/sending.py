"""How a message that was sent comes into a queue; see `queue` for the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hadoken.local.state.deduplication import Accepted, key_of
from hadoken.local.state.eventlog import What

if TYPE_CHECKING:
    from hadoken.local.state.queue import Queue
    from hadoken.local.state.stored import Stored


def send(queue: Queue, message: Stored, delay: int | None, client: str) -> Accepted:
    """Take in a new message, unless a FIFO queue has taken in the same one in the last five minutes.

    Args:
        queue: with everything due done.
        message: checked already.
        delay: seconds; None means the queue's own.
        client: who sends, for the event log.

    Returns:
        What it is known by: of a duplicate, the id and sequence number of the first.
    """
    scope = queue.settings.texts.get("DeduplicationScope")
    key = key_of(message, scope) if queue.settings.fifo else None
    first = None if key is None else queue.deduplication.find(key)
    if first is not None:
        message.id = first.id
        queue.telling.happened(What.DUPLICATE, message, client=client)
        return first
    message.sent_ms = int(queue.house.clock.wall() * 1000)
    queue.enter(message, queue.settings.delay if delay is None else delay)
    queue.telling.happened(What.SENT, message, client=client, at=message.kept_from)
    accepted = Accepted(message.id, message.sequence)
    if key is not None:
        queue.deduplication.remember(key, accepted, queue.house.clock.lease())
        queue.telling.remembered(key, accepted)
    return accepted
