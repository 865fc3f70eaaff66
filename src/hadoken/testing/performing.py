"""One handler on one message, without a queue: through the codec, and run as a handler thread runs it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from hadoken.clock import VirtualClock
from hadoken.errors import ConfigurationError
from hadoken.handler import Handler
from hadoken.limits import is_fifo
from hadoken.message import KEY_ATTRIBUTE, Context
from hadoken.outcome import Outcome
from hadoken.outgoing import AttributeValue, Outgoing, entry_of
from hadoken.sqs.api import Attribute, ReceivedMessage
from hadoken.testing.runs import observed

B = TypeVar("B")


def perform(
    handler: Handler[B, ..., Any],
    body: B,
    *,
    attempt: int = 1,
    is_last_attempt: bool = False,
    id: str = "",  # noqa: A002 -- the name the whole field uses for it
    key: str | None = None,
    attributes: Mapping[str, AttributeValue] | None = None,
    message_group_id: str | None = None,
    receive_count: int | None = None,
    sent_at: datetime | None = None,
    raise_errors: bool = True,
) -> Outcome:
    """Run a handler on one message as a handler thread does, and return how it ended.

    The body is encoded and decoded as on its way through SQS, so a body that would not survive it fails here.

    Args:
        handler: a declared one; its app needs no worker.
        body: of the queue's type.
        attempt: `ctx.attempt`.
        is_last_attempt: `ctx.is_last_attempt`.
        id: of the message; a new one if left out.
        key: `message.key`, for a copy; None: the id.
        attributes: as of `queue.send`.
        message_group_id: as of `queue.send`; on a FIFO queue one is made up if left out.
        receive_count: `message.receive_count`; the attempt if left out.
        sent_at: `message.sent_at`; the virtual clock's begin if left out.
        raise_errors: raise what the handler raises. False: return what its retry policy makes of it.

    Returns:
        What the handler returned or raised of the five; `Ack()` for None; `Retry.after` is what its policy says where
        the handler gave none.

    Raises:
        EncodeError: SQS would refuse the body or an attribute.
        Exception: what the handler raised.
    """
    _refuse_no_handler(handler)
    clock = VirtualClock()
    fifo = is_fifo(handler.queue_name)
    group = message_group_id or ("g" if fifo else None)
    entry = entry_of(Outgoing(body, None, attributes, group), handler.bodies.encode(body), fifo=fifo)
    sent_ms = int((sent_at or datetime.fromtimestamp(clock.wall(), UTC)).timestamp() * 1000)
    system = {"ApproximateReceiveCount": str(receive_count or attempt), "SentTimestamp": str(sent_ms)}
    if group is not None:
        system["MessageGroupId"] = group
    keyed = {} if key is None else {KEY_ATTRIBUTE: Attribute("String", text=key)}
    raw = ReceivedMessage(id or str(uuid.uuid4()), "", entry.body, system, {**entry.attributes, **keyed})
    ctx = Context(attempt=attempt, is_last_attempt=is_last_attempt, clock=clock)
    _, run = observed(handler, raw, ctx, clock)
    if run.error is not None and raise_errors:
        raise run.error
    return run.outcome


def _refuse_no_handler(handler: object) -> None:
    if not isinstance(handler, Handler):
        raise ConfigurationError(
            f"{handler!r} is no handler", hint="declare it with @queue.handler, or call the plain function yourself"
        )
