"""Places: how many messages may wait for a thread, by what is known of handlers and of SQS."""

from __future__ import annotations

import pytest

from hadoken.pipeline.places import Places


def places(run: float | None = None, *, concurrency: int = 10, trip: float = 0.0) -> Places:
    """The places of a pool whose handlers and receives take so many seconds."""
    made = Places(concurrency, linger=0.1)
    for _ in range(100):
        made.travelled(trip)
    if run is not None:
        for _ in range(200):
            made.ran(10, 10 * run)
    return made


def test_before_the_first_run_nothing_waits() -> None:
    """It is not known yet how long that would be; with few threads any free place is worth a receive."""
    made = places()
    assert (made.total, made.lookahead, made.enough) == (10, 0, 1)


@pytest.mark.parametrize(
    ("run", "trip", "lookahead", "enough"),
    [
        (0.00001, 0.001, 40, 10),  # four a thread
        (0.05, 0.005, 21, 10),  # 200/s for 0.105 s
        (0.05, 0.02, 24, 10),  # 200/s for 0.12 s
        (0.2, 0.02, 10, 10),  # one full receive at the least
        (0.99, 0.02, 10, 10),  # 10/s for a second
        (1.0, 0.02, 0, 1),  # it would wait for too long
        (60.0, 0.02, 0, 1),
    ],
)
def test_lookahead_lasts_for_a_receive_and_no_longer_than_a_second(
    run: float, trip: float, lookahead: int, enough: int
) -> None:
    """By the rate of ten threads."""
    made = places(run, trip=trip)
    assert (made.lookahead, made.enough) == (lookahead, enough)


def test_few_slow_threads_look_ahead_by_what_they_do_in_a_second() -> None:
    """Two threads of half a second: four messages, so a receive brings four at the most."""
    made = places(0.5, concurrency=2)
    assert (made.lookahead, made.enough) == (4, 4)


def test_one_quick_thread_gets_full_receives() -> None:
    """Ten short messages wait for less than a second, though they are more than four a thread."""
    assert places(0.01, concurrency=1).lookahead == 10


def test_many_slow_threads_wait_for_a_fuller_receive() -> None:
    """Up to one in twenty idles for it: of 256 threads ten may."""
    assert places(2.0, concurrency=256).enough == 10
    assert places(2.0, concurrency=100).enough == 5


def test_what_handlers_take_is_followed() -> None:
    """When they slow down, the lookahead goes within some hundred runs, and comes back likewise."""
    made = places(0.01)
    for _ in range(100):
        made.ran(1, 5.0)
    assert made.lookahead == 0
    for _ in range(500):
        made.ran(1, 0.01)
    assert made.lookahead >= 10


def test_a_fixed_lookahead_stays() -> None:
    """Whatever is measured."""
    made = Places(4, linger=0.1, lookahead=7)
    made.ran(10, 500.0)
    made.travelled(30.0)
    assert (made.total, made.enough) == (11, 7)
