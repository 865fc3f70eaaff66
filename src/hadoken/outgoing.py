"""A message before it is sent: what may be said about it, and its checked form."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Generic, TypeVar

from hadoken import limits
from hadoken.codec import check_text
from hadoken.errors import EncodeError, InvalidOption
from hadoken.sqs.api import Attribute, SendEntry

B = TypeVar("B")
AttributeValue = str | bytes | int | float

# SQS keeps 38 digits of a Number, between -10^128 and 10^126. Source: developer guide, message metadata.
_DIGITS: Final = 38
_NOTHING: Final = (None, None, None)
_NUMBER: Final = (-1e128, 1e126)


@dataclass(frozen=True)  # no slots: with them Python 3.11 cannot build `Outgoing[str](...)`
class Outgoing(Generic[B]):
    """One item of `send_many` that says more than its body. What is None comes from the call's own keywords.

    Attributes:
        body: the payload.
        delay: 0..900 s or a timedelta until the message can be received; not on FIFO queues.
        attributes: at most ten: str as String, int and float as Number, bytes as Binary.
        message_group_id: required on FIFO queues; on standard ones it names a tenant (fair queues).
        deduplication_id: FIFO only; a fresh one unless given.
    """

    body: B
    delay: float | timedelta | None = None
    attributes: Mapping[str, AttributeValue] | None = None
    message_group_id: str | None = None
    deduplication_id: str | None = None


def entry_of(item: Outgoing[object], text: str, *, fifo: bool) -> SendEntry:
    """The checked form of a message whose body is encoded as `text`.

    Raises:
        InvalidOption: delay, message_group_id or deduplication_id cannot be.
        EncodeError: an attribute cannot be, or the message is above 1 MiB with its attributes.
    """
    if not (fifo or item.attributes) and (item.delay, item.message_group_id, item.deduplication_id) == _NOTHING:
        entry = SendEntry(text)  # nearly every message: nothing but its size is left to be checked
    else:
        entry = _full_entry(item, text, fifo=fifo)
    if (size := entry_bytes(entry)) > limits.MESSAGE_BYTES:
        raise EncodeError(
            f"message is {size} bytes with its attributes; SQS allows {limits.MESSAGE_BYTES} (limits.MESSAGE_BYTES)"
        )
    return entry


def _full_entry(item: Outgoing[object], text: str, *, fifo: bool) -> SendEntry:
    attributes = {name: _attribute(name, value) for name, value in item.attributes.items()} if item.attributes else {}
    if len(attributes) > limits.ATTRIBUTES:
        raise EncodeError(
            f"message has {len(attributes)} attributes; SQS allows {limits.ATTRIBUTES} (limits.ATTRIBUTES)"
        )
    _check_token("message_group_id", item.message_group_id)
    _check_token("deduplication_id", item.deduplication_id)
    return SendEntry(
        body=text,
        attributes=attributes,
        delay=_delay(item.delay, fifo=fifo),
        message_group_id=item.message_group_id,
        deduplication_id=_deduplication_id(item, fifo=fifo),
    )


def entry_bytes(entry: SendEntry) -> int:
    """What SQS counts of a message: the body and names, types and values of its attributes, in bytes of UTF-8."""
    size = limits.utf8_bytes(entry.body)
    if not entry.attributes:
        return size
    for name, each in entry.attributes.items():
        value = len(each.data) if each.data is not None else limits.utf8_bytes(each.text or "")
        size += len(name) + len(each.type) + value
    return size


def _delay(delay: object, *, fifo: bool) -> int | None:
    """Whole seconds, rounded up: a message is never there earlier than asked."""
    if delay is None:
        return None
    seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
    low, high = limits.DELAY
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise InvalidOption(f"delay is {delay!r}; it is seconds or a timedelta")
    if not low <= seconds <= high:
        raise InvalidOption(
            f"delay is {seconds:.15g} s; SQS allows {low}..{high} (limits.DELAY)",
            hint="schedule later messages with EventBridge Scheduler",
        )
    if fifo:
        raise InvalidOption(
            f"delay is {seconds:g} s; SQS takes no delay for single messages of a FIFO queue",
            hint="set DelaySeconds of the queue itself",
        )
    return math.ceil(seconds)


def _check_token(name: str, value: object) -> None:
    if value is not None and not (isinstance(value, str) and limits.TOKEN.fullmatch(value)):
        raise InvalidOption(
            f"{name} is {value!r}; SQS allows 1..128 letters, digits and punctuation, no space (limits.TOKEN)"
        )


def _deduplication_id(item: Outgoing[object], *, fifo: bool) -> str | None:
    if fifo and item.message_group_id is None:
        raise InvalidOption(
            "message_group_id is missing; a FIFO queue orders messages by it", hint="one id per order you need"
        )
    if not fifo and item.deduplication_id is not None:
        raise InvalidOption("deduplication_id is given; only FIFO queues (named *.fifo) take one")
    return item.deduplication_id or (str(uuid.uuid4()) if fifo else None)


def _attribute(name: object, value: object) -> Attribute:
    if not isinstance(name, str) or not limits.ATTRIBUTE_NAME.fullmatch(name):
        raise EncodeError(
            f"attribute name {name!r}: SQS allows 1..256 of A-Z a-z 0-9 _ - and single inner dots",
            hint="AWS. and Amazon. in front are its own",
        )
    if isinstance(value, str):
        check_text(value, f"attribute {name}")
        return Attribute("String", text=value)
    if isinstance(value, (bytes, bytearray)):
        if not value:
            raise EncodeError(f"attribute {name} is empty; SQS wants at least one byte")
        return Attribute("Binary", data=bytes(value))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise EncodeError(f"attribute {name} is {type(value).__name__}; it is str, int, float or bytes")
    return Attribute("Number", text=_number(name, value))


def _number(name: str, value: float) -> str:
    if not _NUMBER[0] < value < _NUMBER[1]:
        raise EncodeError(f"attribute {name} is {value!r}; SQS allows numbers above -10^128 and below 10^126")
    digits = repr(value)
    if isinstance(value, int) and len(digits.strip("-0")) > _DIGITS:
        raise EncodeError(f"attribute {name} has {len(digits.strip('-0'))} digits; SQS keeps {_DIGITS}")
    return digits
