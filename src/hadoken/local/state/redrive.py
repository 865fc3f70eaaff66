"""The two policies of dead-letter queues: RedrivePolicy of a source, RedriveAllowPolicy of a target.

Source: SQS API Reference, SetQueueAttributes; SQS developer guide, dead-letter queues.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

import msgspec

from hadoken import limits
from hadoken.local.state.refusals import Refusal, invalid_value

if TYPE_CHECKING:
    from collections.abc import Callable

_RECEIVES: Final = (1, 1_000)  # maxReceiveCount
MAX_SOURCES: Final = 10  # sourceQueueArns


class Redrive(msgspec.Struct, frozen=True):
    """Where a message goes on the receive that would exceed `max_receives`.

    Attributes:
        text: the policy as it was given; read back unchanged.
    """

    target_arn: str
    max_receives: int
    text: str


class Permission(enum.StrEnum):
    """Which sources may name a queue as their dead-letter queue."""

    ALLOW_ALL = "allowAll"
    DENY_ALL = "denyAll"
    BY_QUEUE = "byQueue"


class _Policy(msgspec.Struct, rename="camel", frozen=True):
    """RedrivePolicy as it is written."""

    max_receive_count: int | str | None = None
    dead_letter_target_arn: str | None = None


class _AllowPolicy(msgspec.Struct, rename="camel", frozen=True, forbid_unknown_fields=True):
    """RedriveAllowPolicy as it is written."""

    redrive_permission: Permission
    source_queue_arns: list[str] | None = None


class RedriveAllow(msgspec.Struct, frozen=True):
    """Who may use a queue as dead-letter queue.

    Attributes:
        sources: ARNs, of BY_QUEUE only.
        text: the policy as it was given; read back unchanged.
    """

    permission: Permission
    sources: frozenset[str]
    text: str

    def allows(self, source_arn: str) -> bool:
        """Whether a source may name the queue."""
        if self.permission is Permission.BY_QUEUE:
            return source_arn in self.sources
        return self.permission is Permission.ALLOW_ALL


def redrive(text: str, has_queue: Callable[[str], bool], *, fifo: bool) -> Redrive | None:
    """Read a RedrivePolicy; "" is none.

    Args:
        text: JSON.
        has_queue: whether a queue with an ARN exists.
        fifo: whether it is the policy of a FIFO queue.

    Raises:
        Refusal: it is not as SQS wants it.
    """
    if not text:
        return None
    arn, receives = _read(text)
    if not _RECEIVES[0] <= receives <= _RECEIVES[1]:
        raise _bad(text, "Invalid value for maxReceiveCount: must be between 1 and 1000.")
    if limits.is_fifo(arn) != fifo:
        raise _bad(text, "Dead-letter queue must be same type of queue as the source.")
    if not has_queue(arn):
        raise _bad(text, "Dead letter target does not exist.")
    return Redrive(target_arn=arn, max_receives=receives, text=text)


def redrive_allow(text: str) -> RedriveAllow | None:
    """Read a RedriveAllowPolicy; "" is none, which allows all.

    Raises:
        Refusal: it is not as SQS wants it.
    """
    if not text:
        return None
    try:
        policy = msgspec.json.decode(text, type=_AllowPolicy)
    except msgspec.MsgspecError as exc:
        raise _bad_allow("Amazon SQS can't create the redrive allow policy, as it's in an unsupported format.") from exc
    sources = policy.source_queue_arns
    if (policy.redrive_permission is Permission.BY_QUEUE) != (sources is not None):
        raise _bad_allow("sourceQueueArns must be there with redrivePermission byQueue, and only then.")
    if sources is not None and not 1 <= len(sources) <= MAX_SOURCES:
        raise _bad_allow(f"sourceQueueArns must hold 1 to {MAX_SOURCES} ARNs.")
    if any(not arn.startswith("arn:") for arn in sources or ()):
        raise _bad_allow("sourceQueueArns must hold ARNs of queues.")
    return RedriveAllow(permission=policy.redrive_permission, sources=frozenset(sources or ()), text=text)


def not_allowed(policy: Redrive) -> Refusal:
    """A source whose dead-letter queue does not want it."""
    return _bad(policy.text, "The redrive allow policy of the dead letter target does not allow this source queue.")


def _read(text: str) -> tuple[str, int]:
    """The ARN and the number of a RedrivePolicy."""
    try:
        policy = msgspec.json.decode(text, type=_Policy)
        receives = None if policy.max_receive_count is None else int(policy.max_receive_count)
    except (msgspec.MsgspecError, ValueError) as exc:
        raise _bad(text, "Redrive policy is not a valid JSON map.") from exc
    if receives is None or policy.dead_letter_target_arn is None:
        lacks = "maxReceiveCount" if receives is None else "deadLetterTargetArn"
        raise _bad(text, f"Redrive policy does not contain mandatory attribute: {lacks}.")
    return policy.dead_letter_target_arn, receives


def _bad(text: str, reason: str) -> Refusal:
    return invalid_value(text, "RedrivePolicy", reason)


def _bad_allow(reason: str) -> Refusal:
    return Refusal("InvalidAttributeValue", f"Invalid value for the parameter RedriveAllowPolicy. Reason: {reason}")
