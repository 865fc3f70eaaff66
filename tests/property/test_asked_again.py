"""No queue is forgotten: as long as a thread idles and there is memory, each is asked again within bounded time."""

from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import strategies as st

from hadoken.pipeline.admission import PATIENCE, Grant
from hadoken.pipeline.poller import Poller
from hadoken.worker.pool import Call
from hadoken.worker.receipts import Poll
from tests.property import machine
from tests.property.mutants import asked_again
from tests.property.mutants.mutant import Mutant
from tests.property.world import FIFO, OTHER, STANDARD, STILL

SOON = PATIENCE + 0.01
NAMES = [(STANDARD,), (STANDARD, OTHER), (STANDARD, FIFO), (STANDARD, OTHER, FIFO, "third", "fourth")]


class AskedAgain(machine.Machine):
    """Measures how long each queue has had no open receive although nothing speaks against one."""

    options: ClassVar = {
        "names": st.sampled_from(NAMES),
        "concurrency": st.sampled_from((1, 3, 8, 60)),
        "visibility": st.sampled_from((8, 30, 600)),
        "lookahead": st.sampled_from((None, 0, 10, 60)),
        "max_bytes": st.sampled_from((100, 300, 1_500, 2**26)),
    }

    def prepare(self) -> None:
        """Nobody has been left out yet."""
        self.left_out: dict[str, float] = {}

    def restart(self) -> None:
        """A new pool begins anew."""
        super().restart()
        self.left_out.clear()

    def sent(self, calls: list[Call]) -> None:
        """Look after every turn."""
        self.check()

    def check(self) -> None:
        """Whoever could be asked has been for `SOON` at the latest."""
        now = self.world.now
        free = self._is_free()
        for poller in self.world.pool.pollers:
            name = poller.queue.name
            if free and self._could_be_asked(poller):
                assert now - self.left_out.setdefault(name, now) <= SOON, f"{name} is asked no more"
            else:
                self.left_out.pop(name, None)

    def _open(self) -> list[Grant]:
        """What is on the wire, scouts apart: counted anew, not as admission does."""
        polls = [wire.call for wire in self.world.wires if isinstance(wire.call, Poll)]
        return [poll.grant for poll in polls if not poll.grant.scout]

    def _is_free(self) -> bool:
        pool = self.world.pool
        idle = pool.table.active + sum(grant.size for grant in self._open()) < pool.concurrency
        return idle and pool.table.settling < pool.admission.max_settling

    def _could_be_asked(self, poller: Poller) -> bool:
        pool = self.world.pool
        granted = self._open()
        room = pool.admission._max_bytes - pool.table.bytes - sum(grant.size_bytes for grant in granted)
        if poller.quiet or poller.receives or self.world.now < poller.not_before:
            return False
        if poller.queue.fifo and pool.table.waiting >= pool.admission.max_waiting:
            return False
        return room >= poller.bytes_each or not (len(pool.table) or granted)


class ManyThreads(AskedAgain):
    """So many threads, with such long handlers, that a few may wait for a fuller receive."""

    options: ClassVar = {
        "names": st.just((STANDARD,)),
        "concurrency": st.just(60),
        "visibility": st.just(600),
        "lookahead": st.just(0),
    }
    weathers: ClassVar = (STILL,)

    def prepare(self) -> None:
        """All threads find work, and more is there."""
        super().prepare()
        self.world.send(STANDARD, 200)


def test_every_queue_is_asked_again() -> None:
    """Whatever answers, failures, outcomes and waits there are, no poller is lost between them."""
    machine.run(AskedAgain, examples=150)


def test_a_queue_for_which_few_threads_idle_is_asked_again() -> None:
    """They may wait for others, but not for long."""
    machine.run(ManyThreads, examples=50)


@pytest.mark.parametrize("mutant", asked_again.MUTANTS, ids=str)
def test_fails_on(mutant: Mutant) -> None:
    """The property notices what it is there for."""
    machine.falsified(AskedAgain, mutant)


@pytest.mark.parametrize("mutant", asked_again.MUTANTS_IDLE, ids=str)
def test_many_threads_fail_on(mutant: Mutant) -> None:
    """So does the one of many threads."""
    machine.falsified(ManyThreads, mutant)
