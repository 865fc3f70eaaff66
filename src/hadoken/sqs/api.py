"""What hadoken asks of SQS, and nothing more.

Rules of this file:
- Requests and answers are plain data. A partial failure of a batch is a value (`BatchAnswer.failed`); only a request
  that failed whole is an exception, always an `SQSError`.
- Entries of a batch are known by their position, 0 to 9, never by message id or receipt handle.
- Retry policy lives above this seam, once, for every implementation. An implementation sends a request once.
- The engine's calls return an `asyncio.Future` of the running loop: it can be awaited, and a callback on it costs no
  task.

Implementations: `sqs.fast` (connections of our own on the loop), `sqs.boto` (any botocore client, in fixed threads) and
`local.inprocess` (the local SQS without a socket).
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, TypeVar

import msgspec

from hadoken import errors

T = TypeVar("T")


class Attribute(msgspec.Struct, frozen=True, rename={"type": "DataType", "text": "StringValue", "data": "BinaryValue"}):
    """One message attribute. Exactly one of `text` (String, Number) and `data` (Binary) is set.

    In JSON its fields have SQS's names, as those of `ReceivedMessage`: an answer is decoded into them in one go.

    Attributes:
        type: "String", "Number" or "Binary", with an optional custom suffix such as "Number.int".
    """

    type: str
    text: str | None = None
    data: bytes | None = None


class ReceivedMessage(
    msgspec.Struct,
    frozen=True,
    weakref=True,
    rename={
        "message_id": "MessageId",
        "receipt_handle": "ReceiptHandle",
        "body": "Body",
        "system": "Attributes",
        "attributes": "MessageAttributes",
    },
):
    """One message as it was received: data only.

    Attributes:
        body: the text as sent, 1..1,048,576 bytes.
        system: SQS's own attributes, all strings: SentTimestamp (ms since 1970), ApproximateReceiveCount,
            MessageGroupId...
        attributes: the sender's message attributes, at most ten.
    """

    message_id: str
    receipt_handle: str
    body: str = ""
    system: Mapping[str, str] = {}
    attributes: Mapping[str, Attribute] = {}

    @property
    def receive_count(self) -> int:
        """How often SQS has handed the message out, this time included; 1 where SQS did not say a number."""
        count = self.system.get("ApproximateReceiveCount", "1")
        return int(count) if count.isdecimal() and len(count) < 10 else 1

    @property
    def message_group_id(self) -> str | None:
        """The message group, on FIFO and on fair queues."""
        return self.system.get("MessageGroupId")


class Receive(msgspec.Struct, frozen=True):
    """ReceiveMessage, with all attributes of both kinds.

    Attributes:
        max_messages: 1..10.
        wait_time: 0..20 whole seconds of long poll.
        visibility_timeout: 0..43200 whole seconds; always sent, so that the queue's own setting cannot surprise us.
        attempt_id: ReceiveRequestAttemptId, FIFO only; the same one over retries of one logical receive.
    """

    queue_url: str
    max_messages: int
    wait_time: int
    visibility_timeout: int
    attempt_id: str | None = None


class Received(msgspec.Struct, frozen=True):
    """The answer to `Receive`.

    Attributes:
        messages: 0..10, in the order of the answer.
        server_time: the answer's Date in seconds since 1970, None if it had none.
    """

    messages: Sequence[ReceivedMessage]
    server_time: float | None = None


class DeleteBatch(msgspec.Struct, frozen=True):
    """DeleteMessageBatch of 1..10 receipt handles."""

    queue_url: str
    handles: Sequence[str]


class ChangeVisibilityBatch(msgspec.Struct, frozen=True):
    """ChangeMessageVisibilityBatch of 1..10 (receipt handle, whole seconds from the call)."""

    queue_url: str
    entries: Sequence[tuple[str, int]]


class SendEntry(msgspec.Struct, frozen=True):
    """One message to send. `delay` in whole seconds; None means the queue's own."""

    body: str
    attributes: Mapping[str, Attribute] = {}
    delay: int | None = None
    message_group_id: str | None = None
    deduplication_id: str | None = None


class SendBatch(msgspec.Struct, frozen=True):
    """SendMessageBatch of 1..10 entries, at most 1 MiB together."""

    queue_url: str
    entries: Sequence[SendEntry]


class EntryFailure(msgspec.Struct, frozen=True):
    """Why one entry of a batch was refused.

    Attributes:
        code: error code, a short name such as "ReceiptHandleIsInvalid".
        message: SQS's own words; may be empty.
        sender_fault: SQS's opinion on whose fault it is.
    """

    code: str
    message: str = ""
    sender_fault: bool = True

    @property
    def fault(self) -> Fault:
        """The class of the failure. An entry that is not the sender's fault is worth another try whatever its code."""
        fault = classify(self.code, self.message)
        return Fault.TRANSIENT if fault is Fault.CLIENT and not self.sender_fault else fault


class BatchAnswer(msgspec.Struct, frozen=True):
    """The answer to a delete or visibility batch.

    Attributes:
        failed: position -> failure; empty is the normal answer. Positions that are not in it succeeded.
    """

    failed: Mapping[int, EntryFailure] = {}


class SentBatch(msgspec.Struct, frozen=True):
    """The answer to `SendBatch`: position -> new message id, position -> failure; together they cover every entry."""

    sent: Mapping[int, str]
    failed: Mapping[int, EntryFailure] = {}


class SQS(Protocol):
    """The engine's door to SQS.

    Thread: the loop that runs the engine. Every call returns at once; the future fails with an `SQSError` and with
    nothing else. Cancelling a future does not promise that SQS has not applied the request.
    """

    def receive(self, request: Receive) -> asyncio.Future[Received]:
        """Long-poll one queue; the answer takes up to `wait_time` seconds."""
        ...

    def delete_batch(self, request: DeleteBatch) -> asyncio.Future[BatchAnswer]:
        """Delete up to ten messages of one queue."""
        ...

    def change_visibility_batch(self, request: ChangeVisibilityBatch) -> asyncio.Future[BatchAnswer]:
        """Set how long up to ten messages of one queue stay invisible, counted from the call."""
        ...

    def send_batch(self, request: SendBatch) -> asyncio.Future[SentBatch]:
        """Send up to ten messages to one queue."""
        ...

    def queue_url(self, name: str) -> asyncio.Future[str]:
        """The URL of a queue given by name."""
        ...

    def queue_attributes(self, queue_url: str) -> asyncio.Future[Mapping[str, str]]:
        """All attributes of a queue, values as SQS's strings."""
        ...

    def close(self) -> None:
        """End it; what is still open ends by itself, at the latest with its own time-out. Does not block."""
        ...


class BlockingSQS(Protocol):
    """The sender's door: the calling thread does the work and no other thread is used.

    Thread: any, several at once. Raises `SQSError` and nothing else.
    """

    def send_batch(self, request: SendBatch) -> SentBatch:
        """Send up to ten messages to one queue."""
        ...

    def queue_url(self, name: str) -> str:
        """The URL of a queue given by name."""
        ...


class LoopSQS(Protocol):
    """The sender's door on a loop of the caller's; `SQS` has all of it.

    Thread: that of the loop. Every call returns at once; the future fails with an `SQSError` and with nothing else.
    """

    def send_batch(self, request: SendBatch) -> asyncio.Future[SentBatch]:
        """Send up to ten messages to one queue."""
        ...

    def queue_url(self, name: str) -> asyncio.Future[str]:
        """The URL of a queue given by name."""
        ...

    def close(self) -> None:
        """End it; does not block."""
        ...


class Offload(Protocol):
    """Has something that blocks done in a thread; the outcome is a future of the running loop."""

    def __call__(self, work: Callable[[], T], /) -> asyncio.Future[T]:
        """Begin it."""
        ...


class ForLoops(Protocol):
    """What clients for loops are made of; one serves all loops of a process."""

    def on_loop(self, offload: Offload, /) -> LoopSQS:
        """Make the client of the running loop; what blocks is done by `offload`."""
        ...


# Our own code for a request that was not sent, since there was nothing to sign it with.
NO_CREDENTIALS: Final = "NoCredentials"


# Our own code for a request, or an entry of one, of which nobody knows whether SQS has applied it.
NO_ANSWER: Final = "NoAnswer"

# Our own code for a request that was not sent, since no connection came about: certainly not applied.
NOT_CONNECTED: Final = "NotConnected"
# The same under the names of botocore's exceptions.
_NEVER_SENT: Final = frozenset({NOT_CONNECTED, "EndpointConnectionError", "ConnectTimeoutError"})


class Fault(enum.Enum):
    """Classes of errors, by what we do about them."""

    NO_QUEUE = "the queue does not exist: that queue backs off for ever, others go on"
    THROTTLE = "too many requests: back off"
    OVER_LIMIT = "too many messages in flight: pause receiving, go on deleting"
    LEASE_LOST = "the receipt handle is no longer good: never retried"
    CLIENT = "a request that can never work: our bug or the user's data"
    DENIED = "not allowed: named once, retried slowly"
    REFRESH = "credentials or clock: refresh and try again"
    TRANSIENT = "SQS or the network: try again"


# Too many requests; bandwidth exceeded. Source: botocore, data/_retry.json.
_THROTTLED: Final = frozenset({429, 509})

# Shape names and legacy names, both without the prefix "AWS.SimpleQueueService.". Source: the JSON protocol's model
# of SQS (query compatibility names), recorded AWS answers, and what botocore's retries take for throttling or
# transient, whatever service it comes from: proxies and imitations answer by such names.
_FAULTS: Mapping[str, Fault] = {
    **dict.fromkeys(("QueueDoesNotExist", "NonExistentQueue", "QueueDeletedRecently"), Fault.NO_QUEUE),
    **dict.fromkeys(
        (
            "RequestThrottled",
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "RequestThrottledException",
            "TooManyRequestsException",
            "SlowDown",
            "KmsThrottled",
            "KMS.ThrottlingException",
            "RequestLimitExceeded",
            "BandwidthLimitExceeded",
            "LimitExceededException",
            "ProvisionedThroughputExceededException",
            "TransactionInProgressException",
            "PriorRequestNotComplete",
            "EC2ThrottledException",
            "HTTP 429",
            "HTTP 509",
        ),
        Fault.THROTTLE,
    ),
    "OverLimit": Fault.OVER_LIMIT,
    **dict.fromkeys(("ReceiptHandleIsInvalid", "MessageNotInflight"), Fault.LEASE_LOST),
    **dict.fromkeys(
        (
            "AccessDenied",
            "AccessDeniedException",
            "InvalidClientTokenId",
            "UnrecognizedClientException",
            "SignatureDoesNotMatch",
            "InvalidSignatureException",
            "InvalidAddress",
            "InvalidSecurity",
            "KmsAccessDenied",
            "KmsDisabled",
            "KmsNotFound",
            "KmsInvalidState",
            "KmsInvalidKeyUsage",
            "KmsOptInRequired",
            "KMS.AccessDeniedException",
            "KMS.DisabledException",
            "KMS.NotFoundException",
            "KMS.InvalidStateException",
            "KMS.InvalidKeyUsageException",
            "KMS.OptInRequired",
            NO_CREDENTIALS,
        ),
        Fault.DENIED,
    ),
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException", "RequestTimeTooSkewed", "RequestExpired"), Fault.REFRESH),
    **dict.fromkeys(
        (
            "InternalFailure",
            "InternalError",
            "InternalServerError",
            "ServiceUnavailable",
            "ServiceUnavailableException",
            "RequestTimeout",
            NO_ANSWER,
            NOT_CONNECTED,
            "RequestTimeoutException",
        ),
        Fault.TRANSIENT,
    ),
}  # fmt: skip -- a table reads better than one name a line


# Under what SQS refuses a signature, and its words where only the date is wrong: more than 15 minutes off.
_SIGNATURE: Final = frozenset({"SignatureDoesNotMatch", "InvalidSignatureException"})
_TOO_FAR: Final = ("Signature expired", "Signature not yet current")


def short_code(code: str) -> str:
    """An error's name without its prefixes: "com.amazonaws.sqs#X", "AWS.SimpleQueueService.X" and "X:..." give "X"."""
    return code.rpartition("#")[2].partition(":")[0].removeprefix("AWS.SimpleQueueService.")


def classify(code: str, message: str = "", status: int = 400) -> Fault:
    """The class of an error, by its code under either name, its words and its HTTP status.

    A bad parameter that names a receipt handle is a lost lease: FIFO queues answer so for an expired handle.
    A signature that is refused for its date alone is a matter of clocks, which are set right again, not of the key.
    """
    name = short_code(code)
    if name in _SIGNATURE and any(words in message for words in _TOO_FAR):
        return Fault.REFRESH
    if name in _FAULTS:
        return _FAULTS[name]
    if name.startswith("InvalidParameterValue") and ("receipt handle" in message.lower() or "ReceiptHandle" in message):
        return Fault.LEASE_LOST
    if "visibility timeout change" in message:  # a change on a message that was deleted
        return Fault.LEASE_LOST
    if status in _THROTTLED:
        return Fault.THROTTLE
    if status >= 500:
        return Fault.TRANSIENT
    return Fault.CLIENT


_ERRORS: Mapping[Fault, type[errors.SQSError]] = {
    Fault.THROTTLE: errors.SQSThrottled,
    Fault.OVER_LIMIT: errors.SQSThrottled,
    Fault.LEASE_LOST: errors.LeaseLost,
    Fault.DENIED: errors.SQSDenied,
    Fault.REFRESH: errors.SQSDenied,
    Fault.TRANSIENT: errors.SQSUnavailable,
}

_RETRIABLE = frozenset({Fault.THROTTLE, Fault.OVER_LIMIT, Fault.REFRESH, Fault.TRANSIENT})


def sqs_error(operation: str, code: str, message: str, *, status: int = 400, request_id: str = "") -> errors.SQSError:
    """Build the `SQSError` for an error answer of SQS; its class and `transient` follow `classify`."""
    fault = classify(code, message, status)
    name = short_code(code) or f"HTTP {status}"
    return _ERRORS.get(fault, errors.SQSError)(
        f"{operation} failed: {name}: {message}" if message else f"{operation} failed: {name}",
        operation=operation,
        code=name,
        request_id=request_id,
        transient=fault in _RETRIABLE,
    )


def fault_of(error: errors.SQSError) -> Fault:
    """The class of an error that came over this seam."""
    fault = classify(error.code, str(error))
    return Fault.TRANSIENT if fault is Fault.CLIENT and error.transient else fault


def may_be_applied(error: errors.SQSError) -> bool:
    """Whether SQS may have done what a request asked for although it failed: after no answer, and after any 5xx.

    What was throttled or denied, and what was never sent, has certainly changed nothing and may be repeated.
    """
    return fault_of(error) is Fault.TRANSIENT and error.code not in _NEVER_SENT
