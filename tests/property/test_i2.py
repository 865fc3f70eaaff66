"""I2: no receive asks for more than there are free places (a scout: one, its own); a place is freed exactly once."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

import pytest
from hypothesis import strategies as st

from hadoken.pipeline.inflight import Record, State
from hadoken.pipeline.poller import MOST_OPEN
from hadoken.worker.pool import Call
from hadoken.worker.receipts import Poll
from tests.property import machine
from tests.property.mutants import i2
from tests.property.mutants.mutant import Mutant
from tests.property.world import FIFO, OTHER, STANDARD


class Places(machine.Machine):
    """Counts places anew after every step, and looks at every receive that is asked for."""

    options: ClassVar = {
        **machine.Machine.options,
        "names": st.sampled_from([(STANDARD,), (STANDARD, OTHER), (STANDARD, FIFO), (STANDARD, OTHER, FIFO)]),
    }

    def prepare(self) -> None:
        """Spy on the final transition of each record."""
        self.removed: Counter[int] = Counter()
        self._spy()

    def _spy(self) -> None:
        table = self.world.pool.table
        remove = table.remove

        def spied(record: Record) -> None:
            self.removed[record.ticket] += 1
            remove(record)

        table.remove = spied  # type: ignore[method-assign] -- a spy on one table

    def restart(self) -> None:
        """A new pool has a new table."""
        super().restart()
        self.removed.clear()
        self._spy()

    def sent(self, calls: list[Call]) -> None:
        """What is asked for fits into the places that are free."""
        pool = self.world.pool
        polls = [call for call in calls if isinstance(call, Poll)]
        plain = [poll for poll in polls if not poll.grant.scout]
        assert all(1 <= poll.request.max_messages <= 10 for poll in polls)
        assert all(poll.request.max_messages == 1 for poll in polls if poll.grant.scout)
        assert not polls or pool.table.settling < pool.admission.max_settling or pool.draining
        wires = [wire.call for wire in self.world.wires if isinstance(wire.call, Poll)]
        if plain:
            granted = sum(poll.grant.size for poll in wires if not poll.grant.scout)
            active = sum(record.state is State.ACTIVE for record in pool.table.records.values())
            assert active + granted <= pool.places.total
        open_polls = Counter(poll.poller.queue.name for poll in wires)
        assert all(count == 1 for name, count in open_polls.items() if name == FIFO)
        assert all(count <= MOST_OPEN for count in open_polls.values())
        scouts = Counter(poll.poller.queue.name for poll in wires if poll.grant.scout)
        assert all(count == open_polls[name] == 1 for name, count in scouts.items())

    def check(self) -> None:
        """The table's counts are those of its records; each record has left at most once."""
        pool = self.world.pool
        states = Counter(record.state for record in pool.table.records.values())
        assert states[State.ACTIVE] == pool.table.active
        assert states[State.WAITING] == pool.table.waiting
        assert states[State.SETTLING] == pool.table.settling
        assert pool.table.entered - pool.table.left == len(pool.table)
        assert all(count == 1 for count in self.removed.values())
        polls = [wire.call for wire in self.world.wires if isinstance(wire.call, Poll)]
        open_polls = Counter(poll.poller.queue.name for poll in polls)
        assert {p.queue.name: p.receives for p in pool.pollers if p.receives} == open_polls
        assert sum(poller.granted for poller in pool.pollers) == sum(poll.grant.size for poll in polls)
        assert pool.admission.granted == sum(poll.grant.size for poll in polls if not poll.grant.scout)
        assert pool.table.bytes == sum(record.size for record in pool.table.records.values())

    def end(self) -> None:
        """All places are free."""
        super().end()
        assert self.world.pool.table.active == 0
        pool = self.world.pool
        assert pool.admission.free() == pool.places.total
        assert pool.table.bytes == pool.admission.granted_bytes == 0


def test_i2_places_are_granted_once_and_freed_once() -> None:
    """Whatever happens, places taken and granted are those there are, and in the end all are free."""
    machine.run(Places)


@pytest.mark.parametrize("mutant", i2.MUTANTS, ids=str)
def test_i2_fails_on(mutant: Mutant) -> None:
    """The property notices what it is there for."""
    machine.falsified(Places, mutant)
