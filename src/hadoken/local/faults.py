"""A script of failures for the local SQS: which call fails, how, and whether it was applied before it failed.

A `Rule` names calls by operation, queue and turn; `Faults` counts the calls and says, for each, what goes wrong. It
decides with a seeded generator, so the same script over the same calls fails the same ones.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

ANY: Final = "*"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls fail, and how.

    Attributes:
        operation: such as "ReceiveMessage"; ANY for all.
        queue: name; ANY for all.
        nth: only the n-th call that this rule's operation and queue name, from 1; None for each of them.
        times: how often the rule fires at most; None for ever.
        chance: 0..1, of firing where all else fits; drawn from the script's seed.
        code: error shape of the whole call, such as "RequestThrottled"; "" is no answer at all.
            None: the call as such does not fail.
        applied: whether a failing call is applied first: the answer is lost, not the request.
        entries: positions in a batch that fail by themselves, without being applied; the others are done.
        entry_code: what those entries fail with.
        delay: seconds by which the answer comes late; the call itself is applied at once.
    """

    operation: str = ANY
    queue: str = ANY
    nth: int | None = None
    times: int | None = None
    chance: float = 1.0
    code: str | None = None
    applied: bool = False
    entries: tuple[int, ...] = ()
    entry_code: str = "InternalError"
    delay: float = 0.0


class Fault(msgspec.Struct, frozen=True):
    """What goes wrong with one call; the fields are those of the `Rule` that fired."""

    code: str | None = None
    applied: bool = False
    entries: tuple[int, ...] = ()
    entry_code: str = "InternalError"
    delay: float = 0.0


SOUND: Final = Fault()


class Faults:
    """A script at work.

    Attributes:
        fired: how many calls a rule was applied to.

    Thread: that of the local SQS it belongs to.
    """

    def __init__(self, rules: Iterable[Rule] = (), *, seed: int = 0) -> None:
        self.fired = 0
        self._random = random.Random(seed)  # noqa: S311 -- chance in a test, no secret
        self._rules: list[Rule] = []
        self._matched: list[int] = []
        self._uses: list[int] = []
        for rule in rules:
            self.add(rule)

    def add(self, rule: Rule) -> None:
        """Append a rule; its calls count from now."""
        self._rules.append(rule)
        self._matched.append(0)
        self._uses.append(0)

    def clear(self) -> None:
        """Drop all rules: from now on nothing fails."""
        self._rules.clear()
        self._matched.clear()
        self._uses.clear()

    def judge(self, operation: str, queue: str) -> Fault:
        """Count one call and say what goes wrong with it: what the first rule that fires says, else `SOUND`.

        Args:
            operation: such as "DeleteMessageBatch".
            queue: name.
        """
        verdict = SOUND
        for index, rule in enumerate(self._rules):
            if rule.operation not in {ANY, operation} or rule.queue not in {ANY, queue}:
                continue
            self._matched[index] += 1
            if verdict is SOUND and self._fires(index, rule):
                self._uses[index] += 1
                self.fired += 1
                verdict = Fault(rule.code, rule.applied, rule.entries, rule.entry_code, rule.delay)
        return verdict

    def _fires(self, index: int, rule: Rule) -> bool:
        if rule.nth is not None and self._matched[index] != rule.nth:
            return False
        if rule.times is not None and self._uses[index] >= rule.times:
            return False
        return rule.chance >= 1.0 or self._random.random() < rule.chance
