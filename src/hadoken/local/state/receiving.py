"""How messages are leased to who receives, or go to the dead-letter queue instead; see `queue` for the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hadoken.local.state.eventlog import What
from hadoken.local.state.stored import Stored, Taken

if TYPE_CHECKING:
    from hadoken.local.state.queue import Queue


def receive(queue: Queue, limit: int, timeout: int, client: str, attempt: str | None = None) -> list[Taken]:
    """Lease up to `limit` messages, and move to the dead-letter queue those that had their receives.

    Args:
        queue: with everything due done.
        limit: 1..10.
        timeout: seconds of invisibility; 0 leaves them visible.
        client: who receives, for the event log.
        attempt: ReceiveRequestAttemptId; a FIFO queue gives again what the same attempt brought before.

    Returns:
        0..limit messages in the queue's order.
    """
    if not queue.settings.fifo:
        attempt = None
    if attempt is not None and (before := queue.attempts.find(attempt, limit)):
        return _repeat(queue, before, timeout, client)
    taken = [_lease(queue, one, timeout, client) for one in _candidates(queue, limit)]
    if not timeout:
        for message, _ in taken:
            queue.holding.uncover(message)
    if attempt is not None:  # even if it brings nothing that can be repeated: what it brought before is over
        queue.attempts.remember(attempt, taken if timeout else [], queue.house.clock.lease())
    return taken


def _repeat(queue: Queue, before: list[Taken], timeout: int, client: str) -> list[Taken]:
    """Give a receive again: the same messages and handles, no receive more, their visibility counted from now."""
    now = queue.house.clock.lease()
    for message, text in before:
        message.received_at = now
        queue.holding.cover(message, now + timeout)
        queue.telling.happened(What.REPEATED, message, handle=text, client=client, timeout=timeout)
    if not timeout:
        for message, _ in before:
            queue.attempts.leave(message.number)
            queue.holding.uncover(message)
    return before


def _candidates(queue: Queue, limit: int) -> list[Stored]:
    """The messages to be leased, once those that had their receives are gone.

    First what has to go, then the leases: a lease closes its message_group_id for what stands behind it.
    """
    room = min(limit, queue.max_in_flight - queue.holding.in_flight)
    if queue.whims is not None:
        room = queue.whims.shorter(room)
    candidates = queue.order.candidates(room) if room > 0 else []
    while any([_moved(queue, one) for one in candidates]):  # noqa: C419 -- all of them move, not only the first
        candidates = queue.order.candidates(room)
    return candidates


def _moved(queue: Queue, message: Stored) -> bool:
    """Move a message that had its receives; not if its dead-letter queue does not exist, or is this one."""
    redrive = queue.settings.redrive
    if redrive is None or message.count < redrive.max_receives:
        return False
    target = queue.house.find(redrive.target_arn)
    if target is None or target is queue:
        return False
    queue.give_up(message, target.name)
    message.source_arn = queue.arn
    target.take_over(message)
    return True


def _lease(queue: Queue, message: Stored, timeout: int, client: str) -> Taken:
    house = queue.house
    now = house.clock.lease()
    message.count += 1
    message.received_at = now
    if not message.first_received_ms:
        message.first_received_ms = int(house.clock.wall() * 1000)
    queue.holding.cover(message, now + timeout)
    text = house.handles.write(queue.number, message.number, message.count)
    queue.telling.happened(What.RECEIVED, message, handle=text, client=client, timeout=timeout, at=now)
    if timeout and queue.whims is not None and not queue.settings.fifo:
        queue.whims.given(message, timeout, now)
    return Taken(message, text)
