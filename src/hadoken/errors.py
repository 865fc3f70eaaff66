"""Everything hadoken raises, split by whose fault it is.

A `ConfigurationError` is our user's mistake, found before anything runs. An `SQSError` is Amazon's or the network's. A
`BodyError` is the sender's. A `LifecycleError` is the wrong moment. Each carries `hint`, one sentence of what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class HadokenError(Exception):
    """Base of all errors of hadoken.

    Attributes:
        hint: one sentence of what to do; may be empty.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        text = super().__str__()
        return f"{text} ({self.hint})" if self.hint else text


class ConfigurationError(HadokenError):
    """The user's mistake, found at declaration or at boot, before any message is received."""


class InvalidOption(ConfigurationError):
    """An option that does not exist, or whose value cannot work."""


class InvalidHandler(ConfigurationError):
    """A handler whose signature or kind cannot work."""


class DuplicateHandler(ConfigurationError):
    """Two handlers for the same queue."""


class QueueNotFound(ConfigurationError):
    """One or more queues do not exist.

    Attributes:
        queues: the names of all that are missing, in the order of their declaration.
    """

    def __init__(self, message: str, *, queues: Sequence[str], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.queues = tuple(queues)


class SQSError(HadokenError):
    """SQS, or the way to it, refused or failed one request.

    Attributes:
        operation: the SQS operation, such as "ReceiveMessage".
        code: the error's shape name, such as "QueueDoesNotExist"; "" where no answer came.
        request_id: what AWS support asks for; "" where there is none.
        transient: whether the same request may succeed later.
    """

    def __init__(
        self,
        message: str,
        *,
        operation: str = "",
        code: str = "",
        request_id: str = "",
        transient: bool = False,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.operation = operation
        self.code = code
        self.request_id = request_id
        self.transient = transient


class SQSUnavailable(SQSError):
    """No answer, or a 5xx."""


class SQSThrottled(SQSError):
    """Too many requests, or too many messages in flight (OverLimit)."""


class SQSDenied(SQSError):
    """Credentials, policy or key do not allow the request."""


class LeaseLost(SQSError):
    """The receipt handle no longer holds its message."""


class BatchFailed(SQSError):
    """Some entries of a batch were not accepted.

    Attributes:
        failed: position of the entry in what was given -> the reason in words; never empty.
    """

    def __init__(self, message: str, *, failed: Mapping[int, str], operation: str = "", hint: str = "") -> None:
        super().__init__(message, operation=operation, hint=hint)
        self.failed = dict(failed)


class BodyError(HadokenError):
    """A body that cannot be encoded or decoded."""


class EncodeError(BodyError):
    """A body that cannot be sent: wrong type, too big, or with characters that SQS refuses."""


RAW_KEPT = 2048  # characters of an undecodable body kept for the report; enough to recognise it, bounded


class DecodeError(BodyError):
    """A received body that does not decode as the handler's type.

    Attributes:
        raw: at most the first 2,048 characters of the body; left out of `repr`.
    """

    def __init__(self, message: str, *, raw: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.raw = raw[:RAW_KEPT]


class LifecycleError(HadokenError):
    """A call at the wrong moment of a worker's life."""


@dataclass(frozen=True, slots=True)
class InFlight:
    """One message that was still running when the drain deadline passed.

    Attributes:
        message_id: of SQS.
        queue: its logical name.
        handler: dotted name of the handler.
        thread: name of the thread that runs it; "" if none had started it.
        age: seconds since the handler was started.
        stack: the thread's Python frames, innermost last, as text; may be empty.
    """

    message_id: str
    queue: str
    handler: str
    thread: str
    age: float
    stack: str


class DrainTimeout(LifecycleError):
    """Handlers were still running at the drain deadline.

    Attributes:
        in_flight: what was running; never empty.
    """

    def __init__(self, message: str, *, in_flight: Sequence[InFlight], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.in_flight = tuple(in_flight)


class ThreadBudgetExceeded(HadokenError):
    """A thread of ours beyond the budget was about to be started: a bug of hadoken.

    Attributes:
        census: names of the threads that we have running.
        births: "name: file:line" of each of them.
    """

    def __init__(self, message: str, *, census: Sequence[str], births: Sequence[str], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.census = tuple(census)
        self.births = tuple(births)
