"""Mutants of I9: receives spent on messages that are not started."""

from __future__ import annotations

from typing import Final

import pytest

from hadoken.pipeline.inflight import Record, State
from hadoken.worker.drain import Drain
from hadoken.worker.endings import Endings
from tests.property.mutants.mutant import Mutant


def _tail_released_on_each_failure(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Endings, "_retries_in_place", lambda *_: False)


def _released_though_threads_are_idle(patch: pytest.MonkeyPatch) -> None:
    def mutated(self: Drain, now: float) -> None:
        for record in [r for r in self._table.records.values() if r.state is State.WAITING]:
            self._endings.give_back(record, now)

    patch.setattr(Drain, "step", mutated)


def _tail_released_beside_a_dead_letter(patch: pytest.MonkeyPatch) -> None:
    end = Endings.end

    def mutated(self: Endings, record: Record, *args: object) -> None:
        for other in self._groups.behind(record):
            self.give_back(other, args[1])  # type: ignore[arg-type] -- (end, now, verdict), passed on as they came
        end(self, record, *args)  # type: ignore[arg-type] -- the same

    patch.setattr(Endings, "end", mutated)


MUTANTS: Final = (
    Mutant("the tail of a failed head is released on each failure", _tail_released_on_each_failure),
    Mutant("what a poll brings at the drain is released though threads are idle", _released_though_threads_are_idle),
    Mutant("the tail is released when its head is done", _tail_released_beside_a_dead_letter),
)
