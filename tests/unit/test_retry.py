"""How long a failed message waits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hadoken import limits, retry
from hadoken.errors import InvalidOption


def test_fixed_waits_the_same_each_time() -> None:
    """Every attempt has the same wait; a timedelta is taken too."""
    assert [retry.fixed(7).delay(attempt) for attempt in (1, 2, 50)] == [7, 7, 7]
    assert retry.fixed(timedelta(minutes=2)).delay(1) == 120


def test_exponential_doubles_up_to_its_maximum() -> None:
    """Without jitter each wait is the double of the one before, and never above `max`."""
    policy = retry.exponential(5, max=60, jitter=False)
    assert [policy.delay(attempt) for attempt in range(1, 7)] == [5, 10, 20, 40, 60, 60]
    assert policy.delay(100_000) == 60


def test_jitter_is_drawn_evenly_below_the_bound() -> None:
    """Full jitter multiplies the bound by what the given source draws."""
    draws = iter([0.0, 0.5, 1.0])
    policy = retry.exponential(10, max=900, random=lambda: next(draws))
    assert [policy.delay(attempt) for attempt in (1, 2, 3)] == [0, 10, 40]


def test_default_goes_from_five_seconds_to_fifteen_minutes() -> None:
    """The default policy is exponential, 5 s to 900 s, with jitter."""
    assert retry.exponential(5, max=900) == retry.DEFAULT
    assert retry.policy_of(None) is retry.DEFAULT


@given(st.integers(1, 10_000), st.floats(0.01, 43_200), st.floats(1, 100))
def test_every_exponential_wait_stays_in_its_bounds(attempt: int, first: float, factor: float) -> None:
    """Whatever the attempt: 0 <= wait <= max, and the bound never falls from one attempt to the next."""
    end = min(first * factor, limits.VISIBILITY_TOTAL)
    assert 0 <= retry.exponential(first, max=end).delay(attempt) <= end
    plain = retry.exponential(first, max=end, jitter=False)
    assert plain.delay(attempt) <= plain.delay(attempt + 1)


@pytest.mark.parametrize("given", [[5, timedelta(seconds=60), 300], (5, 60, 300)], ids=["list", "tuple"])
def test_a_list_gives_one_wait_an_attempt(given: Any) -> None:
    """The last of a list repeats."""
    policy = retry.policy_of(given)
    assert [policy.delay(attempt) for attempt in (1, 2, 3, 4, 99)] == [5, 60, 300, 300, 300]


def test_a_function_and_a_policy_of_ones_own_are_taken() -> None:
    """A plain function of the attempt is a policy; an object with `delay` is taken as it is."""

    class Own:
        def delay(self, attempt: int) -> float:
            return attempt + 0.5

    own = Own()
    assert retry.policy_of(lambda attempt: attempt * 2).delay(4) == 8
    assert retry.policy_of(own) is own


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: retry.fixed(-1), "fixed(seconds) is -1; a wait is 0..43200 s"),
        (lambda: retry.fixed(43_201), "43201"),
        (lambda: retry.exponential(0), "first is above 0"),
        (lambda: retry.exponential(10, max=5), "at most max"),
        (lambda: retry.policy_of([]), "empty list"),
        (lambda: retry.policy_of([1, -2]), "retry[1] is -2"),
        (lambda: retry.fixed(True), "fixed(seconds) is True"),
        (lambda: retry.policy_of("5"), "retry is '5'; it is fixed(seconds)"),
        (lambda: retry.policy_of(retry.Fixed), "it is fixed(seconds)"),
    ],
    ids=["negative", "twelve-hours", "zero", "max-below-first", "empty", "negative-in-list", "bool", "text", "class"],
)
def test_what_cannot_be_is_refused(make: Any, says: str) -> None:
    """The error names the value and what is allowed."""
    with pytest.raises(InvalidOption) as caught:
        make()
    assert says in str(caught.value)
