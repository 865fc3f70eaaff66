"""The attributes of a queue: their names, defaults and ranges, read from and written as SQS's strings.

Source: SQS API Reference, SetQueueAttributes; defaults of `limits`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from hadoken import limits
from hadoken.local.state.redrive import Redrive, RedriveAllow, redrive, redrive_allow
from hadoken.local.state.refusals import Refusal, invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Attribute -> (field of Settings, allowed range).
_INTEGERS: Final[Mapping[str, tuple[str, tuple[int, int]]]] = {
    "DelaySeconds": ("delay", limits.DELAY),
    "MaximumMessageSize": ("max_bytes", limits.QUEUE_BYTES),
    "MessageRetentionPeriod": ("retention", limits.RETENTION),
    "ReceiveMessageWaitTimeSeconds": ("wait", limits.WAIT_TIME),
    "VisibilityTimeout": ("visibility", limits.VISIBILITY),
}
_POLICIES: Final = frozenset({"RedrivePolicy", "RedriveAllowPolicy"})
_KEY: Final = "KmsMasterKeyId"
_KEY_REUSE: Final = "KmsDataKeyReusePeriodSeconds"
_MANAGED: Final = "SqsManagedSseEnabled"
# Kept and given back; nothing is encrypted, and nobody is refused by a policy.
_TEXTS: Final = frozenset({"Policy", _KEY, _KEY_REUSE, _MANAGED})
_SCOPE: Final = "DeduplicationScope"
_THROUGHPUT: Final = "FifoThroughputLimit"
_BY_GROUP: Final = "messageGroup"
# The first is the default.
_FIFO_TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    _SCOPE: ("queue", _BY_GROUP),
    _THROUGHPUT: ("perQueue", "perMessageGroupId"),
}
_DIGITS: Final = re.compile(r"[0-9]{1,9}")  # more are out of every range, and slow to read
_BOOLEANS: Final = ("true", "false")
_REUSE: Final = (60, 86_400)  # seconds a data key is used again. SQS API Reference
_DEFAULT_REUSE: Final = "300"
READ_ONLY: Final = frozenset(
    {
        "QueueArn",
        "CreatedTimestamp",
        "LastModifiedTimestamp",
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesDelayed",
    }
)
NAMES: Final = (
    READ_ONLY
    | frozenset(_INTEGERS)
    | _TEXTS
    | _POLICIES
    | frozenset(_FIFO_TEXTS)
    | frozenset({"All", "FifoQueue", "ContentBasedDeduplication"})
)


class Settings(msgspec.Struct, frozen=True):
    """The attributes of one queue that can be set. Durations in seconds."""

    fifo: bool = False
    delay: int = 0
    max_bytes: int = limits.QUEUE_BYTES[1]
    retention: int = limits.DEFAULT_RETENTION
    wait: int = 0
    visibility: int = limits.DEFAULT_VISIBILITY
    redrive: Redrive | None = None
    redrive_allow: RedriveAllow | None = None
    content_based: bool = False
    texts: Mapping[str, str] = {}

    def attributes(self) -> dict[str, str]:
        """These settings as SQS's strings."""
        found = {name: str(getattr(self, field)) for name, (field, _) in _INTEGERS.items()}
        found.update(self.texts)
        found.setdefault(_MANAGED, str(_KEY not in found).lower())
        if _KEY in found:
            found.setdefault(_KEY_REUSE, _DEFAULT_REUSE)
        if self.redrive is not None:
            found["RedrivePolicy"] = self.redrive.text
        if self.redrive_allow is not None:
            found["RedriveAllowPolicy"] = self.redrive_allow.text
        if self.fifo:
            found["FifoQueue"] = "true"
            found["ContentBasedDeduplication"] = str(self.content_based).lower()
            for name, (default, _) in _FIFO_TEXTS.items():
                found.setdefault(name, default)
        return found


def changed(settings: Settings, attributes: Mapping[str, str], has_queue: Callable[[str], bool]) -> Settings:
    """Apply attributes of SetQueueAttributes or CreateQueue (without FifoQueue).

    Args:
        settings: as they are.
        attributes: names and values as SQS's strings.
        has_queue: whether a queue with an ARN exists.

    Raises:
        Refusal: an unknown name, a value out of range, or values that do not go together.
    """
    fields: dict[str, object] = {}
    texts = dict(settings.texts)
    for name, value in attributes.items():
        if name in _INTEGERS:
            field, bounds = _INTEGERS[name]
            fields[field] = _integer(name, value, bounds)
        elif name == "RedrivePolicy":
            fields["redrive"] = redrive(value, has_queue, fifo=settings.fifo)
        elif name == "RedriveAllowPolicy":
            fields["redrive_allow"] = redrive_allow(value)
        elif name == "ContentBasedDeduplication" and settings.fifo:
            fields["content_based"] = _boolean(name, value)
        elif name in _TEXTS or (name in _FIFO_TEXTS and settings.fifo):
            _check_text(name, value)
            _keep(texts, name, value)
        else:
            raise Refusal("InvalidAttributeName", f"Unknown Attribute {name}.")
    _check_throughput(texts)
    _encrypt_once(texts, attributes)
    return msgspec.structs.replace(settings, texts=texts, **fields)


def fifo_wanted(name: str, attributes: Mapping[str, str]) -> bool:
    """Whether CreateQueue is to make a FIFO queue.

    Raises:
        Refusal: the suffix `.fifo` and the attribute FifoQueue disagree, or the name is none.
    """
    wanted = "FifoQueue" in attributes and _boolean("FifoQueue", attributes["FifoQueue"])
    if not wanted and "FifoQueue" in attributes:
        raise Refusal("InvalidAttributeName", "Unknown Attribute FifoQueue.")
    if not limits.QUEUE_NAME.fullmatch(name) or limits.is_fifo(name) != wanted:
        rule = "The name of a FIFO queue can" if wanted else "Can"
        end = ", with .fifo suffix and be 1 to 80 in length" if wanted else ". 1 to 80 in length"
        raise invalid(f"{rule} only include alphanumeric characters, hyphens, or underscores{end}")
    return wanted


def _check_text(name: str, value: str) -> None:
    """Refuse a text that SQS would not keep; an empty one removes the attribute."""
    if name in _FIFO_TEXTS:
        if value not in _FIFO_TEXTS[name]:
            raise _bad(name)
    elif not value:
        return
    elif name == _MANAGED:
        _boolean(name, value)
    elif name == _KEY_REUSE:
        _integer(name, value, _REUSE)
    elif name == "Policy" and not _is_map(value):
        raise _bad(name)


def _check_throughput(texts: Mapping[str, str]) -> None:
    """Refuse high throughput without the scope it needs. Source: SQS developer guide, high throughput for FIFO."""
    if texts.get(_THROUGHPUT) == _FIFO_TEXTS[_THROUGHPUT][1] and texts.get(_SCOPE) != _BY_GROUP:
        reason = f"The perMessageGroupId value is allowed only when the value for {_SCOPE} is {_BY_GROUP}."
        raise Refusal("InvalidAttributeValue", f"Invalid value for the parameter {_THROUGHPUT}. Reason: {reason}")


def _encrypt_once(texts: dict[str, str], attributes: Mapping[str, str]) -> None:
    """Let the kind of encryption that was asked for last replace the other; both at once are refused."""
    managed, key = attributes.get(_MANAGED) == "true", bool(attributes.get(_KEY))
    if managed and key:
        text = "You can use one type of server-side encryption (SSE) at one time."
        raise Refusal("InvalidAttributeValue", f"{text} You can either enable KMS SSE or SQS SSE.")
    if managed:
        texts.pop(_KEY, None)
        texts.pop(_KEY_REUSE, None)
    elif key:
        texts.pop(_MANAGED, None)


def _is_map(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except msgspec.MsgspecError:
        return False


def _keep(texts: dict[str, str], name: str, value: str) -> None:
    if value:
        texts[name] = value
    else:
        texts.pop(name, None)  # an empty value removes a policy


def _bad(name: str) -> Refusal:
    return Refusal("InvalidAttributeValue", f"Invalid value for the parameter {name}.")


def _integer(name: str, value: str, bounds: tuple[int, int]) -> int:
    if not _DIGITS.fullmatch(value) or not bounds[0] <= int(value) <= bounds[1]:
        raise _bad(name)
    return int(value)


def _boolean(name: str, value: str) -> bool:
    if value not in _BOOLEANS:
        raise _bad(name)
    return value == "true"
