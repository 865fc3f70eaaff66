"""One message as the local SQS keeps it."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, NamedTuple

from hadoken.local.state.digests import attributes_digest
from hadoken.sqs.digests import body_digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hadoken.local.state.requests import AttributeValue


_NO_ATTRIBUTES: Final[Mapping[str, AttributeValue]] = {}


class Taken(NamedTuple):
    """One message of a receive, with the handle it was given out under."""

    message: Stored
    handle: str


class State(enum.IntEnum):
    """Where a message is in its life. The first two are invisible and end at a deadline."""

    DELAYED = 0
    IN_FLIGHT = 1
    VISIBLE = 2
    GONE = 3


class Stored:
    """One message: what was sent, and its life so far. Changed by its `Queue` only.

    Attributes:
        attributes: never changed; without any, all messages share one empty mapping.
        number: of the message in its queue, growing; a receipt handle names it.
        count: receives so far; goes on in a dead-letter queue.
        sent_ms: when it was sent, ms since 1970; a dead-letter queue keeps it.
        kept_from: seconds of the lease clock from which the retention period counts.
        first_received_ms: of the first receive, ms since 1970; 0 before it.
        received_at: seconds of the lease clock of the latest receive: the 12 hours count from it.
        sequence: SequenceNumber of a FIFO queue, "" on a standard one.
        source_arn: the queue it was moved from, "" if it was not.
        before: and `after`: its neighbours in the order of its queue, where that is a list through the messages.
    """

    __slots__ = (
        "after",
        "attributes",
        "attributes_md5",
        "before",
        "body",
        "body_md5",
        "count",
        "deduplication_id",
        "first_received_ms",
        "id",
        "kept_from",
        "message_group_id",
        "number",
        "received_at",
        "sent_ms",
        "sequence",
        "source_arn",
        "state",
        "trace",
    )

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 -- the name the whole field uses for it
        body: str,
        attributes: Mapping[str, AttributeValue],
        trace: str = "",
        message_group_id: str | None = None,
        deduplication_id: str | None = None,
    ) -> None:
        self.id = id
        self.body = body
        self.body_md5 = body_digest(body)
        self.attributes = attributes or _NO_ATTRIBUTES
        self.attributes_md5 = attributes_digest(attributes)
        self.trace = trace
        self.message_group_id = message_group_id
        self.deduplication_id = deduplication_id
        self.number = 0
        self.count = 0
        self.sent_ms = 0
        self.kept_from = 0.0
        self.first_received_ms = 0
        self.received_at = 0.0
        self.sequence = ""
        self.source_arn = ""
        self.state = State.GONE
        self.before: Stored | None = None
        self.after: Stored | None = None

    def __repr__(self) -> str:
        return f"<Stored {self.id} number {self.number} {self.state.name} received {self.count}x>"
