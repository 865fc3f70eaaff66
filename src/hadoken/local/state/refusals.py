"""What SQS refuses, under both names of each error.

The JSON protocol names an error by its shape; clients of the older protocol know a legacy name, which SQS sends beside
it in `x-amzn-query-error`. Source: the query compatibility names of the JSON model of SQS; recorded AWS answers for the
two shapes that are not in the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hadoken.sqs.api import short_code

if TYPE_CHECKING:
    from collections.abc import Mapping

_PREFIX = "AWS.SimpleQueueService."


class _Names(NamedTuple):
    """Legacy name and HTTP status of one shape."""

    legacy: str
    status: int


def _prefixed(*shapes: str, status: int = 400) -> dict[str, _Names]:
    return {shape: _Names(_PREFIX + shape, status) for shape in shapes}


def _plain(*shapes: str, status: int = 400) -> dict[str, _Names]:
    return {shape: _Names(shape, status) for shape in shapes}


_NAMES: Mapping[str, _Names] = {
    "QueueDoesNotExist": _Names(_PREFIX + "NonExistentQueue", 400),
    "QueueNameExists": _Names("QueueAlreadyExists", 400),
    "InvalidParameterValueException": _Names("InvalidParameterValue", 400),
    "MissingRequiredParameterException": _Names("MissingParameter", 400),
    **_prefixed(
        "MessageNotInflight",
        "TooManyEntriesInBatchRequest",
        "EmptyBatchRequest",
        "BatchEntryIdsNotDistinct",
        "InvalidBatchEntryId",
        "BatchRequestTooLong",
        "QueueDeletedRecently",
        "UnsupportedOperation",
    ),
    **_prefixed("PurgeQueueInProgress", status=403),
    **_plain("InvalidMessageContents", "InvalidAttributeName", "InvalidAttributeValue", "InvalidIdFormat"),
    **_plain("OverLimit", "RequestThrottled", "InvalidSecurity", status=403),
    **_plain("ReceiptHandleIsInvalid", "ResourceNotFoundException", "InvalidAddress", status=404),
    **_plain("InternalFailure", status=500),
    **_plain("ServiceUnavailable", status=503),
}


class Refusal(Exception):
    """One error answer of SQS: of a whole request, or of one entry of a batch.

    Attributes:
        shape: name in the JSON protocol, such as "QueueDoesNotExist".
        legacy: name in the query protocol, such as "AWS.SimpleQueueService.NonExistentQueue".
        status: of HTTP.
        message: SQS's words.
    """

    def __init__(self, shape: str, message: str) -> None:
        super().__init__(message)
        self.shape = shape
        self.message = message
        self.legacy, self.status = _NAMES.get(shape, _Names(shape, 400))

    @property
    def sender_fault(self) -> bool:
        """Whether SQS blames the sender: everything below 500."""
        return self.status < 500

    @property
    def entry_code(self) -> str:
        """The short code that an entry of a batch fails with."""
        return short_code(self.legacy)


def invalid(message: str) -> Refusal:
    """A parameter whose value cannot be taken."""
    return Refusal("InvalidParameterValueException", message)


def invalid_value(value: object, parameter: str, reason: str) -> Refusal:
    """A parameter whose value cannot be taken, in SQS's usual sentence."""
    return invalid(f"Value {value} for parameter {parameter} is invalid. Reason: {reason}")


def missing(parameter: str) -> Refusal:
    """A parameter that must be there."""
    return Refusal("MissingRequiredParameterException", f"The request must contain the parameter {parameter}.")


def no_queue() -> Refusal:
    """A queue that does not exist."""
    return Refusal("QueueDoesNotExist", "The specified queue does not exist.")


def no_resource(message: str) -> Refusal:
    """A queue or task, named by ARN or handle, that does not exist."""
    return Refusal("ResourceNotFoundException", message)


def bad_handle(handle: str) -> Refusal:
    """A receipt handle that this SQS never gave out for this queue."""
    return Refusal("ReceiptHandleIsInvalid", f'The input receipt handle "{handle}" is not a valid receipt handle.')


def expired_handle(handle: str) -> Refusal:
    """A receipt handle of a FIFO queue whose lease has ended."""
    return invalid_value(handle, "ReceiptHandle", "The receipt handle has expired.")


def not_changeable(handle: str) -> Refusal:
    """A visibility change on a message that was deleted."""
    reason = "Message does not exist or is not available for visibility timeout change."
    return invalid_value(handle, "ReceiptHandle", reason)


def not_in_flight() -> Refusal:
    """A visibility change on a message whose lease has ended."""
    return Refusal("MessageNotInflight", "The specified message isn't in flight.")
