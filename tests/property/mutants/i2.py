"""Mutants of I2: places freed twice, or never."""

from __future__ import annotations

from typing import Final

import pytest

from hadoken.outcome import Kind
from hadoken.pipeline.admission import Admission, Grant
from hadoken.pipeline.executor import Finished
from hadoken.pipeline.inflight import Record, State, Table
from hadoken.pipeline.poller import Poller
from hadoken.worker.answers import Answers
from hadoken.worker.endings import Endings
from tests.property.mutants.mutant import Mutant


def _freed_twice(patch: pytest.MonkeyPatch) -> None:
    remove = Table.remove

    def mutated(self: Table, record: Record) -> None:
        self._counts[State.ACTIVE] -= 1
        remove(self, record)

    patch.setattr(Table, "remove", mutated)


def _not_freed_when_it_failed(patch: pytest.MonkeyPatch) -> None:
    finished = Endings.finished

    def mutated(self: Endings, one: Finished, now: float) -> None:
        if one.verdict is None or not one.verdict.failed:
            finished(self, one, now)

    patch.setattr(Endings, "finished", mutated)


def _not_freed_when_the_ack_fails(patch: pytest.MonkeyPatch) -> None:
    entries = Answers._entries

    def mutated(self: Answers, call: object, failed: dict[int, object], now: float) -> None:
        if not failed:
            entries(self, call, failed, now)  # type: ignore[arg-type] -- passed on as it came

    patch.setattr(Answers, "_entries", mutated)


def _grants_forget_open_receives(patch: pytest.MonkeyPatch) -> None:
    def mutated(self: Admission) -> int:
        return max(0, self._places.total - self._table.active)

    patch.setattr(Admission, "free", mutated)


def _place_kept_after_a_failed_receive(patch: pytest.MonkeyPatch) -> None:
    failed = Admission.failed

    def mutated(self: Admission, grant: Grant) -> None:
        failed(self, grant)
        self.granted += 0 if grant.scout else grant.size

    patch.setattr(Admission, "failed", mutated)


def _a_receive_more_than_allowed_on_fifo(patch: pytest.MonkeyPatch) -> None:
    made = Poller.__init__

    def mutated(self: Poller, *args: object, **options: object) -> None:
        made(self, *args, **options)  # type: ignore[arg-type] -- passed on as they came
        self._most_open = 2

    patch.setattr(Poller, "__init__", mutated)


def _discarded_are_not_counted_off(patch: pytest.MonkeyPatch) -> None:
    move = Table.move

    def mutated(self: Table, record: Record, state: State) -> None:
        before = record.state
        move(self, record, state)
        if before is State.ACTIVE and record.verdict is not None and record.verdict.kind is Kind.DISCARD:
            self._counts[State.ACTIVE] += 1

    patch.setattr(Table, "move", mutated)


MUTANTS: Final = (
    Mutant("freed at the end of the handler and on ack", _freed_twice),
    Mutant("not freed when the ack fails", _not_freed_when_the_ack_fails),
    Mutant("not freed on a failure such as a decode error", _not_freed_when_it_failed),
    Mutant("open receives are not counted", _grants_forget_open_receives),
    Mutant("a failed receive keeps its places", _place_kept_after_a_failed_receive),
    Mutant("a FIFO queue has two open receives", _a_receive_more_than_allowed_on_fifo),
    Mutant("one kind of outcome is not counted off", _discarded_are_not_counted_off),
)
