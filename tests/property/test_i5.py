"""I5: the number of threads is fixed at boot."""

from __future__ import annotations

import threading

import pytest
from hypothesis import HealthCheck, given, settings

from tests.property.live import LIVES, Life, Running
from tests.property.mutants import threads
from tests.property.mutants.mutant import Mutant


def check(life: Life) -> None:
    """As many threads as budgeted from boot to stop, whatever the messages; none after it."""
    running = Running(life)
    assert running.gone()
    running.worker.start()
    try:
        births = len(running.worker.threads.alive())
        assert running.ours == running.budget == births
        running.handled.wait(running.total)
        assert running.ours == running.budget
        assert len(running.worker.threads._births) == births
    finally:
        running.worker.stop()
    assert running.gone()


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(LIVES)
def test_i5_threads_are_fixed_at_boot(life: Life) -> None:
    """For any pools and any messages the OS counts exactly the budget."""
    check(life)


@pytest.mark.parametrize("mutant", threads.MUTANTS_I5, ids=str)
def test_i5_fails_on(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    """The property notices what it is there for."""
    threads.released.clear()
    mutant.plant(monkeypatch)
    before = set(threading.enumerate())
    try:
        with pytest.raises(AssertionError):
            check(Life(pools=(2,), messages=12, failing=0))
    finally:
        threads.released.set()
        for thread in set(threading.enumerate()) - before:
            thread.join(10)
