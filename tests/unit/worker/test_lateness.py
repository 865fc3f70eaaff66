"""How late the engine runs: what counts, what is said of it, and when."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from hadoken.clock import VirtualClock
from hadoken.worker.lateness import LATE, STRETCH, STRETCHES, EngineLateness, Lateness


class Bench:
    """Turns that are late by what the test says, and a process that uses so many cores."""

    def __init__(self, cores: float = 1.0) -> None:
        self.clock = VirtualClock()
        self.cores = cores
        self._used = 5.0
        self.lateness = Lateness(self.clock, cpu=lambda: self._used)

    def pass_time(self, seconds: float) -> None:
        """Let time pass; the process computes all the while."""
        self.clock.advance(seconds)
        self._used += seconds * self.cores

    def turn(self, late: float, *, every: float = 0.5) -> None:
        """One wake, and the turn it wanted."""
        self.pass_time(every - late)
        self.lateness.woken()
        self.pass_time(late)
        self.lateness.turned(self.clock.lease())

    def turns(self, seconds: float, late: float, *, every: float = 0.5) -> None:
        """Turns for so long."""
        for _ in range(round(seconds / every)):
            self.turn(late, every=every)


def test_a_wake_is_measured_until_its_turn() -> None:
    """The first of several wakes counts; a turn that nobody woke is no sample."""
    bench = Bench()
    assert bench.lateness.snapshot() == EngineLateness()
    bench.lateness.woken()
    bench.pass_time(0.25)
    bench.lateness.woken()
    bench.pass_time(0.25)
    for _ in range(2):
        bench.lateness.turned(bench.clock.lease())
    assert bench.lateness.snapshot() == EngineLateness(0.5, 0.5, 1)


def test_a_timer_is_measured_from_its_deadline() -> None:
    """A timer that rings early, by a rounding of the loop, is not late."""
    bench = Bench()
    now = bench.clock.lease()
    bench.lateness.rang(now - 0.25, now)
    bench.lateness.rang(now + 0.25, now)
    assert bench.lateness.snapshot() == EngineLateness(0.0, 0.25, 2)
    bench.pass_time(11)
    assert bench.lateness.snapshot().samples == 0, "too old to say anything"


def test_percentiles_are_of_the_last_seconds() -> None:
    """What was before the window is forgotten; a hundred samples have their 95th."""
    bench = Bench()
    bench.turns(10, 0.4)
    for n in range(100):
        bench.turn(0.0 if n < 90 else 0.05, every=0.2)
    found = bench.lateness.snapshot()
    assert found.samples <= 51
    assert found.median == 0.0
    assert found.p95 == pytest.approx(0.05)
    assert found.p95 < 0.1, "what was 20 s ago is not in it"


def test_it_keeps_a_bounded_number() -> None:
    """A busy engine has thousands of turns a second, and keeps the latest few."""
    bench = Bench()
    for _ in range(5_000):
        bench.turn(0.0001, every=0.001)
    assert bench.lateness.snapshot().samples == 512


def test_it_says_once_that_the_lock_is_the_bottleneck(caplog: pytest.LogCaptureFixture) -> None:
    """Late for a quarter of a minute at one core: how late, how much CPU, what to do; and it stays in the snapshot."""
    bench = Bench(cores=1.0)
    bench.turns(STRETCH * STRETCHES - 2, 0.25)
    assert not caplog.records
    bench.turns(60, 0.25)
    (record,) = caplog.records
    assert (record.levelno, record.name) == (logging.WARNING, "hadoken.engine")
    said = record.getMessage()
    for words in (
        "Python's interpreter lock (GIL) is the bottleneck",
        "by 250 ms at the median and 250 ms at the 95th percentile",
        "used 1.0 cores of CPU",
        "fewer handler threads",
        "processes",
        "switch_interval",
        "C code",
    ):
        assert words in said
    assert bench.lateness.snapshot().interpreter_bound
    bench.turns(20, 0.0)
    assert bench.lateness.snapshot().interpreter_bound, "it was found, and stays found"
    assert bench.lateness.snapshot().p95 == 0.0


def test_without_cpu_it_is_not_the_locks_fault(caplog: pytest.LogCaptureFixture) -> None:
    """A process that is late and does not compute is told to look elsewhere."""
    bench = Bench(cores=0.1)
    bench.turns(20, 0.25)
    (record,) = caplog.records
    assert "the engine does not get to run" in record.getMessage()
    assert "0.1 cores" in record.getMessage()
    assert "GIL" not in record.getMessage()
    assert not bench.lateness.snapshot().interpreter_bound


def _punctual(bench: Bench) -> None:
    bench.turns(60, LATE - 0.001)


def _in_bursts(bench: Bench) -> None:
    for _ in range(5):
        bench.turns(STRETCH - 1, 0.25)
        bench.turns(20, 0.001)


def _seldom(bench: Bench) -> None:
    bench.turns(100, 0.25, every=5)


def _late_now_and_then(bench: Bench) -> None:
    for _ in range(20):
        bench.turn(0.3, every=0.5)
        bench.turns(5, 0.001, every=0.1)


@pytest.mark.parametrize("happens", [_punctual, _in_bursts, _seldom, _late_now_and_then])
def test_what_is_no_reason_to_complain(happens: Callable[[Bench], None], caplog: pytest.LogCaptureFixture) -> None:
    """Just in time, late in bursts or in too few turns, one in fifty: nothing is told."""
    happens(Bench())
    assert not caplog.records


def test_few_turns_count_for_longer(caplog: pytest.LogCaptureFixture) -> None:
    """Handlers that compute for seconds wake the engine seldom; it is late all the same, and it is told."""
    bench = Bench()
    bench.turns(90, 0.3, every=3)
    assert len(caplog.records) == 1
