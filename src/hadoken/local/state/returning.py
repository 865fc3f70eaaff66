"""What the holder of a receipt handle can do: delete the message, or say how long it stays invisible.

See `queue` for the rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hadoken import limits
from hadoken.local.state import refusals
from hadoken.local.state.eventlog import What
from hadoken.local.state.stored import State

if TYPE_CHECKING:
    from hadoken.local.state.handles import Handle
    from hadoken.local.state.queue import Queue
    from hadoken.local.state.stored import Stored


def delete(queue: Queue, handle: Handle, text: str, client: str) -> None:
    """Delete by receipt handle.

    Standard: any handle of a message that is still here deletes it, and a message that is gone is no error; a harsh
    queue ignores those of earlier receives. FIFO: only the handle of the latest receive, while its lease lasts.

    Args:
        queue: with everything due done.
        handle: of this queue.
        text: the same, as it was given.
        client: who asks, for the event log.

    Raises:
        Refusal: FIFO, and the lease of this handle has ended.
    """
    message = queue.holding.get(handle.message)
    if message is None:
        queue.telling.found_nothing(text, client)
        return
    stale = not _holds(handle, message)
    if stale and queue.settings.fifo:
        raise refusals.expired_handle(text)
    found = message.count == handle.receive or queue.house.profile.old_handles_delete
    if found:
        queue.let_go(message, What.DELETED)
    queue.telling.happened(What.DELETED, message, handle=text, client=client, stale=stale, found=found)


def change(queue: Queue, handle: Handle, text: str, timeout: int, client: str) -> None:
    """Set how long a message stays invisible, counted from now.

    Standard: an older handle changes the newest lease, and an expired one hides the message again (a harsh queue
    refuses that). FIFO: only the handle of the latest receive, while its lease lasts.

    Args:
        queue: with everything due done.
        handle: of this queue.
        text: the same, as it was given.
        timeout: 0..43200 seconds; 0 shows the message.
        client: who asks, for the event log.

    Raises:
        Refusal: the message is gone; FIFO: the lease has ended; more than 12 h in all since the receive.
    """
    message = queue.holding.get(handle.message)
    if message is None:
        raise refusals.not_changeable(text)
    stale = not _holds(handle, message)
    if stale and queue.settings.fifo:
        raise refusals.expired_handle(text)
    if message.state is not State.IN_FLIGHT and not queue.house.profile.late_changes:
        raise refusals.not_in_flight()
    now = queue.house.clock.lease()
    if now - message.received_at + timeout > limits.VISIBILITY_TOTAL:
        reason = "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]"
        raise refusals.invalid_value(timeout, "VisibilityTimeout", reason)
    queue.attempts.leave(message.number)
    if timeout:
        queue.holding.cover(message, now + timeout)
    else:
        queue.holding.uncover(message)
    queue.telling.happened(What.CHANGED, message, handle=text, client=client, stale=stale, timeout=timeout)


def _holds(handle: Handle, message: Stored) -> bool:
    """Whether a handle is that of the latest receive and its lease lasts."""
    return message.state is State.IN_FLIGHT and message.count == handle.receive
