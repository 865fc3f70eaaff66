"""The hand-over: order, who is woken, and that no wake is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hadoken.pipeline.handover import Bed, Handover
from tests.support.waiting import wait_until


class Sleeper:
    """A thread that takes items, and runs each until it is let go on."""

    def __init__(self, handover: Handover[int | None]) -> None:
        self.took: list[int] = []
        self.go_on = threading.Semaphore(0)
        self._handover = handover
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        bed = Bed()
        while (item := self._handover.get(bed)) is not None:
            self.took.append(item)
            assert self.go_on.acquire(timeout=20)

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join(20)
        assert not self._thread.is_alive()


@contextmanager
def sleepers(count: int) -> Iterator[tuple[Handover[int | None], list[Sleeper]]]:
    """Threads that parked one after the other; they end with the block."""
    handover: Handover[int | None] = Handover()
    made: list[Sleeper] = []
    try:
        for number in range(1, count + 1):
            made.append(Sleeper(handover))
            assert wait_until(lambda: len(handover._parked) == number)  # noqa: B023 -- called in this round only
        yield handover, made
    finally:  # a thread that sleeps on after a test that failed would keep the whole run from ending
        for one in made:
            one.go_on.release(1_000)
            handover.put(None)
        for one in made:
            one.join()
    assert len(handover) == 0


def test_oldest_first() -> None:
    """Without a thread that sleeps it is a queue."""
    handover: Handover[int] = Handover()
    for item in range(3):
        handover.put(item)
    assert len(handover) == 3
    assert [handover.get(Bed()), handover.get_nowait(), handover.get(Bed())] == [0, 1, 2]
    assert handover.get_nowait() is None


def test_who_parked_last_is_woken_first() -> None:
    """Again and again: the others sleep on."""
    with sleepers(3) as (handover, made):
        for item in range(5):
            handover.put(item)
            assert wait_until(lambda: made[2].took == list(range(item + 1)))  # noqa: B023 -- called in this round only
            made[2].go_on.release()
            assert wait_until(lambda: len(handover._parked) == 3)
        assert made[0].took == made[1].took == []


def test_handlers_that_block_leave_no_thread_idle_while_there_is_work() -> None:
    """Each that arrives and leaves something wakes the next: all run, although one wake is under way at a time."""
    with sleepers(8) as (handover, made):
        for item in range(8):
            handover.put(item)
        assert wait_until(lambda: all(len(one.took) == 1 for one in made))
        assert not handover._parked


def test_more_than_threads_waits_for_the_first_that_is_free() -> None:
    """Whoever ends takes the next, without having slept."""
    with sleepers(2) as (handover, made):
        for item in range(5):
            handover.put(item)
        assert wait_until(lambda: all(len(one.took) == 1 for one in made))
        made[0].go_on.release(3)
        assert wait_until(lambda: len(made[0].took) == 4)
        assert len(made[1].took) == 1


def test_an_end_reaches_every_thread() -> None:
    """As many ends as threads, put at once, while all sleep."""
    with sleepers(20) as (handover, _):
        assert len(handover) == 0


@pytest.mark.parametrize("before", [True, False])
def test_one_that_comes_while_a_thread_lies_down_is_not_missed(*, before: bool) -> None:
    """It is put after the thread found nothing and before it is on the list of sleepers, or just after."""
    handover: Handover[int] = Handover()
    bed = Bed()

    class Late(list[Bed]):
        """A list of sleepers into whose appending an item comes."""

        def append(self, bed: Bed) -> None:
            if before:
                handover.put(1)
                super().append(bed)
            else:
                super().append(bed)
                handover.put(1)

    handover._parked = Late()
    assert handover.get(bed) == 1
    assert not handover._parked
    assert bed.lock.locked()
    assert not handover._waking


def test_no_wake_is_lost_to_one_that_finds_nobody_to_wake() -> None:
    """Two threads wake at once, the second finds no sleeper; before it says so, one lies down and an item comes."""
    handover: Handover[int | None] = Handover()
    made: list[Sleeper] = []

    class Raced(list[Bed]):
        """A list of sleepers that one joins just after it was found empty."""

        def pop(self, *_: object) -> Bed:  # type: ignore[override] # only the last is ever taken
            if self or made:
                return super().pop()
            made.append(Sleeper(handover))
            assert wait_until(lambda: len(self) == 1)
            handover.put(7)
            raise IndexError

    handover._parked = Raced()
    handover._wake_one()
    (sleeper,) = made
    try:
        assert wait_until(lambda: sleeper.took == [7])
        assert not handover._waking
    finally:
        sleeper.go_on.release(2)
        handover.put(None)
        handover.put(None)
        sleeper.join()


def test_a_thread_that_dies_when_it_is_woken_passes_the_wake_on() -> None:
    """An exception that another thread throws into it arrives there; the others must not sleep beside its item."""
    with sleepers(1) as (handover, made):

        class Deadly:
            """A bed whose sleeper is killed as it wakes."""

            def acquire(self) -> None:
                handover.put(7)
                raise SystemExit

            def release(self) -> None:
                """Let it wake."""

        bed = Bed()
        bed.lock = Deadly()  # type: ignore[assignment] # what a sleeper needs of a lock
        with pytest.raises(SystemExit):
            handover.get(bed)
        assert wait_until(lambda: made[0].took == [7])
        assert not handover._waking


def test_no_wake_is_lost_between_many_threads() -> None:
    """Items come one by one while threads park and wake: each is taken, whichever way the steps interleave."""
    handover: Handover[int | None] = Handover()
    taken: list[int] = []
    done = threading.Semaphore(0)

    def run() -> None:
        bed = Bed()
        while (item := handover.get(bed)) is not None:
            taken.append(item)
            done.release()

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for item in range(3_000):
        handover.put(item)
        if item % 3 == 0:  # wait for all that was put: the next comes when threads are about to sleep
            while len(taken) <= item:
                assert done.acquire(timeout=20), f"{item + 1 - len(taken)} items lie there and nobody was woken"
    for _ in threads:
        handover.put(None)
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert sorted(taken) == list(range(3_000))
