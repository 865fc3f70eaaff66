from __future__ import annotations

from hadoken.local.faults import SOUND, Faults, Rule


def fired(faults: Faults, calls: int, operation: str = "DeleteMessage", queue: str = "q") -> list[int]:
    """Which of so many equal calls fail, counted from 1."""
    return [number for number in range(1, calls + 1) if faults.judge(operation, queue) is not SOUND]


def test_no_rules_no_faults() -> None:
    """No rules no faults."""
    faults = Faults()
    assert fired(faults, 5) == []
    assert faults.fired == 0


def test_a_rule_names_operation_queue_and_turn() -> None:
    """A rule names operation queue and turn."""
    faults = Faults([Rule(operation="DeleteMessage", queue="q", nth=2, code="X")])
    assert fired(faults, 3, operation="SendMessage") == []
    assert fired(faults, 3, queue="other") == []
    assert fired(faults, 5) == [2]
    assert faults.fired == 1


def test_a_rule_fires_so_many_times_and_then_the_next_one_does() -> None:
    """A rule fires so many times and then the next one does."""
    faults = Faults([Rule(code="X", times=2), Rule(code="Y", nth=4)])
    assert [faults.judge("DeleteMessage", "q").code for _ in range(5)] == ["X", "X", None, "Y", None]
    faults.clear()
    assert fired(faults, 3) == []


def test_chance_is_seeded() -> None:
    """Chance is seeded."""
    rules = [Rule(code="X", chance=0.5)]
    first, again, other = (fired(Faults(rules, seed=seed), 100) for seed in (1, 1, 2))
    assert first == again != other
    assert 20 < len(first) < 80


def test_a_fault_carries_what_its_rule_says() -> None:
    """A fault carries what its rule says."""
    rule = Rule(code="", applied=True, entries=(1, 3), entry_code="InternalError", delay=2.5)
    fault = Faults([rule]).judge("DeleteMessage", "q")
    assert (fault.code, fault.applied, fault.entries, fault.entry_code, fault.delay) == (
        "",
        True,
        (1, 3),
        "InternalError",
        2.5,
    )


def test_a_new_script_begins_its_chances_anew() -> None:
    """The same script set again fails the same calls, whatever was drawn before."""
    rules = [Rule(code="X", chance=0.5)]
    faults = Faults(rules, seed=7)
    first = fired(faults, 40)
    fired(faults, 13)
    faults.set(rules, seed=7)
    assert fired(faults, 40) == first
    assert 5 < len(first) < 35
