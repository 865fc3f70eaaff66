"""Mutants of I4: leases that lapse unseen, or that are touched after they have."""

from __future__ import annotations

from typing import Final

import pytest

from hadoken.pipeline import acknowledger, keeper
from hadoken.pipeline.acknowledger import Acknowledger, End
from hadoken.pipeline.inflight import Record, State
from hadoken.pipeline.keeper import Due, Keeper
from hadoken.worker.answers import Answers
from hadoken.worker.pool import Pool
from tests.property.mutants.mutant import Mutant


def _moved_before_the_call(patch: pytest.MonkeyPatch) -> None:
    due = Keeper.due

    def mutated(self: Keeper, now: float) -> Due:
        found = due(self, now)
        for batch in found.extensions:
            self._leave(batch.records)
            self.hold(batch.records, lease_start=now, length=batch.seconds[0])
        return found

    patch.setattr(Keeper, "due", mutated)


def _none_while_settling(patch: pytest.MonkeyPatch) -> None:
    seconds = Keeper._seconds

    def mutated(self: Keeper, record: Record, now: float) -> int:
        return 0 if record.state is State.SETTLING else seconds(self, record, now)

    patch.setattr(Keeper, "_seconds", mutated)


def _none_during_a_drain(patch: pytest.MonkeyPatch) -> None:
    drain = Pool.drain

    def mutated(self: Pool) -> None:
        drain(self)
        self.keeper._seconds = lambda *_: 0  # type: ignore[method-assign] -- the fault

    patch.setattr(Pool, "drain", mutated)


def _clamped_to_each_change(patch: pytest.MonkeyPatch) -> None:
    def mutated(timeout: float, *, received_at: float, now: float, margin: float) -> int:
        return int(min(timeout, 43_200))

    patch.setattr(keeper, "extension", mutated)
    patch.setattr(acknowledger, "extension", mutated)


def _changed_after_the_lapse(patch: pytest.MonkeyPatch) -> None:
    def mutated(self: Acknowledger, record: Record, now: float) -> End | None:
        return None

    patch.setattr(Acknowledger, "lapsed", mutated)


def _not_told(patch: pytest.MonkeyPatch) -> None:
    lost = Answers.lost

    def mutated(self: Answers, record: Record, now: float) -> None:
        if record.state is State.ACTIVE:
            self._note_lost(record, "untold")
        else:
            lost(self, record, now)

    patch.setattr(Answers, "lost", mutated)


def _extended_at_the_end(patch: pytest.MonkeyPatch) -> None:
    hold = Keeper.hold

    def mutated(self: Keeper, records: list[Record], *, lease_start: float, length: float) -> None:
        hold(self, records, lease_start=lease_start + length / 2, length=length)

    patch.setattr(Keeper, "hold", mutated)


MUTANTS_KEPT: Final = (
    Mutant("no extension while settling", _none_while_settling),
    Mutant("no extension during a drain", _none_during_a_drain),
    Mutant("extended only when the lease is over", _extended_at_the_end),
)
MUTANTS_BROKEN: Final = (
    Mutant("deadline moved before the call", _moved_before_the_call),
    Mutant("clamped to 12 h a change, not in all", _clamped_to_each_change),
    Mutant("a change is sent after the lapse", _changed_after_the_lapse),
    Mutant("the handler is not told", _not_told),
)
