"""Many deadlines, one timer."""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Callable
from typing import Any, cast

import pytest

from hadoken.sqs.deadlines import Deadlines


class Clock:
    """What `Deadlines` asks of a loop, with a time that moves when told; counts the timers that were set."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.set = 0
        self._timers: list[tuple[float, int, _Timer]] = []

    def time(self) -> float:
        """The time."""
        return self.now

    def call_at(self, when: float, callback: Callable[[], object]) -> _Timer:
        """Set a timer."""
        self.set += 1
        timer = _Timer(callback)
        heapq.heappush(self._timers, (when, self.set, timer))
        return timer

    @property
    def timers(self) -> int:
        """How many timers are set."""
        return sum(not timer.cancelled for *_, timer in self._timers)

    def advance(self, seconds: float) -> None:
        """Let time pass, and timers ring on the way."""
        until = self.now + seconds
        while self._timers and self._timers[0][0] <= until:
            when, _, timer = heapq.heappop(self._timers)
            self.now = max(self.now, when)
            if not timer.cancelled:
                timer.callback()
        self.now = until


class _Timer:
    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        """Never ring."""
        self.cancelled = True


class Thing:
    """Something with a deadline, which notes when it was told."""

    def __init__(self, deadline: float, then: Callable[[], object] = lambda: None) -> None:
        self.deadline = deadline
        self.told = 0
        self._then = then

    def expire(self) -> None:
        """See `deadlines.Timed`."""
        self.told += 1
        self._then()


@pytest.fixture
def clock() -> Clock:
    """A clock at rest."""
    return Clock()


@pytest.fixture
def deadlines(clock: Clock) -> Deadlines:
    """Nothing watched yet."""
    return Deadlines(cast("asyncio.AbstractEventLoop", clock))


def test_each_is_told_at_its_deadline_and_once(clock: Clock, deadlines: Deadlines) -> None:
    """In whatever order they were added."""
    things = [Thing(clock.now + at) for at in (3, 1, 2, 1)]
    for thing in things:
        deadlines.add(thing)
    for seconds, told in ((0.9, [0, 0, 0, 0]), (0.1, [0, 1, 0, 1]), (1.0, [0, 1, 1, 1]), (9.0, [1, 1, 1, 1])):
        clock.advance(seconds)
        assert [thing.told for thing in things] == told
        assert clock.timers == (len(deadlines) > 0)


def test_one_that_ended_in_time_is_not_told(clock: Clock, deadlines: Deadlines) -> None:
    """Its timer rings in vain, for once."""
    thing = Thing(clock.now + 1)
    deadlines.add(thing)
    deadlines.discard(thing)
    deadlines.discard(thing)
    clock.advance(9)
    assert (thing.told, clock.timers, clock.set) == (0, 0, 1)


def test_thousands_that_end_early_set_few_timers(clock: Clock, deadlines: Deadlines) -> None:
    """A thousand requests a second beside two hundred polls: one timer for each span of the shortest limit."""
    chance = random.Random(1)
    for _ in range(200):
        deadlines.add(Thing(clock.now + 22 + chance.random()))
    for _ in range(20_000):
        thing = Thing(clock.now + 5)
        deadlines.add(thing)
        clock.advance(0.001)
        deadlines.discard(thing)
        assert not thing.told
    assert clock.set < 12


def test_an_earlier_one_brings_the_timer_forward(clock: Clock, deadlines: Deadlines) -> None:
    """And the later one keeps its own."""
    late, early = Thing(clock.now + 20), Thing(clock.now + 5)
    deadlines.add(late)
    deadlines.add(early)
    assert clock.timers == 1
    clock.advance(5)
    assert (late.told, early.told, clock.timers) == (0, 1, 1)
    clock.advance(15)
    assert (late.told, early.told, clock.timers) == (1, 1, 0)


def test_the_end_of_one_may_end_or_begin_others(clock: Clock, deadlines: Deadlines) -> None:
    """One that is taken out while others are told is not told, and one that is added then is watched."""
    later = Thing(clock.now + 2)
    pair: list[Thing] = []

    def end_the_other() -> None:
        for thing in pair:
            deadlines.discard(thing)
        deadlines.add(later)

    pair += [Thing(clock.now + 1, end_the_other), Thing(clock.now + 1, end_the_other)]
    for thing in pair:
        deadlines.add(thing)
    clock.advance(1)
    assert sorted(thing.told for thing in pair) == [0, 1]
    clock.advance(1)
    assert (later.told, clock.timers, len(deadlines)) == (1, 0, 0)


def test_at_rest_no_timer_is_left(clock: Clock, deadlines: Deadlines) -> None:
    """Only while nothing is watched; what comes later sets a new one."""
    thing = Thing(clock.now + 1)
    deadlines.add(thing)
    deadlines.rest()
    assert clock.timers == 1
    deadlines.discard(thing)
    deadlines.rest()
    deadlines.rest()
    assert clock.timers == 0
    deadlines.add(thing)
    clock.advance(1)
    assert thing.told == 1


def test_a_loop_that_rings_early_is_not_asked_again_and_again() -> None:
    """Timers of uvloop count in milliseconds: one that rings a little early counts as on time."""
    rang: list[Any] = []

    class Early(Clock):
        """Rings half a millisecond early."""

        def call_at(self, when: float, callback: Callable[[], object]) -> _Timer:
            """Set a timer."""
            rang.append(when)
            return super().call_at(when - 0.0005, callback)

    clock = Early()
    deadlines = Deadlines(cast("asyncio.AbstractEventLoop", clock))
    thing = Thing(clock.now + 1)
    deadlines.add(thing)
    clock.advance(1)
    assert (thing.told, len(rang)) == (1, 1)
