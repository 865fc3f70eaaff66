"""Mutants of admission that lose a queue: it is in none of the places where one waits for its next receive."""

from __future__ import annotations

import math
from typing import Final

import pytest

from hadoken.pipeline import admission
from hadoken.pipeline.admission import Admission, Grant
from hadoken.pipeline.poller import Poller
from tests.property.mutants.mutant import Mutant


def _after_a_failure(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Admission, "failed", Admission._close)


def _after_an_answer_beside_others(patch: pytest.MonkeyPatch) -> None:
    enlist = Admission._enlist

    def mutated(self: Admission, poller: Poller) -> None:
        if poller.receives or not poller.hot or poller.allowed == 1:
            enlist(self, poller)

    patch.setattr(Admission, "_enlist", mutated)


def _when_its_back_off_is_over(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Admission, "_rests", staticmethod(lambda _: False))


def _nobody_wakes_it_from_its_back_off(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Admission, "next_try", lambda _: None)


def _blocked_for_ever(patch: pytest.MonkeyPatch) -> None:
    rouse = Admission._rouse

    def mutated(self: Admission, now: float) -> None:
        blocked, self._blocked = self._blocked, {}
        rouse(self, now)
        self._blocked = blocked

    patch.setattr(Admission, "_rouse", mutated)


def _a_scout_without_room_is_dropped(patch: pytest.MonkeyPatch) -> None:
    scouts = Admission._scouts

    def mutated(self: Admission, now: float) -> list[Grant]:
        grants = scouts(self, now)
        self._cold.clear()
        return grants

    patch.setattr(Admission, "_scouts", mutated)


def _who_finds_no_room_is_dropped(patch: pytest.MonkeyPatch) -> None:
    plain = Admission._plain

    def mutated(self: Admission, now: float, idle_since: float | None) -> list[Grant]:
        queue = Admission._queue
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(Admission, "_queue", lambda self, one: queue(self, one) if self._fits(one) else None)
            return plain(self, now, idle_since)

    patch.setattr(Admission, "_plain", mutated)


def _who_waits_for_places_is_dropped(patch: pytest.MonkeyPatch) -> None:
    plain = Admission._plain

    def mutated(self: Admission, now: float, idle_since: float | None) -> list[Grant]:
        grants = plain(self, now, idle_since)
        if not grants and self._ready:
            self._queued.discard(self._ready.pop()[2])
        return grants

    patch.setattr(Admission, "_plain", mutated)


def _still_queued_though_taken(patch: pytest.MonkeyPatch) -> None:
    following = Admission._next

    def mutated(self: Admission, now: float) -> Poller | None:
        poller = following(self, now)
        if poller is not None:
            self._queued.add(poller)
        return poller

    patch.setattr(Admission, "_next", mutated)


def _idle_threads_wait_for_a_full_receive(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(admission, "PATIENCE", math.inf)


def _bytes_are_not_given_back(patch: pytest.MonkeyPatch) -> None:
    close = Admission._close

    def mutated(self: Admission, grant: Grant) -> None:
        held = self.granted_bytes
        close(self, grant)
        self.granted_bytes = held

    patch.setattr(Admission, "_close", mutated)


MUTANTS: Final = (
    Mutant("lost after a failed receive", _after_a_failure),
    Mutant("lost after an answer that was the last of several", _after_an_answer_beside_others),
    Mutant("lost when its back-off is over", _when_its_back_off_is_over),
    Mutant("no timer for the end of a back-off", _nobody_wakes_it_from_its_back_off),
    Mutant("blocked for ever after a scout whose message found no thread", _blocked_for_ever),
    Mutant("a scout that finds no memory is dropped", _a_scout_without_room_is_dropped),
    Mutant("a queue that finds no memory is dropped", _who_finds_no_room_is_dropped),
    Mutant("a queue that waits for places is dropped", _who_waits_for_places_is_dropped),
    Mutant("taken from the ready and still counted among them", _still_queued_though_taken),
    Mutant("the bytes that a receive might have brought are not given back", _bytes_are_not_given_back),
)
MUTANTS_IDLE: Final = (Mutant("idle threads wait for a full receive", _idle_threads_wait_for_a_full_receive),)
