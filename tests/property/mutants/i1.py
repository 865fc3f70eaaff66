"""Mutants of I1: messages that leave the table too early."""

from __future__ import annotations

from typing import Final

import pytest

from hadoken.outcome import Verdict
from hadoken.pipeline.acknowledger import Batch, End
from hadoken.pipeline.inflight import Record
from hadoken.worker.endings import Endings
from hadoken.worker.pool import Call, Pool
from tests.property.mutants.mutant import Mutant


def _removed_at_flush(patch: pytest.MonkeyPatch) -> None:
    turn = Pool.turn

    def mutated(self: Pool, now: float) -> list[Call]:
        calls = turn(self, now)
        for call in calls:
            if isinstance(call, Batch):
                for record in list(call.records):
                    self.endings.end(record, End.DELETED, now, record.verdict)
        return calls

    patch.setattr(Pool, "turn", mutated)


def _popped_before_the_batch(patch: pytest.MonkeyPatch) -> None:
    acknowledge = Endings.acknowledge

    def mutated(self: Endings, record: Record, verdict: Verdict, now: float) -> None:
        acknowledge(self, record, verdict, now)
        if record.ticket in self._table.records:
            self._keeper.forget(record)
            self._groups.leave(record)
            self._table.remove(record)

    patch.setattr(Endings, "acknowledge", mutated)


MUTANTS: Final = (
    Mutant("removed at flush instead of at the answer", _removed_at_flush),
    Mutant("popped from the queue, not yet in the batch", _popped_before_the_batch),
)
