"""The checks of a request's values, in SQS's words.

Source: SQS API Reference; recorded AWS answers; the numbers are those of `limits`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeVar

from hadoken import limits
from hadoken.local.state.refusals import Refusal, invalid, invalid_value, missing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hadoken.local.state.queue import Queue
    from hadoken.local.state.requests import AttributeValue, ChangeEntry, DeleteEntry, MessageFields, SendEntry

T = TypeVar("T")
E = TypeVar("E", "SendEntry", "DeleteEntry", "ChangeEntry")

TRACE_HEADER: Final = "AWSTraceHeader"
_CHARACTERS: Final = "#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"
_TOKEN_RULE: Final = "can only include alphanumeric and punctuation characters. 1 to 128 in length."  # noqa: S105 -- no password
# Tags: how many on a queue, and the rules of their keys and values. SQS developer guide, cost allocation tags
MAX_TAGS: Final = 50
_TAG_KEY: Final = 128
_TAG_VALUE: Final = 256
_TAG_CHARACTERS: Final = re.compile(r"[\w\s.:/=+\-@]*")
_TAG_RESERVED: Final = "aws:"
# Message attributes of type Number: a decimal, no more. SQS developer guide, message attribute data types
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def required(value: T | None, parameter: str) -> T:
    """Give back a parameter that must be there; an empty text or list counts as missing."""
    if value is None or value == "":
        raise missing(parameter)
    return value


def whole(value: int | None, default: int, bounds: tuple[int, int], parameter: str, reason: str = "") -> int:
    """A number within its bounds, or the default if there is none."""
    if value is None:
        return default
    if not bounds[0] <= value <= bounds[1]:
        raise invalid_value(value, parameter, reason or f"Must be >= {bounds[0]} and <= {bounds[1]}, if provided.")
    return value


def max_messages(value: int | None) -> int:
    """MaxNumberOfMessages of a receive."""
    reason = "Must be between 1 and 10, if provided."
    return whole(value, 1, (1, limits.RECEIVE_MESSAGES), "MaxNumberOfMessages", reason)


def visibility(value: int | None, default: int) -> int:
    """VisibilityTimeout of a receive or a change."""
    return whole(value, default, limits.VISIBILITY, "VisibilityTimeout", "Must be between 0 and 43200, if provided.")


def token(value: str | None, parameter: str) -> str | None:
    """A MessageGroupId, MessageDeduplicationId or ReceiveRequestAttemptId: absent or well formed."""
    if value is not None and not limits.TOKEN.fullmatch(value):
        raise invalid_value(value, parameter, f"{parameter} {_TOKEN_RULE}")
    return value


def batch(entries: Sequence[E] | None, kind: str) -> Sequence[E]:
    """Check what refuses a batch as a whole: its size and its ids.

    Args:
        entries: of the request.
        kind: name of the entry type, for the message.
    """
    if not entries:
        raise Refusal("EmptyBatchRequest", f"There should be at least one {kind} in the request.")
    if len(entries) > limits.BATCH_ENTRIES:
        text = f"Maximum number of entries per request are {limits.BATCH_ENTRIES}. You have sent {len(entries)}."
        raise Refusal("TooManyEntriesInBatchRequest", text)
    seen: set[str] = set()
    for entry in entries:
        if entry.id is None or not limits.BATCH_ID.fullmatch(entry.id):
            text = "A batch entry id can only contain alphanumeric characters, hyphens and underscores."
            raise Refusal("InvalidBatchEntryId", f"{text} It can be at most 80 letters long.")
        if entry.id in seen:
            raise Refusal("BatchEntryIdsNotDistinct", f"Id {entry.id} repeated.")
        seen.add(entry.id)
    return entries


def tags(present: Mapping[str, str], added: Mapping[str, str], name: str) -> dict[str, str]:
    """The tags of a queue with others added to them.

    Args:
        present: as they are.
        added: to be checked.
        name: of the queue, for the message.

    Raises:
        Refusal: a key or value that SQS does not take, or more than 50 in all.
    """
    for key, value in added.items():
        _tag(key, value)
    found = {**present, **added}
    if len(found) > MAX_TAGS:
        raise invalid(f"Too many tags added for queue {name}.")
    return found


def size(message: MessageFields) -> int:
    """Bytes of a message as SQS counts them: body and attributes; system attributes are free."""
    total = limits.utf8_bytes(message.message_body or "")
    for name, value in (message.message_attributes or {}).items():
        total += limits.utf8_bytes(name) + limits.utf8_bytes(value.data_type or "")
        total += limits.utf8_bytes(value.string_value or "") + len(value.binary_value or b"")
    return total


def presence(queue: Queue, message: MessageFields) -> None:
    """Check what must be there; in a batch a lack refuses the whole call."""
    required(message.message_body, "MessageBody")
    if not queue.settings.fifo:
        return
    required(message.message_group_id, "MessageGroupId")
    if message.message_deduplication_id is None and not queue.settings.content_based:
        text = "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided"
        raise invalid(f"{text} explicitly")


def values(queue: Queue, message: MessageFields) -> None:
    """Check the values of one message; in a batch a bad one fails its entry alone."""
    if size(message) > queue.settings.max_bytes:
        reason = f"Message must be shorter than {queue.settings.max_bytes} bytes."
        raise invalid(f"One or more parameters are invalid. Reason: {reason}")
    _text(message.message_body or "")
    _delay(queue, message.delay_seconds)
    token(message.message_group_id, "MessageGroupId")
    if message.message_deduplication_id is not None and not queue.settings.fifo:
        reason = "The request include parameter that is not valid for this queue type."
        raise invalid_value(message.message_deduplication_id, "MessageDeduplicationId", reason)
    token(message.message_deduplication_id, "MessageDeduplicationId")
    if message.message_attributes:
        _attributes(message.message_attributes)
    if message.message_system_attributes:
        _system_attributes(message.message_system_attributes)


def _text(text: str) -> None:
    if limits.refused_character(text):
        raise Refusal("InvalidMessageContents", f"Invalid characters found. Valid unicode characters are {_CHARACTERS}")


def _delay(queue: Queue, delay: int | None) -> None:
    if delay and queue.settings.fifo:
        reason = "The request include parameter that is not valid for this queue type."
        raise invalid_value(delay, "DelaySeconds", reason)
    whole(delay, 0, limits.DELAY, "DelaySeconds", "DelaySeconds must be >= 0 and <= 900.")


def _attributes(attributes: Mapping[str, AttributeValue]) -> None:
    if len(attributes) > limits.ATTRIBUTES:
        raise invalid(
            f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum [{limits.ATTRIBUTES}]."
        )
    for name, value in attributes.items():
        if not limits.ATTRIBUTE_NAME.fullmatch(name):
            raise invalid(f"Message (user) attribute name '{name}' is not valid: see the rules for attribute names.")
        _value(name, value)


def _value(name: str, value: AttributeValue) -> None:
    kind = value.data_type or ""
    if len(kind) > 256 or not limits.ATTRIBUTE_TYPE.fullmatch(kind):  # SQS's limit of names and types
        rule = "You must use only the following supported type prefixes: Binary, Number, String."
        raise invalid(f"The type of message (user) attribute '{name}' is invalid. {rule}")
    base = kind.partition(".")[0]
    content: str | bytes | None = value.binary_value if base == "Binary" else value.string_value
    if not content:
        raise invalid(f"Message (user) attribute '{name}' must contain a non-empty value of type '{base}'.")
    if isinstance(content, str):
        _text(content)
    if base == "Number" and not _NUMBER.fullmatch(value.string_value or ""):
        raise invalid(f"Can't cast the value of message (user) attribute '{name}' to a number.")


def _system_attributes(attributes: Mapping[str, AttributeValue]) -> None:
    for name, value in attributes.items():
        if name != TRACE_HEADER:
            rule = f"The only supported name is {TRACE_HEADER}."
            raise invalid(f"Message system attribute name '{name}' is invalid. {rule}")
        if value.data_type != "String" or not value.string_value:
            raise invalid(f"Message (system) attribute '{name}' must contain a non-empty value of type 'String'.")


def _tag(key: str, value: str) -> None:
    if not 1 <= len(key) <= _TAG_KEY:
        raise invalid(f"Tag keys must be between 1 and {_TAG_KEY} characters in length.")
    if len(value) > _TAG_VALUE:
        raise invalid(f"Tag values must be between 0 and {_TAG_VALUE} characters in length.")
    if key.lower().startswith(_TAG_RESERVED):
        raise invalid_value(key, "Tags", f"Tag keys cannot start with {_TAG_RESERVED}")
    if not _TAG_CHARACTERS.fullmatch(key) or not _TAG_CHARACTERS.fullmatch(value):
        raise invalid_value(key, "Tags", "Tags can only include letters, digits, white space and _ . : / = + - @")
