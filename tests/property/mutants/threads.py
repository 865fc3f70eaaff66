"""Mutants of I5, I6 and I7: threads born per message, waits without an end, ends in the wrong order."""

from __future__ import annotations

import threading
from typing import Final

import pytest

from hadoken.pipeline.executor import Executor, Finished, Handed, Slot
from hadoken.pipeline.inflight import State
from hadoken.threads.spawn import Birth, Threads
from hadoken.worker.pool import Pool
from hadoken.worker.receipts import Poll, Receipts
from tests.property.mutants.mutant import Mutant

released = threading.Event()  # set by the test when it has seen enough: ends what the mutants started


def _timer_per_message(patch: pytest.MonkeyPatch) -> None:
    handle = Executor._handle

    def mutated(self: Executor, handed: Handed, slot: Slot) -> Finished:
        threading.Thread(target=released.wait, args=(20,)).start()
        return handle(self, handed, slot)

    patch.setattr(Executor, "_handle", mutated)


def _thread_per_edge(patch: pytest.MonkeyPatch) -> None:
    received = Receipts.received

    def mutated(self: Receipts, poll: Poll, answer: object, now: float) -> None:
        idle = not len(self._table)
        received(self, poll, answer, now)
        if idle and len(self._table):
            threading.Thread(target=released.wait, args=(20,)).start()

    patch.setattr(Receipts, "received", mutated)


def _join_without_timeout(patch: pytest.MonkeyPatch) -> None:
    def mutated(self: Threads, timeout: float) -> list[Birth]:
        for birth in self.alive():
            if birth.thread is not threading.current_thread():
                birth.thread.join()
        return []

    patch.setattr(Threads, "join", mutated)


def _get_that_nobody_ends(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Executor, "stop", lambda _: None)


def _ended_before_the_last_batch(patch: pytest.MonkeyPatch) -> None:
    def mutated(self: Pool) -> bool:
        held = any(record.state is not State.SETTLING for record in self.table.records.values())
        return not held and not any(poller.granted for poller in self.pollers)

    patch.setattr(Pool, "idle", property(mutated))


MUTANTS_I5: Final = (
    Mutant("a timer's thread per message", _timer_per_message),
    Mutant("a thread per edge from none to some messages", _thread_per_edge),
)
MUTANTS_I6: Final = (
    Mutant("a join without timeout", _join_without_timeout),
    Mutant("a get that nobody ends", _get_that_nobody_ends),
)
MUTANTS_I7: Final = (Mutant("the acknowledger ends before its last batch", _ended_before_the_last_batch),)
