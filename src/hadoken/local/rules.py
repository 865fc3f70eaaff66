"""One rule of a fault script: which calls it names, and what goes wrong with them."""

from __future__ import annotations

import difflib
import math
import re
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from hadoken.errors import ConfigurationError
from hadoken.local.state.operations import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Collection

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
_CODE: Final = re.compile(r"[A-Za-z0-9._-]*")
_FARTHEST: Final = 1_000_000_000  # seconds a clock may be off: thirty years, so that dates stay dates
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
        if not 0 <= self.delay < math.inf:
            raise ValueError(f"delay is {self.delay}; no answer comes before its call")
        if not abs(self.clock_offset) <= _FARTHEST:
            raise ValueError(f"clock_offset is {self.clock_offset}; it is at most {_FARTHEST} seconds either way")
        for name, code in (("code", self.code or ""), ("entry_code", self.entry_code)):
            if not _CODE.fullmatch(code):
                raise ValueError(f"{name} is {code!r}; codes are letters and digits, with . _ - between them")
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
        if self.times is not None and self.times < 1:
            raise ValueError(f"times is {self.times}; a rule that is to fire fires once at least")
        if self.until is not None and self.for_ is not None:
            raise ValueError("until and for both say when the rule ends; give one of them")
        if self.end is not None and self.end <= self.from_:
            raise ValueError(f"the rule would end {self.end} s after it was set, and begin not before: it never fires")

    @property
    def end(self) -> float | None:
        """Seconds after it was set from which the rule no longer counts calls; None for never."""
        return self.until if self.for_ is None else self.from_ + self.for_

    def lasts(self, passed: float) -> bool:
        """Whether the rule counts calls so many seconds after it was set."""
        return passed >= self.from_ and (self.end is None or passed < self.end)


SOUND: Final = Fault()


def check(rule: Rule, where: str = "the rule") -> None:
    """Refuse a rule that could never do what it was meant to.

    Args:
        rule: whose ranges hold already.
        where: it comes from, for the sentence.

    Raises:
        ConfigurationError: a value has the wrong type, the operation does not exist, or nothing would go wrong.
    """
    try:
        msgspec.convert(msgspec.to_builtins(rule), Rule)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{where}: {error}") from error
    if rule.operation != ANY and rule.operation not in OPERATIONS:
        raise stranger("operation", rule.operation, OPERATIONS, where)
    if not rule.title:
        raise ConfigurationError(f"{where}: nothing would go wrong by it", hint="give it a code, an answer or a delay")


def stranger(kind: str, name: str, known: Collection[str], where: str) -> ConfigurationError:
    """The sentence for a name that is not known, with the nearest that is."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
    return ConfigurationError(f"{where}: unknown {kind} {name!r}", hint=hint)
