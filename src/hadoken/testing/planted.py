"""Faults that one call of `DrivenWorker.faults` planted: what they did, and their end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from hadoken.errors import ConfigurationError
from hadoken.local.rules import ANY, Rule, check, stranger
from hadoken.options import refuse_unknown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from hadoken.local.faults import Faults

# Operation that hadoken never calls -> the one it calls instead. A rule for it would never fire.
_INSTEAD: Final = {
    "SendMessage": "SendMessageBatch",
    "DeleteMessage": "DeleteMessageBatch",
    "ChangeMessageVisibility": "ChangeMessageVisibilityBatch",
}
CALLED: Final = frozenset({*_INSTEAD.values(), "ReceiveMessage", "GetQueueUrl", "GetQueueAttributes"})


_NAMES: Final = {field.name: field.encode_name for field in msgspec.structs.fields(Rule)}


def rule_of(fields: Mapping[str, object]) -> Rule:
    """Make a rule of keywords.

    Raises:
        InvalidOption: a rule has no such field.
        ConfigurationError: a value is none that its field can have.
    """
    refuse_unknown("faults", fields, tuple(_NAMES))
    try:
        return msgspec.convert({_NAMES[name]: value for name, value in fields.items()}, Rule)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"faults: {error}") from error


class Planted:
    """Some rules of a fault script at work.

    Args:
        faults: the script they are added to, behind those that are there.
        rules: each must be able to fire.
        queues: names of all queues there are.

    Raises:
        ConfigurationError: a rule could never fire, or has a value that is none.

    Thread: that of the test, between two calls of the worker.
    """

    def __init__(self, faults: Faults, rules: Iterable[Rule], queues: Collection[str]) -> None:
        planted = tuple(rules)
        if not planted:
            raise ConfigurationError("faults: no rule is given", hint='such as operation="ReceiveMessage", code=""')
        for rule in planted:
            _refuse_idle(rule, queues)
        self._faults = faults
        self._standing = [faults.add(rule) for rule in planted]

    @property
    def fired(self) -> int:
        """How many calls failed by these rules."""
        return sum(one.fired for one in self._standing)

    def clear(self) -> None:
        """Let calls succeed again, as far as these rules are concerned; may be called twice."""
        for one in self._standing:
            self._faults.remove(one)


def _refuse_idle(rule: Rule, queues: Collection[str]) -> None:
    check(rule, "faults")
    if rule.operation not in {ANY, *CALLED}:
        instead = _INSTEAD.get(rule.operation)
        hint = f"it calls {instead}" if instead else f"it calls {', '.join(sorted(CALLED))}"
        raise ConfigurationError(f"faults: hadoken never calls {rule.operation}", hint=hint)
    if rule.queue not in {ANY, *queues}:
        raise stranger("queue", rule.queue, queues, "faults")
