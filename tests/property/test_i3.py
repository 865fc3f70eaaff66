"""I3: every message gets exactly one outcome; batches hold 1..10; each failed entry is tried again by itself."""

from __future__ import annotations

from collections import Counter

import pytest

from hadoken.local.state.eventlog import What
from hadoken.outcome import Kind
from hadoken.pipeline.acknowledger import Batch, Operation
from hadoken.pipeline.inflight import State
from hadoken.pipeline.keeper import Extension
from hadoken.sqs.api import SendBatch
from hadoken.worker.pool import Call
from tests.property import machine
from tests.property.mutants import i3
from tests.property.mutants.mutant import Mutant

COUNTERS = {
    Kind.ACK: "acked",
    Kind.RETRY: "retried",
    Kind.RELEASE: "released",
    Kind.DEAD_LETTER: "dead_lettered",
    Kind.DISCARD: "discarded",
}


class Outcomes(machine.Machine):
    """Follows each outcome from the handler to SQS."""

    def sent(self, calls: list[Call]) -> None:
        """Batches are of one queue and one operation, 1..10 distinct records, each entry at the place of its record."""
        for call in calls:
            if isinstance(call, (Batch, Extension)):
                self._look_at(call)

    def _look_at(self, call: Batch | Extension) -> None:
        records = call.records
        assert 1 <= len(records) <= 10
        assert len({record.ticket for record in records}) == len(records)
        assert {record.queue.name for record in records} == {call.queue.name}
        if isinstance(call, Extension):
            return
        assert all(record.state is State.SETTLING for record in records)
        request = call.request
        if isinstance(request, SendBatch):
            assert len(request.entries) == len(records)
        elif call.operation is Operation.DELETE:
            assert list(request.handles) == call.handles == [record.handle for record in records]  # type: ignore[union-attr] -- a delete
        else:
            assert [handle for handle, _ in request.entries] == [record.handle for record in records]  # type: ignore[union-attr] -- a change

    def check(self) -> None:
        """Each settling record is to be sent exactly once; SQS has deleted only what was to be deleted."""
        self._check_whereabouts()
        self._check_deletes()

    def _check_whereabouts(self) -> None:
        pool = self.world.pool
        places: Counter[int] = Counter()
        for bucket in pool.acknowledger._buckets.values():
            places.update(record.ticket for record in bucket.fresh)
            places.update(record.ticket for _, _, record in bucket.again)
        on_the_wire = [wire.call for wire in self.world.wires if isinstance(wire.call, Batch)]
        places.update(r.ticket for batch in on_the_wire for r in batch.records if r.state is not State.GONE)
        settling = [r.ticket for r in pool.table.records.values() if r.state is State.SETTLING]
        assert places == Counter(settling), "a settling record is nowhere, or twice, on its way"

        self._check_refused()

    def _check_refused(self) -> None:
        """What failed by itself is not over: it is in the table until it was confirmed or the lease has ended."""
        model = self.world.model
        for record in model.refused.values():
            left = record.state is State.GONE and not self.world.pool.abandoned
            assert not left or record.lost or record.handle in model.changed, f"{record} ended by a failure"

    def _check_deletes(self) -> None:
        model = self.world.model
        for event in self.world.events():
            if event.what is What.DELETED and event.found:
                assert event.id in model.deleted or event.id in model.copies, "deleted without an outcome that says so"

    def end(self) -> None:
        """As many outcomes were counted as handlers ended, each under its kind (an ended FIFO try in place too)."""
        super().end()
        counts = self.world.pool.counts.values()
        counted = sum(getattr(one, name) for one in counts for name in COUNTERS.values())
        assert counted >= len(self.world.model.outcomes) - self.unheard
        failed = sum(one.failed for one in counts)
        assert failed <= counted

    def prepare(self) -> None:
        """Outcomes that come after the drain deadline do not count."""
        self.unheard = 0

    def deadline(self) -> None:
        """What runs at the deadline will not be heard."""
        self.unheard += len(self.world.hands.busy)
        super().deadline()

    def restart(self) -> None:
        """A new pool has new counters."""
        super().restart()
        self.unheard = 0


def test_i3_one_outcome_each_in_batches_of_ten() -> None:
    """Whatever fails, every outcome is on its way to SQS exactly once until it has arrived or the lease has ended."""
    machine.run(Outcomes)


@pytest.mark.parametrize("mutant", i3.MUTANTS, ids=str)
def test_i3_fails_on(mutant: Mutant) -> None:
    """The property notices what it is there for."""
    machine.falsified(Outcomes, mutant)
