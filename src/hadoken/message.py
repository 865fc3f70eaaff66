"""What a handler is given: the message (data only) and the context (control of this run)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Generic, TypeVar

from hadoken.clock import SYSTEM, Clock

B = TypeVar("B")

# The attribute that carries `Message.key` through every copy we make, and the one that says why a copy was
# dead-lettered.
KEY_ATTRIBUTE = "hadoken-key"
REASON_ATTRIBUTE = "hadoken-reason"


def _ask_nobody(_ticket: int, _seconds: float) -> None:
    """Where no engine is, nothing has to be extended."""


class Message(Generic[B]):
    """One SQS message as it was received, with its body decoded.

    Attributes:
        id: SQS's message id; a copy gets a new one.
        key: stable idempotency key: the same over redeliveries, dead-letter copies and moves; else the id.
        body: the decoded payload.
        raw_body: the text as received.
        receipt_handle: of this receive; never log it.
        attributes: the sender's attributes: String and Number as str, Binary as bytes.
        system_attributes: SQS's own, all strings.
        receive_count: how often SQS has handed the message out, this time included.
        sent_at: when it was sent, UTC; None where SQS did not say.
        queue: the logical name of its queue.
        message_group_id: on FIFO and fair queues, else None.
    """

    __slots__ = (
        "__weakref__",
        "attributes",
        "body",
        "id",
        "key",
        "message_group_id",
        "queue",
        "raw_body",
        "receipt_handle",
        "receive_count",
        "system_attributes",
    )

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 -- the name the whole field uses for it
        body: B,
        raw_body: str,
        queue: str,
        receipt_handle: str = "",
        attributes: Mapping[str, str | bytes] | None = None,
        system_attributes: Mapping[str, str] | None = None,
    ) -> None:
        self.id = id
        self.body = body
        self.raw_body = raw_body
        self.queue = queue
        self.receipt_handle = receipt_handle
        self.attributes: Mapping[str, str | bytes] = attributes or {}
        self.system_attributes: Mapping[str, str] = system_attributes or {}
        key = self.attributes.get(KEY_ATTRIBUTE)
        self.key = key if isinstance(key, str) else id
        self.receive_count = int(self.system_attributes.get("ApproximateReceiveCount", "1"))
        self.message_group_id = self.system_attributes.get("MessageGroupId")

    @property
    def sent_at(self) -> datetime | None:
        """When the message was sent, UTC."""
        sent = self.system_attributes.get("SentTimestamp")
        return datetime.fromtimestamp(int(sent) / 1000, UTC) if sent else None

    def __repr__(self) -> str:
        return f"<Message {self.id} of {self.queue}, receive {self.receive_count}>"


class Context:
    """Control of one run of a handler. `Context()` makes one for a unit test: a first attempt whose lease never ends.

    The flags are set by the engine while the handler runs; a long handler looks at them between its steps.

    Attributes:
        message: the message in hand; set once its body has been decoded, before the handler is called.
        attempt: which start of a handler on this message this is, from 1: SQS's receive count plus retries in place.
        is_last_attempt: whether SQS dead-letters the message if this attempt fails.
        lease_lost: another worker may have the message now; what the handler returns will not count.
        cancelled: the worker drains and its deadline has passed, or the handler is over its time limit: end soon.

    Thread: any. Blocks on nothing.
    """

    __slots__ = (
        "_ask",
        "_clock",
        "_lease_end",
        "_ticket",
        "attempt",
        "cancelled",
        "is_last_attempt",
        "lease_lost",
        "message",
    )  # fmt: skip -- one name a line hides that there are few

    message: Message[object]

    def __init__(
        self,
        *,
        attempt: int = 1,
        is_last_attempt: bool = False,
        lease_end: float = math.inf,
        ask_extend: Callable[[int, float], None] = _ask_nobody,
        ticket: int = 0,
        clock: Clock = SYSTEM,
    ) -> None:
        self.attempt = attempt
        self.is_last_attempt = is_last_attempt
        self.lease_lost = False
        self.cancelled = False
        self._lease_end = lease_end
        self._ask = ask_extend
        self._ticket = ticket
        self._clock = clock

    @property
    def time_left(self) -> float:
        """Seconds until the lease ends if nothing extends it, as last heard from the engine; never negative."""
        return max(0.0, self._lease_end - self._clock.lease())

    def lease_moved(self, lease_end: float) -> None:
        """Take in the engine's word that the lease now ends at `lease_end` of the lease clock; for the engine only."""
        self._lease_end = lease_end

    def extend(self, seconds: float) -> None:
        """Ask for at least `seconds` of lease from now, beyond what the engine keeps alive by itself.

        Returns at once; the engine sends the request with its next batch and `time_left` follows when SQS has
        confirmed.

        Args:
            seconds: 1..43,200; more than what is left of the 12 hours since the receive is shortened to that.

        Raises:
            ValueError: seconds is out of range.
        """
        if not 0 < seconds <= 43_200:
            raise ValueError(f"extend({seconds!r}): seconds is a number above 0 and at most 43200")
        self._ask(self._ticket, seconds)
