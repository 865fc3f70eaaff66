"""I1: a message received is in the table until SQS confirmed its delete or visibility change, or its lease lapsed."""

from __future__ import annotations

import pytest

from hadoken.pipeline.inflight import Record
from tests.property import machine
from tests.property.mutants import i1
from tests.property.mutants.mutant import Mutant


class InTheTable(machine.Machine):
    """Remembers every record that has entered, and wants a reason for each that has left."""

    def prepare(self) -> None:
        """Start with nothing known."""
        self.known: dict[int, Record] = {}

    def check(self) -> None:
        """Each record that left since the last look had leave to."""
        table = self.world.pool.table.records
        for ticket in [ticket for ticket in self.known if ticket not in table]:
            record = self.known.pop(ticket)
            assert self._may_leave(record), f"{record} left unconfirmed, its lease ends at {record.lease_end}"
        self.known.update(table)

    def _may_leave(self, record: Record) -> bool:
        world = self.world
        lapsed = record.lost and (record.lease_end <= world.now or record.ticket in world.model.told_lost)
        again = record.handle in world.model.changed  # it was received again, which proves the change
        left_to_lapse = world.pool.abandoned and record.group is not None
        return record.ticket in world.model.confirmed or lapsed or again or left_to_lapse

    def restart(self) -> None:
        """Tickets begin anew with every pool."""
        super().restart()
        self.known.clear()


def test_i1_in_the_table_until_confirmed_or_lapsed() -> None:
    """Whatever happens, nothing leaves the table without a reason."""
    machine.run(InTheTable)


@pytest.mark.parametrize("mutant", i1.MUTANTS, ids=str)
def test_i1_fails_on(mutant: Mutant) -> None:
    """The property notices what it is there for."""
    machine.falsified(InTheTable, mutant)
