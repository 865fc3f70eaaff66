"""The attributes of a queue: their names, defaults and ranges, read from and written as SQS's strings.

Source: SQS API Reference, SetQueueAttributes; defaults of `limits`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from hadoken import limits
from hadoken.local.refusals import Refusal, invalid, invalid_value

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
# Kept and given back, without effect here; FIFO ones are settings of throughput.
_TEXTS: Final = frozenset(
    {"Policy", "RedriveAllowPolicy", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "SqsManagedSseEnabled"}
)
_FIFO_TEXTS: Final = frozenset({"DeduplicationScope", "FifoThroughputLimit"})
_BOOLEANS: Final = ("true", "false")
_RECEIVES: Final = (1, 1_000)  # maxReceiveCount. SQS developer guide, dead-letter queues
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
    | _FIFO_TEXTS
    | frozenset({"All", "RedrivePolicy", "FifoQueue", "ContentBasedDeduplication"})
)


class Redrive(msgspec.Struct, frozen=True):
    """Where a message goes on the receive that would exceed `max_receives`.

    Attributes:
        text: the policy as it was given; read back unchanged.
    """

    target_arn: str
    max_receives: int
    text: str


class Settings(msgspec.Struct, frozen=True):
    """The attributes of one queue that can be set. Durations in seconds."""

    fifo: bool = False
    delay: int = 0
    max_bytes: int = limits.QUEUE_BYTES[1]
    retention: int = limits.DEFAULT_RETENTION
    wait: int = 0
    visibility: int = limits.DEFAULT_VISIBILITY
    redrive: Redrive | None = None
    content_based: bool = False
    texts: Mapping[str, str] = {}

    def attributes(self) -> dict[str, str]:
        """These settings as SQS's strings."""
        found = {name: str(getattr(self, field)) for name, (field, _) in _INTEGERS.items()}
        found.update(self.texts)
        found.setdefault("SqsManagedSseEnabled", "true")
        if self.redrive is not None:
            found["RedrivePolicy"] = self.redrive.text
        if self.fifo:
            found["FifoQueue"] = "true"
            found["ContentBasedDeduplication"] = str(self.content_based).lower()
            found.setdefault("DeduplicationScope", "queue")
            found.setdefault("FifoThroughputLimit", "perQueue")
        return found


def changed(settings: Settings, attributes: Mapping[str, str], has_queue: Callable[[str], bool]) -> Settings:
    """Apply attributes of SetQueueAttributes or CreateQueue (without FifoQueue).

    Args:
        settings: as they are.
        attributes: names and values as SQS's strings.
        has_queue: whether a queue with an ARN exists.

    Raises:
        Refusal: an unknown name, or a value out of range.
    """
    fields: dict[str, object] = {}
    texts = dict(settings.texts)
    for name, value in attributes.items():
        if name in _INTEGERS:
            field, bounds = _INTEGERS[name]
            fields[field] = _integer(name, value, bounds)
        elif name == "RedrivePolicy":
            fields["redrive"] = _redrive(value, has_queue, fifo=settings.fifo)
        elif name == "ContentBasedDeduplication" and settings.fifo:
            fields["content_based"] = _boolean(name, value)
        elif name in _TEXTS or (name in _FIFO_TEXTS and settings.fifo):
            _keep(texts, name, value)
        else:
            raise Refusal("InvalidAttributeName", f"Unknown Attribute {name}.")
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


def _keep(texts: dict[str, str], name: str, value: str) -> None:
    if value:
        texts[name] = value
    else:
        texts.pop(name, None)  # an empty value removes a policy


def _bad(name: str) -> Refusal:
    return Refusal("InvalidAttributeValue", f"Invalid value for the parameter {name}.")


def _integer(name: str, value: str, bounds: tuple[int, int]) -> int:
    if not value.isascii() or not value.isdigit() or not bounds[0] <= int(value) <= bounds[1]:
        raise _bad(name)
    return int(value)


def _boolean(name: str, value: str) -> bool:
    if value not in _BOOLEANS:
        raise _bad(name)
    return value == "true"


def _redrive(text: str, has_queue: Callable[[str], bool], *, fifo: bool) -> Redrive | None:
    if not text:
        return None
    try:
        policy = msgspec.json.decode(text, type=dict[str, str | int])
        arn = str(policy["deadLetterTargetArn"])
        receives = int(policy["maxReceiveCount"])
    except (msgspec.MsgspecError, KeyError, ValueError) as exc:
        raise invalid_value(text, "RedrivePolicy", "Redrive policy is not a valid JSON map.") from exc
    if not _RECEIVES[0] <= receives <= _RECEIVES[1]:
        raise invalid_value(text, "RedrivePolicy", "Invalid value for maxReceiveCount: must be between 1 and 1000.")
    if limits.is_fifo(arn) != fifo:
        raise invalid_value(text, "RedrivePolicy", "Dead-letter queue must be same type of queue as the source.")
    if not has_queue(arn):
        raise invalid_value(text, "RedrivePolicy", "Dead letter target does not exist.")
    return Redrive(target_arn=arn, max_receives=receives, text=text)
