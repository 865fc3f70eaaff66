"""Looking at a local SQS from a test: what was sent, what lies in a dead-letter queue; nothing is received by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from hadoken.errors import ConfigurationError, DecodeError
from hadoken.handler import Handler, plain_attributes
from hadoken.message import Message
from hadoken.queue import Queue
from hadoken.sqs.address import name_of
from hadoken.sqs.api import Attribute

if TYPE_CHECKING:
    from hadoken.app import App
    from hadoken.local.state.stored import Stored
    from hadoken.testing.fake_sqs import FakeSQS

B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Sent(Generic[B]):
    """One message that was sent.

    Attributes:
        body: decoded.
        message_id: as the sender was told.
        queue: logical name of the queue.
        delay: seconds that the sender asked for; None: the queue's own.
        attributes: String and Number as str, Binary as bytes.
        message_group_id: None where none was given; likewise deduplication_id.
    """

    body: B
    message_id: str
    queue: str
    delay: int | None = None
    attributes: Mapping[str, str | bytes] = field(default_factory=dict)
    message_group_id: str | None = None
    deduplication_id: str | None = None


def sent(app: App, sqs: FakeSQS, where: Queue[B] | Handler[B, ..., Any] | str) -> list[Sent[B]]:
    """What was sent to a queue or a handler of an app, oldest first."""
    queue: Queue[B] = queue_of(app, where)
    name = name_of(queue.address())
    return [
        Sent(
            body=queue.bodies.decode(one.entry.body),
            message_id=one.message_id,
            queue=queue.name,
            delay=one.entry.delay,
            attributes=plain_attributes(one.entry.attributes),
            message_group_id=one.entry.message_group_id,
            deduplication_id=one.entry.deduplication_id,
        )
        for one in sqs.sent
        if one.queue == name
    ]


def dead_letters(app: App, sqs: FakeSQS, where: Queue[B] | Handler[B, ..., Any] | str) -> list[Message[B]]:
    """What lies in the dead-letter queue of a queue of an app, oldest first; a body that does not decode as text."""
    queue: Queue[B] = queue_of(app, where)
    found = sqs.dead_letters(name_of(queue.address()))
    if found is None:
        raise ConfigurationError(f"queue {queue.name} has no dead-letter queue", hint="it was created without one")
    return [_message(queue, one) for one in found]


def queue_of(app: App, where: Queue[Any] | Handler[Any, ..., Any] | str) -> Queue[Any]:
    """The queue that a test names by itself, by its handler, or by its name."""
    name = where if isinstance(where, str) else where.queue_name if isinstance(where, Handler) else where.name
    queue = app.queues.get(name)
    if queue is None:
        raise ConfigurationError(
            f"app {app.name} has no queue {name}", hint=f"its queues are {', '.join(app.queues) or 'none'}"
        )
    return queue


def _message(queue: Queue[B], stored: Stored) -> Message[B]:
    attributes = {
        name: Attribute(value.data_type or "", value.string_value, value.binary_value)
        for name, value in stored.attributes.items()
    }
    system = {"ApproximateReceiveCount": str(stored.count), "SentTimestamp": str(stored.sent_ms)}
    if stored.message_group_id is not None:
        system["MessageGroupId"] = stored.message_group_id
    body: Any
    try:
        body = queue.bodies.decode(stored.body)
    except DecodeError:  # that may be why it lies there
        body = stored.body
    return Message(
        id=stored.id,
        body=body,
        raw_body=stored.body,
        queue=queue.name,
        attributes=plain_attributes(attributes),
        system_attributes=system,
    )
