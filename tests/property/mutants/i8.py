"""Mutants of I8: what outlives its message."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import pytest

from hadoken.outcome import Verdict
from hadoken.pipeline.groups import Groups
from hadoken.pipeline.inflight import Record, Table
from hadoken.pipeline.keeper import Entry, Keeper
from hadoken.worker.stages import Stages
from tests.property.mutants.mutant import Mutant


def _lazy_deletion(patch: pytest.MonkeyPatch) -> None:
    def mutated(self: Keeper, record: Record) -> None:
        self._asked.pop(record.ticket, None)
        if isinstance(record.entry, Entry):
            record.entry = None  # the entry itself keeps the record until it comes up
            self.members -= 1

    patch.setattr(Keeper, "forget", mutated)


def _failure_kept(patch: pytest.MonkeyPatch) -> None:
    remove = Table.remove
    kept: list[tuple[Record, Verdict | None]] = []

    def mutated(self: Table, record: Record) -> None:
        if record.verdict is not None and record.verdict.failed:
            kept.append((record, record.verdict))
        remove(self, record)

    patch.setattr(Table, "remove", mutated)


def _closure_per_message(patch: pytest.MonkeyPatch) -> None:
    start = Stages.start
    callbacks: dict[int, Callable[[], Record]] = {}

    def mutated(self: Stages, record: Record, now: float) -> None:
        callbacks[record.ticket] = lambda: record
        start(self, record, now)

    patch.setattr(Stages, "start", mutated)


def _member_left_in_its_group(patch: pytest.MonkeyPatch) -> None:
    leave = Groups.leave

    def mutated(self: Groups, record: Record) -> Record | None:
        head = leave(self, record)
        group = record.group
        if group is not None and group not in self._members:
            self._members[group] = deque()
        return head

    patch.setattr(Groups, "leave", mutated)


MUTANTS: Final = (
    Mutant("lazy deletion in the heap", _lazy_deletion),
    Mutant("what failed is kept", _failure_kept),
    Mutant("a closure per message in a long-lived map", _closure_per_message),
    Mutant("an empty message group is kept", _member_left_in_its_group),
)
