"""The in-flight table: one entry, one exit, and counts that are those of the records."""

from __future__ import annotations

import pytest

from hadoken.pipeline import inflight
from hadoken.pipeline.inflight import State, Table
from tests.unit.pipeline.making import queue, record

ORDERS = queue(max_receive_count=3)


def test_counts_follow_the_states() -> None:
    """Each record is counted in the state it is in, and nowhere once it has left."""
    table = Table()
    one, two, three = (record(table, ORDERS, name) for name in ("m1", "m2", "m3"))
    table.move(one, State.ACTIVE)
    table.move(two, State.SETTLING)
    assert (len(table), table.waiting, table.active, table.settling) == (3, 1, 1, 1)
    for each in (one, two, three):
        table.remove(each)
        assert each.state is State.GONE
    assert (len(table), table.waiting, table.active, table.settling) == (0, 0, 0, 0)
    assert (table.entered, table.left) == (3, 3)


def test_a_record_leaves_once() -> None:
    """A second removal is a bug and raises (I2)."""
    table = Table()
    one = record(table, ORDERS)
    table.remove(one)
    with pytest.raises(KeyError):
        table.remove(one)


def test_a_message_is_found_by_queue_and_id() -> None:
    """The same id in another queue is another message."""
    table = Table()
    one = record(table, ORDERS)
    assert table.holding(ORDERS, "m1") is one
    assert table.holding(queue("mails"), "m1") is None
    table.remove(one)
    assert table.holding(ORDERS, "m1") is None


def test_a_newer_record_of_an_id_is_not_forgotten_with_the_older() -> None:
    """When the older one leaves, the id still leads to the newer."""
    table = Table()
    old = record(table, ORDERS)
    new = record(table, ORDERS, receives=2)
    table.remove(old)
    assert table.holding(ORDERS, "m1") is new


def test_finished_ids_are_remembered_once_and_boundedly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking forgets; beyond the bound the oldest is forgotten."""
    monkeypatch.setattr(inflight, "REMEMBERED", 2)
    table = Table()
    for name in ("m1", "m2", "m3"):
        table.remember_finished(record(table, ORDERS, name))
    assert [table.was_finished(ORDERS, name) for name in ("m1", "m2", "m3", "m3")] == [False, True, True, False]


def test_attempts_count_receives_and_retries_in_place() -> None:
    """The last attempt is the one that reaches maxReceiveCount; without one there is no last."""
    table = Table()
    one = record(table, ORDERS, receives=2)
    assert (one.attempt, one.is_last_attempt) == (2, False)
    one.retries = 1
    assert (one.attempt, one.is_last_attempt) == (3, True)
    assert not record(table, queue("mails"), "m2", receives=99).is_last_attempt


def test_a_record_says_what_it_is() -> None:
    """In logs of bugs."""
    assert repr(record(Table(), ORDERS)) == "<Record 1 m1 of orders WAITING>"
