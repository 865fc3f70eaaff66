"""Visibility arithmetic: margins, the server's clock, what an extension may ask for."""

from __future__ import annotations

import pytest

from hadoken.pipeline.lease import Margin, ServerClock, extension


@pytest.mark.parametrize(("timeout", "margin"), [(1, 0.25), (4, 1), (8, 2), (30, 2), (43_200, 2)])
def test_the_margin_is_two_seconds_or_a_quarter(timeout: float, margin: float) -> None:
    """While calls are quick."""
    assert Margin().of(timeout) == margin


def test_slow_calls_widen_the_margin() -> None:
    """Three times the 99th percentile; one slow call among many is forgotten after a while."""
    margin = Margin()
    margin.note(2.0)
    assert margin.of(30) == 6
    assert margin.of(8) == 2
    for _ in range(256):
        margin.note(0.01)
    assert margin.of(30) == 2


def test_without_a_date_a_lease_starts_at_the_arrival() -> None:
    """Nothing better is known."""
    assert ServerClock().lease_start(None, sent=10, arrived=12) == 12


def test_a_quick_answer_starts_its_lease_at_the_arrival() -> None:
    """Differences below the resolution of Dates mean nothing."""
    clock = ServerClock()
    assert clock.lease_start(1_000_000, sent=10, arrived=10.1) == 10.1
    assert clock.lease_start(1_000_010, sent=20, arrived=21.5) == 21.5


def test_an_answer_that_lay_unread_is_older_than_it_looks() -> None:
    """Its Date tells when it was made; never before the request was sent."""
    clock = ServerClock()
    clock.lease_start(1_000_000, sent=10, arrived=10)
    assert clock.lease_start(1_000_011, sent=20, arrived=80) == 21
    assert clock.lease_start(1_000_011, sent=22, arrived=90) == 22


def test_a_jump_of_the_servers_clock_is_forgotten() -> None:
    """An answer cannot be older than its request: a clock that was set back is believed from then on."""
    clock = ServerClock()
    clock.lease_start(2_000_000, sent=0, arrived=0)
    assert clock.lease_start(1_000_020, sent=1, arrived=20) == 20
    assert clock.lease_start(1_000_040, sent=21, arrived=40) == 40
    assert clock.lease_start(1_000_041, sent=41, arrived=90) == 41


@pytest.mark.parametrize(
    ("timeout", "age", "asked"),
    [
        (30, 0, 30),
        (30, 43_160, 30),
        (30, 43_180, 18),
        (43_200, 7_200, 35_998),
        (30, 43_199, 0),
        (30, 50_000, 0),
        (0.9, 0, 0),
    ],
)
def test_an_extension_asks_for_what_is_left_of_twelve_hours(timeout: float, age: float, asked: int) -> None:
    """Whole seconds, less the margin, never negative."""
    assert extension(timeout, received_at=100, now=100 + age, margin=2) == asked
