"""Mutants of I3: entries of a batch mixed up, forgotten or sent twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pytest

from hadoken.outcome import Verdict
from hadoken.pipeline import acknowledger as stage
from hadoken.pipeline.acknowledger import Acknowledger, Batch, End
from hadoken.pipeline.inflight import Record
from hadoken.sqs.api import EntryFailure
from hadoken.worker.endings import Endings
from tests.property.mutants.mutant import Mutant

Failures = Mapping[int, EntryFailure]


def _answers(patch: pytest.MonkeyPatch, seen: object) -> None:
    answered = Acknowledger.answered

    def mutated(self: Acknowledger, batch: Batch, failed: Failures, now: float) -> list[tuple[Record, End]]:
        return answered(self, batch, seen(batch, failed), now)  # type: ignore[operator] -- a function of the mutants below

    patch.setattr(Acknowledger, "answered", mutated)


def _mapped_by_place_in_the_answer(patch: pytest.MonkeyPatch) -> None:
    _answers(patch, lambda _, failed: dict(enumerate(failed.values())))


def _failed_dropped(patch: pytest.MonkeyPatch) -> None:
    _answers(patch, lambda _batch, _failed: {})


def _known_by_message_id(patch: pytest.MonkeyPatch) -> None:
    def by_id(batch: Batch, failed: Failures) -> Failures:
        # Ids are in no order; any one will do, as long as a replayed schedule meets the same.
        names = [record.message.message_id for record in reversed(batch.records)]
        return {names.index(batch.records[at].message.message_id): f for at, f in failed.items() if at < len(names)}

    _answers(patch, by_id)


def _forgotten_after_a_failure(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Acknowledger, "_again", lambda *_: None)


def _batches_of_eleven(patch: pytest.MonkeyPatch) -> None:
    class Limits:
        BATCH_ENTRIES = 11

        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

    real = stage.limits
    patch.setattr(stage, "limits", Limits())


def _sent_twice(patch: pytest.MonkeyPatch) -> None:
    acknowledge = Endings.acknowledge

    def mutated(self: Endings, record: Record, verdict: Verdict, now: float) -> None:
        acknowledge(self, record, verdict, now)
        self._acknowledger.add(record, now)

    patch.setattr(Endings, "acknowledge", mutated)


MUTANTS: Final = (
    Mutant("failures are mapped by their place in the answer", _mapped_by_place_in_the_answer),
    Mutant("failed entries are dropped", _failed_dropped),
    Mutant("entries are known by message id", _known_by_message_id),
    Mutant("a failed entry is not tried again", _forgotten_after_a_failure),
    Mutant("batches of eleven", _batches_of_eleven),
    Mutant("an outcome is sent twice", _sent_twice),
)
