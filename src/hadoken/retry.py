"""How long a failed message waits before its next try.

A policy is any object with `delay(attempt)`. `fixed` and `exponential` make the usual ones; a list of seconds (the last
one repeats) and a plain function of the attempt are accepted wherever a policy is.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final, Protocol, cast, runtime_checkable

from hadoken import limits
from hadoken.errors import InvalidOption

# Beyond this the doubling has passed every allowed maximum; it keeps 2 ** n from growing with the attempts.
_MAX_DOUBLINGS: Final = 32


@runtime_checkable
class RetryPolicy(Protocol):
    """Decides how long a message waits after its n-th failed attempt."""

    def delay(self, attempt: int, /) -> float:
        """Seconds to wait after attempt `attempt` (from 1) failed; >= 0. Called in handler threads, several at once."""
        ...


Retries = RetryPolicy | Sequence[float | timedelta] | Callable[[int], float]


def seconds_of(value: float | timedelta) -> float:
    """A duration in seconds, whichever way it was given."""
    return value.total_seconds() if isinstance(value, timedelta) else value


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same wait after every attempt."""

    seconds: float

    def delay(self, _attempt: int, /) -> float:
        """Seconds to wait: always the same."""
        return self.seconds


@dataclass(frozen=True, slots=True)
class Exponential:
    """Waits that double from `first` to `max`, with full jitter: each drawn evenly between 0 and that bound.

    Jitter spreads messages that failed together, so that they do not come back together.
    """

    first: float
    max: float
    jitter: bool = True
    random: Callable[[], float] = field(default=random.random, repr=False, compare=False)

    def delay(self, attempt: int, /) -> float:
        """Seconds to wait after attempt `attempt`: 0..max."""
        bound = min(self.max, self.first * 2.0 ** min(attempt - 1, _MAX_DOUBLINGS))
        return bound * self.random() if self.jitter else bound


@dataclass(frozen=True, slots=True)
class Listed:
    """One wait for each attempt; the last repeats."""

    seconds: tuple[float, ...]

    def delay(self, attempt: int, /) -> float:
        """Seconds to wait after attempt `attempt`."""
        return self.seconds[min(attempt, len(self.seconds)) - 1]


@dataclass(frozen=True, slots=True)
class Computed:
    """The user's own function of the attempt."""

    function: Callable[[int], float]

    def delay(self, attempt: int, /) -> float:
        """Seconds to wait after attempt `attempt`, as the function says; whoever calls this checks the number."""
        return self.function(attempt)


def without_jitter(policy: RetryPolicy) -> RetryPolicy:
    """The policy with each jittered wait at its bound; as it is where it has no jitter, or draws by its own source."""
    if isinstance(policy, Exponential) and policy.random is random.random:
        return replace(policy, jitter=False)
    return policy


def fixed(seconds: float | timedelta) -> Fixed:
    """Wait the same time after every failed attempt.

    Args:
        seconds: 0..43,200, or a timedelta.

    Raises:
        InvalidOption: seconds is out of range.
    """
    return Fixed(_wait("fixed(seconds)", seconds))


def exponential(
    first: float | timedelta = 5,
    max: float | timedelta = 900,  # noqa: A002 -- reads as `exponential(10, max=900)` where it is used
    jitter: bool = True,  # noqa: FBT001, FBT002 -- always written by name
    *,
    random: Callable[[], float] = random.random,
) -> Exponential:
    """Wait twice as long after each failed attempt, from `first` to `max`, each wait with full jitter.

    Args:
        first: bound of the first wait: above 0, at most 43,200 s.
        max: bound of all waits: from `first` to 43,200 s.
        jitter: draw each wait evenly between 0 and its bound; False waits for the bound itself.
        random: source of numbers in 0..1.

    Raises:
        InvalidOption: a number is out of range.
    """
    start, end = _wait("exponential(first)", first), _wait("exponential(max)", max)
    if not 0 < start <= end:
        raise InvalidOption(f"exponential(first={start:g}, max={end:g}): first is above 0 and at most max")
    return Exponential(start, end, jitter, random)


DEFAULT: Final[RetryPolicy] = Exponential(5.0, 900.0)


def policy_of(value: object) -> RetryPolicy:
    """Make a policy of whatever may be given as `retry=`.

    Args:
        value: a policy, a list or tuple of seconds, or a function of the attempt; None means the default policy.

    Raises:
        InvalidOption: it is none of these, or a number is out of range.
    """
    if value is None:
        return DEFAULT
    if isinstance(value, RetryPolicy) and not isinstance(value, type):
        return value
    if isinstance(value, (list, tuple)):
        if not value:
            raise InvalidOption("retry is an empty list", hint="give at least one wait; the last one repeats")
        return Listed(tuple(_wait(f"retry[{place}]", each) for place, each in enumerate(value)))
    if callable(value) and not isinstance(value, type):
        return Computed(cast("Callable[[int], float]", value))
    raise InvalidOption(
        f"retry is {value!r}; it is fixed(seconds), exponential(first), a list of seconds, or a function of the attempt"
    )


def _wait(name: str, value: object) -> float:
    if isinstance(value, (int, float, timedelta)) and not isinstance(value, bool):
        seconds = seconds_of(value)
        if 0 <= seconds <= limits.VISIBILITY_TOTAL:
            return seconds
    raise InvalidOption(f"{name} is {value!r}; a wait is 0..{limits.VISIBILITY_TOTAL} s (limits.VISIBILITY_TOTAL)")
