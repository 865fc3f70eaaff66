"""A script of failures for the local SQS: which call fails, how, and whether it was applied before it failed.

A `Rule` names calls by operation, queue, turn, time and chance, and is the `Fault` of those it names; `Faults` counts
the calls and says, for each, what goes wrong. It decides with a seeded generator, so the same script over the same
calls fails the same ones. One script serves all doors: what has no meaning without a socket is said at the field.
Scripts in files are read by `faultscript`.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec

from hadoken.local.rules import ANY, SOUND, STATUSES, Fault, How, Rule, check

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hadoken.local.state.queues import Queues

__all__ = ["ANY", "SOUND", "STATUSES", "Fault", "Faults", "How", "Rule", "Standing"]


class Standing(msgspec.Struct, kw_only=True):
    """One rule of a script at work.

    Attributes:
        rule: what was set.
        since: when, on the lease clock.
        matched: calls that it named, whether they failed or not.
        fired: calls that failed by it.
    """

    rule: Rule
    since: float
    matched: int = 0
    fired: int = 0


class Faults:
    """A script at work. False as long as it has no rule.

    Attributes:
        fired: how many calls a rule was applied to.
        seed: of the rules' chances.

    Thread: that of the local SQS it belongs to.
    """

    def __init__(self, rules: Iterable[Rule] = (), *, seed: int = 0) -> None:
        self.fired = 0
        self.seed = seed
        self._random = random.Random(seed)  # noqa: S311 -- chance in a test, no secret
        self._queues: Queues | None = None
        self._standing: list[Standing] = []
        for rule in rules:
            self.add(rule)

    def __len__(self) -> int:
        """How many rules there are, spent ones too."""
        return len(self._standing)

    @property
    def standing(self) -> tuple[Standing, ...]:
        """The rules in their order, with what became of them."""
        return tuple(self._standing)

    def bind(self, queues: Queues) -> None:
        """Say whose calls are judged: its clock counts from now for all rules. Until then no time passes."""
        self._queues = queues
        for one in self._standing:
            one.since = self._now()

    def add(self, rule: Rule) -> Standing:
        """Append a rule; its calls and its seconds count from now.

        Raises:
            ConfigurationError: it could never do what it was meant to; see `rules.check`.
        """
        check(rule)
        one = Standing(rule=rule, since=self._now())
        self._standing.append(one)
        return one

    def remove(self, standing: Standing) -> None:
        """Drop one rule; does nothing if it was dropped already."""
        self._standing = [one for one in self._standing if one is not standing]

    def set(self, rules: Iterable[Rule], *, seed: int = 0) -> None:
        """Replace the whole script, and begin its chances anew."""
        self.clear()
        self.seed = seed
        self._random.seed(seed)
        for rule in rules:
            self.add(rule)

    def clear(self) -> None:
        """Drop all rules: from now on nothing fails."""
        self._standing.clear()

    def judge(self, operation: str, queue: str) -> Fault:
        """Count one call and say what goes wrong with it: what the first rule that fires says, else `SOUND`.

        Args:
            operation: such as "DeleteMessageBatch".
            queue: name; "" for a call that has none.
        """
        verdict: Fault = SOUND
        now = self._now() if self._standing else 0.0
        for one in self._standing:
            if not self._named(one, operation, queue, now):
                continue
            one.matched += 1
            if verdict is SOUND and self._fires(one):
                one.fired += 1
                self.fired += 1
                verdict = one.rule
        return verdict

    def _named(self, one: Standing, operation: str, queue: str, now: float) -> bool:
        rule = one.rule
        if rule.operation not in {ANY, operation} or rule.queue not in {ANY, queue} or not rule.lasts(now - one.since):
            return False
        return rule.in_flight is None or self._in_flight(queue) >= rule.in_flight

    def _fires(self, one: Standing) -> bool:
        rule = one.rule
        if rule.nth is not None and one.matched != rule.nth:
            return False
        if rule.times is not None and one.fired >= rule.times:
            return False
        return rule.chance >= 1.0 or self._random.random() < rule.chance

    def _now(self) -> float:
        return 0.0 if self._queues is None else self._queues.clock.lease()

    def _in_flight(self, name: str) -> int:
        return sum(queue.in_flight for queue in self._queues or () if queue.name == name)
