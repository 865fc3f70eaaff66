"""I8: memory held for a message ends with the message."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hadoken.clock import SYSTEM
from hadoken.message import Context
from hadoken.outcome import Kind
from hadoken.pipeline.executor import Executor, Handed
from hadoken.pipeline.inflight import Record
from hadoken.sqs.api import ReceivedMessage
from hadoken.worker.pool import Call
from hadoken.worker.receipts import Poll
from tests.property import machine
from tests.property.mutants import i8
from tests.property.mutants.mutant import Mutant


@contextmanager
def no_collector() -> Iterator[None]:
    """What dies within, dies by reference count alone."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Memory(machine.Machine):
    """Follows every record and message by weak references, without the collector."""

    def prepare(self) -> None:
        """Start with nothing alive."""
        self.records: weakref.WeakSet[Record] = weakref.WeakSet()
        self.messages: list[weakref.ref[ReceivedMessage]] = []

    def sent(self, calls: list[Call]) -> None:
        """See each record as early as a turn can show it."""
        for record in self.world.pool.table.records.values():
            if record not in self.records:
                self.records.add(record)
                self.messages.append(weakref.ref(record.message))

    def check(self) -> None:
        """What is alive is held, on the wire, or in a thread's hands; every map holds what the table holds."""
        self._check_members()
        pool = self.world.pool
        batches = [wire.call for wire in self.world.wires if not isinstance(wire.call, Poll)]
        held = set(pool.table.records.values()) | {record for call in batches for record in call.records}
        self.world.model.refused.clear()
        alive = set(self.records)
        assert alive <= held, f"outlived their messages: {alive - held}"
        self.messages = [ref for ref in self.messages if ref() is not None]
        assert len(self.messages) <= len(held) + self.world.hands.waiting + pool.concurrency

    def _check_members(self) -> None:
        pool = self.world.pool
        table = pool.table.records
        kept = [record for entry in pool.keeper._heap for record in entry.members.values()]
        assert len(kept) == pool.keeper.members == sum(not record.lost for record in table.values())
        assert max(Counter(record.ticket for record in kept).values(), default=1) == 1
        assert all(record.ticket in table for record in kept)
        assert set(pool.keeper._asked) <= set(table)
        assert all(members and set(members) <= set(table.values()) for members in pool.groups._members.values())
        assert all(record.ticket in table for _, _, record in pool.groups._held)
        assert set(pool.table._by_id.values()) == set(table.values())

    def end(self) -> None:
        """Nothing is alive."""
        super().end()
        self.world.advance(60)  # answers that nobody waits for any more still hold their calls
        self.world.model.refused.clear()
        assert not list(self.records)
        assert not any(ref() is not None for ref in self.messages)
        assert not self.world.pool.executor._withdrawn


def test_i8_memory_ends_with_the_message() -> None:
    """Records and messages die by reference count alone as soon as they are done; no map keeps what is gone."""
    with no_collector():
        machine.run(Memory)


class Bad(Exception):
    """An exception that can be watched: the built-in ones take no weak reference."""


class Failing:
    """A handler that breaks its promise not to raise."""

    name = "failing"
    seen: weakref.ref[BaseException]

    def run(self, raw: ReceivedMessage, ctx: Context, clock: object) -> object:
        """Raise with the message in its frames."""
        error = Bad(raw.body)
        self.seen = weakref.ref(error)
        raise error


def test_i8_an_exception_that_escapes_a_handler_dies_at_once() -> None:
    """Neither exception, traceback, message nor context is alive once the outcome is there."""
    failing = Failing()
    executor = Executor({"orders": failing}, 1, wake=lambda: None, ask_extend=lambda *_: None, clock=SYSTEM)  # type: ignore[dict-item] -- a bad one
    with no_collector():
        raw = ReceivedMessage("m1", "h1", "body")
        message = weakref.ref(raw)
        finished = executor._handle(Handed(1, "orders", raw, 1, False, 0.0), executor.slots[0])
        del raw
        assert finished.verdict is not None
        assert (finished.verdict.kind, finished.verdict.reason) == (Kind.RETRY, "Bad: body")
        assert failing.seen() is None
        assert message() is None
    assert executor.slots[0].running is None


@pytest.mark.parametrize("mutant", i8.MUTANTS, ids=str)
def test_i8_fails_on(mutant: Mutant) -> None:
    """The property notices what it is there for."""
    with no_collector():
        machine.falsified(Memory, mutant)
