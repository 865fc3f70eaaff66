"""I7: after stop nothing of ours is left; the table is empty, or what is left is reported."""

from __future__ import annotations

import gc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hadoken.local.faults import Faults, Rule
from tests.property.live import LIVES, Life, Running
from tests.property.mutants import threads
from tests.property.mutants.mutant import Mutant


def check(life: Life, stop_after: int) -> None:
    """Stop after some handlers, while a delete fails: no thread, nothing held, nothing invisible without a reason."""
    running = Running(life)
    running.sqs.faults = Faults([Rule(operation="DeleteMessageBatch", entries=tuple(range(10)), nth=2)])
    running.worker.start()
    try:
        running.handled.wait(min(stop_after, running.total))
    finally:
        running.worker.stop()
    report = running.worker.engine.report
    assert report is not None
    assert report.clean
    assert running.gone()
    assert running.worker.engine.snapshot().in_flight == 0
    failed = sum(life.failing > 0 and int(body) % life.failing == 0 for body in running.handled.facts)
    assert running.in_flight() == failed, "held by nobody and invisible"
    left = sum(len(queue) for queue in running.sqs.queues)
    assert left == running.total - len(running.handled) + failed


def check_everywhere(life: Life) -> None:
    """Stop at each moment of the second half of the work."""
    for stop_after in range(10, 26):
        check(life, stop_after)


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(LIVES, st.integers(0, 40))
def test_i7_after_stop_nothing_is_left(life: Life, stop_after: int) -> None:
    """Wherever in its work a worker is stopped, it leaves nothing behind."""
    check(life, stop_after)
    gc.collect()


@pytest.mark.parametrize("mutant", threads.MUTANTS_I7, ids=str)
def test_i7_fails_on(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    """The property notices what it is there for."""
    mutant.plant(monkeypatch)
    life = Life(pools=(3,), messages=25, failing=0)
    with pytest.raises(AssertionError):
        check_everywhere(life)
