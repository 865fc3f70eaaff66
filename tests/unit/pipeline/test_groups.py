"""Message groups: who may run, who waits, who is held."""

from __future__ import annotations

import weakref

from hadoken.pipeline.groups import Groups
from hadoken.pipeline.inflight import State, Table
from tests.unit.pipeline.making import NOW, queue, record

FIFO = queue("orders.fifo")


def joined(groups: Groups, table: Table, *names: str) -> list:
    """Receive messages named by group and number, and let them join."""
    records = [record(table, FIFO, name, group=name[0]) for name in names]
    for one in records:
        groups.join(one)
    return records


def test_only_the_first_of_a_group_may_run() -> None:
    """The head may run at once; what joins behind it waits; another group is not concerned."""
    groups, table = Groups(), Table()
    a1, a2, b1 = (record(table, FIFO, name, group=name[0]) for name in ("a1", "a2", "b1"))
    assert [groups.join(one) for one in (a1, a2, b1)] == [True, False, True]
    assert (groups.is_head(a1), groups.is_head(a2), groups.has_next(a1), groups.has_next(b1)) == (
        True,
        False,
        True,
        False,
    )
    assert len(groups) == 2


def test_the_same_group_name_in_two_queues_is_two_groups() -> None:
    """A group belongs to its queue."""
    groups, table = Groups(), Table()
    assert groups.join(record(table, FIFO, "a1", group="a"))
    assert groups.join(record(table, queue("mails.fifo"), "a2", group="a"))


def test_standard_messages_have_no_group() -> None:
    """They may always run, also those of a fair queue, which carry a group's name."""
    groups, table = Groups(), Table()
    one, two = record(table, queue(), "m1", group="tenant"), record(table, queue(), "m2", group="tenant")
    assert groups.join(one)
    assert groups.join(two)
    assert groups.is_head(two)
    assert not groups.has_next(one)
    assert groups.behind(one) == []
    assert groups.leave(one) is None
    assert len(groups) == 0


def test_the_next_is_named_when_the_head_leaves() -> None:
    """Leaving gives the new head; the last one leaves nothing."""
    groups, table = Groups(), Table()
    a1, a2 = joined(groups, table, "a1", "a2")
    assert groups.leave(a1) is a2
    assert groups.leave(a2) is None
    assert len(groups) == 0
    assert groups.leave(a2) is None


def test_one_that_leaves_from_the_middle_starts_nobody() -> None:
    """The head is still there."""
    groups, table = Groups(), Table()
    a1, a2, a3 = joined(groups, table, "a1", "a2", "a3")
    assert groups.leave(a2) is None
    assert groups.behind(a1) == [a3]


def test_what_is_behind_comes_last_first_and_waits() -> None:
    """Only those that wait: the others have an outcome of their own already."""
    groups, table = Groups(), Table()
    a1, a2, a3, a4 = joined(groups, table, "a1", "a2", "a3", "a4")
    assert groups.behind(a1) == [a4, a3, a2]
    assert groups.behind(a3) == [a4]
    table.move(a3, State.SETTLING)
    assert groups.behind(a1) == [a4, a2]
    stranger = record(table, FIFO, "a9", group="a")
    assert groups.behind(stranger) == []


def test_a_settling_or_held_new_head_is_not_started() -> None:
    """It has been started, or waits for its time."""
    groups, table = Groups(), Table()
    a1, a2, b1, b2 = joined(groups, table, "a1", "a2", "b1", "b2")
    table.move(a2, State.SETTLING)
    assert groups.leave(a1) is None
    groups.hold(b2, NOW + 5)
    assert groups.leave(b1) is None


def test_held_heads_are_due_in_time_order() -> None:
    """Each once, at its time."""
    groups, table = Groups(), Table()
    a1, b1, c1 = joined(groups, table, "a1", "b1", "c1")
    assert groups.next_try() is None
    for one, at in ((a1, 9), (b1, 3), (c1, 5)):
        groups.hold(one, NOW + at)
    assert groups.next_try() == NOW + 3
    assert groups.due(NOW + 2.9) == []
    assert groups.due(NOW + 5) == [b1, c1]
    assert b1.held_until is None
    assert groups.due(NOW + 5) == []
    assert groups.next_try() == NOW + 9


def test_a_held_one_that_leaves_is_due_no_more_and_dies() -> None:
    """Nothing here outlives the message (I8); letting go twice is harmless."""
    groups, table = Groups(), Table()
    a1, b1 = joined(groups, table, "a1", "b1")
    groups.hold(a1, NOW + 1)
    groups.hold(b1, NOW + 2)
    groups.leave(a1)
    groups.let_go(a1)
    table.remove(a1)
    ghost = weakref.ref(a1)
    del a1
    assert ghost() is None
    assert groups.due(NOW + 9) == [b1]
