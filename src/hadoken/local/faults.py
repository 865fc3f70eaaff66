"""A script of failures for the local SQS: which call fails, how, and whether it was applied before it failed.

A `Rule` names calls by operation, queue, turn, time and chance, and is the `Fault` of those it names; `Faults` counts
the calls and says, for each, what goes wrong. It decides with a seeded generator, so the same script over the same
calls fails the same ones. One script serves all doors: what has no meaning without a socket is said at the field.
Scripts in files are read by `faultscript`.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hadoken.local.state.queues import Queues

ANY: Final = "*"
# How an answer comes, or does not. In process there are no bytes: see `Fault.answer`.
How = Literal["whole", "reset", "hang", "truncated", "malformed", "chunked", "close", "html"]
# Codes whose HTTP status is not in `refusals`, because SQS's own operations do not answer with them.
STATUSES: Final = {
    "AccessDenied": 403,
    "AccessDeniedException": 403,
    "ExpiredToken": 403,
    "ExpiredTokenException": 403,
    "InternalError": 500,
    "InvalidClientTokenId": 403,
    "InvalidSignatureException": 403,
    "KmsOptInRequired": 403,
    "RequestExpired": 403,
    "RequestTimeTooSkewed": 403,
    "SignatureDoesNotMatch": 403,
    "SlowDown": 503,
    "TooManyRequestsException": 429,
    "UnrecognizedClientException": 403,
}
_CODES: Final = {429: "TooManyRequestsException", 500: "InternalFailure", 503: "ServiceUnavailable"}
_ERRORS: Final = range(400, 600)
_SERVER: Final = 500


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What goes wrong with one call.

    Attributes:
        code: error shape of the whole call, such as "RequestThrottled"; "" is no answer at all, as `answer="reset"`.
            None: the call as such does not fail, unless `status` or `answer` says so.
        status: of HTTP, 400..599; None is that of the code. Alone it brings a fitting code: 503 ServiceUnavailable.
        answer: how the answer comes. "reset": not at all, the connection is reset; "hang": not at all, and the
            connection stays open until the client gives up; "truncated": the connection ends in its middle;
            "malformed": its JSON is cut; "html": an error page, of 503 unless `status` says otherwise; "chunked" and
            "close": whole, in chunks or on a connection that ends with it. In process "reset", "truncated" and
            "malformed" are an `SQSUnavailable`, "hang" is a future that ends with the local SQS, "chunked" and
            "close" change nothing.
        applied: whether a failing call is applied first: the answer is lost, not the request. What is truncated or
            malformed has always been applied.
        entries: positions from 0, or ids, in a batch that fail by themselves, without being applied; the others are
            done.
        entry_code: what those entries fail with.
        delay: seconds by which the answer comes late; the call itself is applied at once.
        twice: what a receive brings stays visible, so that it is delivered again.
        swallow: a receive whose client is gone still takes messages when they come: nobody sees them until their
            visibility timeout ends.
        clock_offset: seconds by which the answer's Date and the times in its messages are off.
    """

    code: str | None = None
    status: int | None = None
    answer: How = "whole"
    applied: bool = False
    entries: tuple[int | str, ...] = ()
    entry_code: str = "InternalError"
    delay: float = 0.0
    twice: bool = False
    swallow: bool = False
    clock_offset: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ValueError: a number is out of range, or two fields contradict each other.
        """
        if self.status is not None and self.status not in _ERRORS:
            raise ValueError(f"status is {self.status}; a failing call has 400..599")
        if self.delay < 0:
            raise ValueError(f"delay is {self.delay}; no answer comes before its call")
        if self.silent and (self.code or self.status is not None):
            raise ValueError(f"answer is {self.answer!r}, so neither code nor status would ever be seen")

    @property
    def silent(self) -> bool:
        """Whether no answer comes, not even a part of one."""
        return self.code == "" or self.answer in {"reset", "hang"}

    @property
    def fails(self) -> bool:
        """Whether the whole call fails with an error, or without an answer."""
        return self.silent or self.code is not None or self.status is not None or self.answer == "html"

    @property
    def cut(self) -> bool:
        """Whether an answer comes that cannot be read."""
        return self.answer in {"truncated", "malformed"}

    @property
    def error(self) -> tuple[str, int]:
        """Code and HTTP status of a call that fails with an error; 0 where the code's own status counts."""
        status = self.status or (503 if self.answer == "html" else 0)
        code = self.code or _CODES.get(status, "InternalFailure" if status >= _SERVER else "InvalidAddress")
        return code, status or STATUSES.get(code, 0)

    @property
    def title(self) -> str:
        """What goes wrong, in a word or a few, for the event log; "" if nothing does."""
        words: list[str] = [] if self.answer == "whole" else [self.answer]
        if self.fails and not self.silent:
            words.append(self.error[0])
        if self.code == "":
            words.append("reset")
        words += [name for name in ("entries", "delay", "twice", "swallow", "clock_offset") if getattr(self, name)]
        return " ".join(words)


class Rule(Fault, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which calls fail, and, by the fields of `Fault`, how.

    Attributes:
        operation: such as "ReceiveMessage"; ANY for all.
        queue: name; ANY for all.
        nth: only the n-th call that this rule names otherwise, from 1; None for each of them.
        times: how often the rule fires at most; None for ever.
        chance: 0..1, of firing where all else fits; drawn from the script's seed.
        from_: seconds of the clock of the local SQS since the rule was set, from which it counts calls; "from" in
            files.
        until: seconds since the rule was set, from which it no longer does; None for never.
        for_: seconds from `from_` for which it does, in the place of `until`; "for" in files.
        in_flight: only while the queue has at least so many messages in flight; None for always.
    """

    operation: str = ANY
    queue: str = ANY
    nth: int | None = None
    times: int | None = None
    chance: float = 1.0
    from_: float = msgspec.field(default=0.0, name="from")
    until: float | None = None
    for_: float | None = msgspec.field(default=None, name="for")
    in_flight: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ValueError: a number is out of range, or two fields contradict each other.
        """
        super().__post_init__()
        if not 0 <= self.chance <= 1:
            raise ValueError(f"chance is {self.chance}; it is 0..1")
        if self.nth is not None and self.nth < 1:
            raise ValueError(f"nth is {self.nth}; calls count from 1")
        if self.until is not None and self.for_ is not None:
            raise ValueError("until and for both say when the rule ends; give one of them")

    def lasts(self, passed: float) -> bool:
        """Whether the rule counts calls so many seconds after it was set."""
        end = self.from_ + self.for_ if self.for_ is not None else self.until
        return passed >= self.from_ and (end is None or passed < end)


SOUND: Final = Fault()


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

    def add(self, rule: Rule) -> None:
        """Append a rule; its calls and its seconds count from now."""
        self._standing.append(Standing(rule=rule, since=self._now()))

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
