"""The random schedules: a hypothesis state machine over a `World`, to which each invariant adds its check."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hadoken.outcome import Kind, Verdict
from hadoken.worker.pool import Call
from tests.property.mutants.mutant import Mutant
from tests.property.world import CALM, STILL, STORM, Weather, World

VERDICTS = st.one_of(
    st.just(Verdict(Kind.ACK)),
    st.builds(lambda after: Verdict(Kind.RETRY, after=after, failed=True), st.sampled_from((0, 1, 5, 40, 400))),
    st.sampled_from((Verdict(Kind.RELEASE), Verdict(Kind.DISCARD, reason="x"), Verdict(Kind.DEAD_LETTER, reason="x"))),
)


class Machine(RuleBasedStateMachine):
    """Sends, starts, outcomes, time, weather, drains: what may happen to a pool.

    A check of an invariant overrides `check`, which runs after every step, and `sent`, which sees every turn's calls.

    Attributes:
        weathers: what the weather may be.
        options: how worlds are made; drawn once an example.
    """

    weathers: ClassVar[tuple[Weather, ...]] = (CALM, STORM, STILL)
    options: ClassVar[dict[str, st.SearchStrategy[Any]]] = {
        "concurrency": st.integers(1, 8),
        "visibility": st.sampled_from((1, 8, 30, 600)),
        "lookahead": st.sampled_from((None, 10, 60)),  # with 60 several receives of a queue are open at once
    }

    def __init__(self) -> None:
        super().__init__()
        self.world: World

    @initialize(data=st.data(), seed=st.integers(0, 2**32))
    def begin(self, data: st.DataObject, seed: int) -> None:
        """Make the world."""
        drawn = {name: data.draw(strategy) for name, strategy in self.options.items()}
        self.world = World(seed, **drawn)
        self.world.weather = data.draw(st.sampled_from(self.weathers))
        self.world.on_turn.append(self.sent)
        self.prepare()
        for name in self.world.names:
            self.world.send(name, data.draw(st.integers(0, 12)))
        self.world.turn()
        self.world.advance(0.5)

    @rule(data=st.data(), count=st.integers(1, 15) | st.just(60), group=st.sampled_from("ab"))
    def send(self, data: st.DataObject, count: int, group: str) -> None:
        """Messages arrive in SQS, and the time they need to get here passes."""
        self.world.send(data.draw(st.sampled_from(self.world.names)), count, group)
        self.world.advance(0.5)

    @rule()
    def take(self) -> None:
        """Threads take what waits for them."""
        self.world.take()

    @rule(nth=st.integers(0, 3), verdict=VERDICTS)
    def finish(self, nth: int, verdict: Verdict) -> None:
        """A handler ends."""
        self.world.take()
        self.world.finish(nth, self.allowed(verdict))

    @rule(count=st.integers(2, 25), verdict=VERDICTS)
    def finish_many(self, count: int, verdict: Verdict) -> None:
        """Several handlers end alike, one after the other."""
        for _ in range(count):
            self.world.take()
            self.world.finish(0, self.allowed(verdict))

    @rule(seconds=st.sampled_from((0.05, 0.3, 2, 7, 20, 50)))
    def advance(self, seconds: float) -> None:
        """Time passes."""
        self.world.advance(seconds)

    @rule(data=st.data())
    def change_weather(self, data: st.DataObject) -> None:
        """Calls fare otherwise from now on."""
        self.world.weather = data.draw(st.sampled_from(self.weathers))

    @rule(nth=st.integers(0, 3), seconds=st.sampled_from((1, 60, 3_600)))
    def ask(self, nth: int, seconds: float) -> None:
        """A handler asks for a longer lease."""
        busy = self.world.hands.busy
        if busy:
            self.world.hands.ctx(busy[nth % len(busy)]).extend(seconds)
            self.world.turn()

    @precondition(lambda self: self.may_drain())
    @rule(really=st.sampled_from((False, False, False, True)))
    def drain(self, really: bool) -> None:
        """A stop begins, not too often: most schedules are of a worker that works."""
        if really:
            self.world.drain()

    @precondition(lambda self: self.world.pool.draining and self.may_abandon())
    @rule()
    def deadline(self) -> None:
        """The drain deadline passes."""
        self.world.abandon()

    @precondition(lambda self: self.world.pool.draining)
    @rule()
    def restart(self) -> None:
        """The drain comes to its end in calm weather, and another worker starts."""
        self.world.restart()

    @invariant()
    def holds(self) -> None:
        """Look at the state after every step."""
        if hasattr(self, "world"):
            self.check()

    def teardown(self) -> None:
        """Let all come to its end in calm weather: whatever happened, a drain then leaves nothing."""
        if hasattr(self, "world"):
            world = self.world
            world.drain()
            world.settle(until=lambda: world.pool.idle)
            self.check()
            self.end()

    # ---- what an invariant may add -----------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Set up what the check needs."""

    def check(self) -> None:
        """Assert the invariant on the state."""

    def sent(self, calls: list[Call]) -> None:
        """Assert the invariant on a turn's calls."""

    def end(self) -> None:
        """Assert what must hold once all is over."""
        assert self.world.pool.idle, f"held for ever: {list(self.world.pool.table.records.values())}"

    def allowed(self, verdict: Verdict) -> Verdict:
        """What becomes of a verdict in this schedule."""
        return verdict

    def may_drain(self) -> bool:
        """Whether a stop may begin now."""
        return not self.world.pool.draining

    def may_abandon(self) -> bool:
        """Whether the drain deadline may pass now."""
        return True


def run(machine: type[Machine], *, examples: int = 300, steps: int = 50, shrink: bool = True) -> None:
    """Run a machine; the settings of the soak profile are kept where they are larger."""
    current = settings()
    phases = tuple(settings().phases) if shrink else (Phase.generate,)
    with _silence():
        run_state_machine_as_test(  # type: ignore[no-untyped-call] -- hypothesis has no types for it
            machine,
            settings=settings(
                current,
                max_examples=current.max_examples if current.max_examples > DEFAULT_EXAMPLES else examples,
                stateful_step_count=max(
                    steps, current.stateful_step_count if current.max_examples > DEFAULT_EXAMPLES else 0
                ),
                phases=phases,
                report_multiple_bugs=shrink,
                database=current.database if shrink else None,
                suppress_health_check=list(HealthCheck),
                deadline=None,
            ),
        )


@contextmanager
def _silence() -> Iterator[None]:
    """Keep the engine's warnings of thousands of planned lapses out of the report."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def falsified(machine: type[Machine], mutant: Mutant) -> None:
    """Assert that a machine fails once the mutant is planted."""
    with pytest.MonkeyPatch.context() as patch:
        mutant.plant(patch)
        with pytest.raises((AssertionError, KeyError)):  # the table itself refuses what is gone
            run(machine, examples=2_000, shrink=False)


DEFAULT_EXAMPLES = 100  # hypothesis's own: what the profile of a normal run leaves as it is
