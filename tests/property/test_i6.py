"""I6: nothing of ours blocks longer than the stop deadline; every wait can be woken."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hadoken.clock import SYSTEM
from hadoken.errors import DrainTimeout, LifecycleError
from tests.property.live import Life, Running
from tests.property.mutants import threads
from tests.property.mutants.mutant import Mutant

STEPS = st.lists(st.sampled_from(("start", "stop", "quiet", "drain", "wait")), min_size=1, max_size=6)


def act(running: Running, step: str) -> None:
    """Do one step of a life; a wrong moment is refused, never waited out."""
    worker = running.worker
    actions: dict[str, Callable[[], object]] = {
        "start": worker.start,
        "stop": worker.stop,
        "quiet": worker.quiet,
        "drain": worker.drain,
        "wait": lambda: worker.stopped.wait(0.02),
    }
    with contextlib.suppress(LifecycleError):
        actions[step]()


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(STEPS, st.lists(STEPS, min_size=1, max_size=3))
def test_i6_stops_in_time_whatever_the_order(first: list[str], others: list[list[str]]) -> None:
    """Steps of a life in any order, then from several threads at once: the stop returns, and nothing is left."""
    running = Running(Life(pools=(2,), messages=3, failing=0))
    for step in first:
        act(running, step)
    acting = [threading.Thread(target=lambda steps=steps: [act(running, s) for s in steps]) for steps in others]
    for thread in acting:
        thread.start()
    for thread in acting:
        thread.join(20)
    running.worker.stop()
    running.worker.threads.join(5)
    assert not any(thread.is_alive() for thread in acting)
    assert running.gone()


def check_hung() -> None:
    """A handler that hangs keeps nobody: the stop returns, names it, and only its thread is left, until it ends."""
    running = Running(Life(pools=(2,), messages=1, failing=0), drain_timeout=0.3)
    running.gate.clear()
    running.worker.start()
    begun = SYSTEM.lease()
    ended: list[float] = []
    reports: list[DrainTimeout] = []

    def stop() -> None:
        try:
            running.worker.stop()
        except DrainTimeout as report:
            reports.append(report)
        ended.append(SYSTEM.lease())

    while not any(executor.in_hand() for executor in running.worker.engine.executors.values()):
        assert SYSTEM.lease() < begun + 20
        running.worker.stopped.wait(0.01)
    stopping = threading.Thread(target=stop)
    begun = SYSTEM.lease()
    stopping.start()
    stopping.join(0.3 + 5)
    try:
        assert ended, "the stop did not return by its deadline + 5 s"
        assert [one.queue for one in reports[0].in_flight] == ["q0"]
        assert "gate.wait" in reports[0].in_flight[0].stack
        left = [birth.role for birth in running.worker.threads.alive()]
        assert left == ["pool p0"], f"besides the hung handler's: {left}"
    finally:
        running.gate.set()
        stopping.join(20)
        for executor in running.worker.engine.executors.values():
            executor._handed.put(None)
            executor._handed.put(None)
        running.worker.threads.join(20)


def test_i6_a_hung_handler_does_not_hold_the_stop() -> None:
    """The stop is bounded by its deadline, not by handlers."""
    check_hung()


@pytest.mark.parametrize("mutant", threads.MUTANTS_I6, ids=str)
def test_i6_fails_on(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    """The property notices what it is there for."""
    mutant.plant(monkeypatch)
    with pytest.raises(AssertionError):
        check_hung()
