"""A queue as the app knows it: a name, the type of its bodies, and how to send to it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, Concatenate, Final, Generic, Never, ParamSpec, Protocol, TypeVar, overload

import msgspec

from hadoken import limits
from hadoken.codec import Bodies, Codec
from hadoken.errors import BodyError, InvalidOption
from hadoken.handler import Handler
from hadoken.options import HandlerOptions, NonRetryable, check_queue_name, refuse_unknown
from hadoken.outcome import Outcome
from hadoken.outgoing import AttributeValue, Outgoing, entry_of
from hadoken.retry import Retries
from hadoken.sending.sender import Sender
from hadoken.sqs.address import check_address
from hadoken.sqs.api import SendEntry

B = TypeVar("B")
P = ParamSpec("P")
R = TypeVar("R", bound=Outcome | None)

UNSET: Final = msgspec.UNSET
Unset = msgspec.UnsetType
ENVIRONMENT: Final = "HADOKEN_QUEUES__"
_MANY_SENT_WITH: Final = ("delay", "attributes", "message_group_id")
_SENT_WITH: Final = (*_MANY_SENT_WITH, "deduplication_id")


class Decorator(Protocol[B]):
    """What `@queue.handler(...)` with options gives: it turns a function into a handler and keeps its type."""

    def __call__(self, function: Callable[Concatenate[B, P], R], /) -> Handler[B, P, R]:
        """Make the handler."""
        ...


class Binds(Protocol):
    """The declaring side (an app, or handlers to be included in one), as a queue needs it."""

    sender: Sender

    def bind(self, queue: Queue[Any], function: Callable[..., Any], given: Mapping[str, Any]) -> Handler[Any, ..., Any]:
        """Make and keep the handler of a queue."""
        ...


class Queue(Generic[B]):
    """The typed contract of one SQS queue. Declaring one asks SQS nothing.

    Attributes:
        name: its logical name; the environment may map it to another queue (`address`).
        bodies: encodes and decodes its bodies.
    """

    def __init__(self, name: str, body: type[B], *, owner: Binds, codec: Codec[B] | None = None) -> None:
        self.name = check_queue_name(name)
        self.bodies = Bodies(body, codec)
        self._owner = owner

    def __repr__(self) -> str:
        return f"<Queue {self.name}>"

    @property
    def variable(self) -> str:
        """The environment variable that maps this queue: HADOKEN_QUEUES__ORDERS_FIFO for "orders.fifo"."""
        return ENVIRONMENT + re.sub("[^A-Z0-9]", "_", self.name.upper())

    def address(self, environ: Mapping[str, str] | None = None) -> str:
        """The name, URL or ARN of the real queue: what the environment says, else the logical name.

        Args:
            environ: the environment; None takes the process's, as it is now.

        Raises:
            ConfigurationError: the variable holds none of the three.
        """
        mapped = (os.environ if environ is None else environ).get(self.variable)
        return check_address(mapped, self.variable) if mapped else self.name

    @overload
    def handler(self, function: Callable[Concatenate[B, P], R], /) -> Handler[B, P, R]: ...

    @overload
    def handler(
        self,
        /,
        *,
        pool: str | Unset = ...,
        retry: Retries | Unset | None = ...,
        non_retryable: NonRetryable | type[BaseException] | Unset = ...,
        time_limit: float | timedelta | Unset | None = ...,
        visibility_timeout: float | timedelta | Unset | None = ...,
        hold_limit: float | timedelta | Unset = ...,
    ) -> Decorator[B]: ...

    def handler(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        pool: str | Unset = UNSET,
        retry: Retries | Unset | None = UNSET,
        non_retryable: NonRetryable | type[BaseException] | Unset = UNSET,
        time_limit: float | timedelta | Unset | None = UNSET,
        visibility_timeout: float | timedelta | Unset | None = UNSET,
        hold_limit: float | timedelta | Unset = UNSET,
        **unknown: object,
    ) -> Any:
        """Make a function the handler of this queue; used bare or with options.

        Options not given come from the defaults of the app. Each is described in `hadoken.options.HandlerOptions`.

        Raises:
            InvalidHandler: the function's signature or kind cannot work.
            InvalidOption: an option does not exist or cannot have this value.
            DuplicateHandler: the queue has a handler.
        """
        given = given_options(
            unknown,
            pool=pool,
            retry=retry,
            non_retryable=non_retryable,
            time_limit=time_limit,
            visibility_timeout=visibility_timeout,
            hold_limit=hold_limit,
        )
        if function is not None:
            return self._owner.bind(self, function, given)
        return lambda function: self._owner.bind(self, function, given)

    def send(
        self,
        body: B,
        *,
        delay: float | timedelta | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        message_group_id: str | None = None,
        deduplication_id: str | None = None,
        **unknown: Never,
    ) -> str:
        """Send one message and return its id.

        Args:
            body: the payload, of the queue's type.
            delay: 0..900 s or a timedelta until it can be received; rounded up to whole seconds; not on FIFO queues.
            attributes: at most ten: str as String, int and float as Number, bytes as Binary.
            message_group_id: required on FIFO queues; on standard ones it names a tenant (fair queues).
            deduplication_id: FIFO only; a fresh one unless given.
            **unknown: none; a misspelt option is refused with the nearest name.

        Raises:
            EncodeError: SQS would refuse the body or an attribute; nothing was sent.
            InvalidOption: one of the other values cannot be; nothing was sent.
            QueueNotFound: there is no such queue.
            SQSError: SQS did not accept it, after bounded retries where these could help.

        Thread: any; blocks until SQS has answered. No other thread is used.
        """
        refuse_unknown("send", unknown, _SENT_WITH)
        item = Outgoing(body, delay, attributes, message_group_id, deduplication_id)
        return self._owner.sender.send(*self._checked(item))

    async def asend(
        self,
        body: B,
        *,
        delay: float | timedelta | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        message_group_id: str | None = None,
        deduplication_id: str | None = None,
        **unknown: Never,
    ) -> str:
        """Send one message on the running loop and return its id: as `send`, for callers that await.

        Arguments and errors as of `send`. A call that is cancelled may have been sent all the same.

        Thread: any with a running asyncio loop; blocks on nothing. The thread `hadoken-asend` does what would block: it
        looks up names and credentials, and makes the calls where botocore was chosen. There is one for the whole
        process, and it ends when there was nothing to do for five seconds; while a worker runs, `hadoken-resolver` does
        it instead, which is part of the thread budget.
        """
        refuse_unknown("asend", unknown, _SENT_WITH)
        item = Outgoing(body, delay, attributes, message_group_id, deduplication_id)
        return await self._owner.sender.asend(*self._checked(item))

    def send_many(
        self,
        items: Iterable[B | Outgoing[B]],
        *,
        delay: float | timedelta | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        message_group_id: str | None = None,
        **unknown: Never,
    ) -> list[str]:
        """Send messages in order, in batches of at most ten and 1 MiB, and return their ids in the same order.

        Args:
            items: bodies, or `Outgoing` where one has values of its own; all are checked before the first is sent.
            delay: as for `send`, for items without their own.
            attributes: likewise.
            message_group_id: likewise.
            **unknown: none; a misspelt option is refused with the nearest name.

        Raises:
            EncodeError, InvalidOption: an item cannot be sent; names its position; nothing was sent.
            QueueNotFound: there is no such queue; nothing was sent.
            BatchFailed: `failed` has position -> reason of those that SQS did not accept; all others were sent.

        Thread: any; blocks until SQS has answered for all.
        """
        refuse_unknown("send_many", unknown, _MANY_SENT_WITH)
        common = Outgoing[object](None, delay, attributes, message_group_id)
        return self._owner.sender.send_many(*self._all_checked(items, common))

    async def asend_many(
        self,
        items: Iterable[B | Outgoing[B]],
        *,
        delay: float | timedelta | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        message_group_id: str | None = None,
        **unknown: Never,
    ) -> list[str]:
        """Send messages in order on the running loop: as `send_many`, for callers that await.

        Arguments and errors as of `send_many`, threads as of `asend`. A call that is cancelled may have sent some.
        """
        refuse_unknown("asend_many", unknown, _MANY_SENT_WITH)
        common = Outgoing[object](None, delay, attributes, message_group_id)
        return await self._owner.sender.asend_many(*self._all_checked(items, common))

    def _checked(self, item: Outgoing[B]) -> tuple[str, SendEntry]:
        """Where one message goes, and its checked form."""
        address = self.address()
        return address, self._entry(item, fifo=limits.is_fifo(address))

    def _all_checked(self, items: Iterable[B | Outgoing[B]], common: Outgoing[object]) -> tuple[str, list[SendEntry]]:
        """Where many messages go, and their checked forms."""
        address = self.address()
        fifo, encode = limits.is_fifo(address), self.bodies.encode
        entries: list[SendEntry] = []
        for item in items:
            try:
                if isinstance(item, Outgoing):
                    entries.append(self._entry(_completed(item, common), fifo=fifo))
                else:  # all but the body is the call's
                    entries.append(entry_of(common, encode(item), fifo=fifo))
            except (BodyError, InvalidOption) as exc:
                raise type(exc)(f"item {len(entries)}: {exc}") from exc
        return address, entries

    def _entry(self, item: Outgoing[Any], *, fifo: bool) -> SendEntry:
        return entry_of(item, self.bodies.encode(item.body), fifo=fifo)


def _completed(item: Outgoing[Any], common: Outgoing[object]) -> Outgoing[Any]:
    """An item with what the call says for all, where it says nothing itself."""
    return Outgoing(
        item.body,
        common.delay if item.delay is None else item.delay,
        common.attributes if item.attributes is None else item.attributes,
        common.message_group_id if item.message_group_id is None else item.message_group_id,
        item.deduplication_id,
    )


def given_options(unknown: Mapping[str, object], **options: Any) -> dict[str, Any]:  # noqa: ANN401 -- checked here
    """The options that were really given.

    Raises:
        InvalidOption: an unknown one, or a value that cannot be.
    """
    refuse_unknown("handler", unknown, options)
    given = {name: value for name, value in options.items() if value is not UNSET}
    HandlerOptions(**given)  # built for its checks: the error belongs to the decorator's line
    return given
