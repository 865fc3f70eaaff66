from __future__ import annotations

from hadoken.local.state.deadlines import Deadlines


def test_what_is_due_comes_soonest_first_and_once() -> None:
    """What is due comes soonest first and once."""
    deadlines: Deadlines[str] = Deadlines()
    for key, at in (("late", 9.0), ("b", 2.0), ("a", 2.0), ("soon", 1.0)):
        deadlines.set(key, at)
    assert deadlines.next() == 1.0
    assert deadlines.due(0.5) == []
    assert deadlines.due(2.0) == ["soon", "b", "a"]
    assert deadlines.due(2.0) == []
    assert deadlines.next() == 9.0


def test_a_key_has_only_its_latest_time() -> None:
    """A key has only its latest time."""
    deadlines: Deadlines[str] = Deadlines()
    deadlines.set("a", 1.0)
    deadlines.set("a", 5.0)
    deadlines.set("b", 2.0)
    deadlines.discard("b")
    deadlines.discard("unknown")
    assert deadlines.due(4.0) == []
    assert deadlines.next() == 5.0
    deadlines.set("a", 3.0)
    assert deadlines.due(3.0) == ["a"]
    assert deadlines.next() is None
    assert deadlines.due(9.0) == []


def test_leftovers_are_bounded() -> None:
    """Leftovers are bounded."""
    deadlines: Deadlines[int] = Deadlines()
    for number in range(10_000):
        deadlines.set(number % 10, float(number))
    assert len(deadlines) == 10
    assert deadlines.size <= 2 * 10 + 64
    for number in range(10):
        deadlines.discard(number)
    assert len(deadlines) == 0
    assert deadlines.size <= 64
