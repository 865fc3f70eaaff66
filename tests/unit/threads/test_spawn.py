"""The one place where threads are born: names, budget, last words."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from hadoken.errors import ThreadBudgetExceeded
from hadoken.testing.leftovers import os_threads
from hadoken.threads.census import census
from hadoken.threads.spawn import Threads
from tests.support.signals import TestSignal
from tests.support.waiting import GLOBAL


class Nursery:
    """Threads that wait for a gate."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.deaths: TestSignal[str] = TestSignal("deaths")
        self.begun: TestSignal[str] = TestSignal("begun")
        self.threads = Threads({"main": 1, "engine": 1, "pool default": 2}, on_death=self.deaths.emit)

    def wait(self) -> None:
        """The body of a thread: tell that it runs, wait for the gate."""
        self.begun.emit(threading.current_thread().name)
        self.gate.wait(GLOBAL)


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    """All its threads end with the test."""
    made = Nursery()
    yield made
    made.gate.set()
    assert made.threads.join(GLOBAL) == []


def test_a_thread_has_its_names_and_its_birth(nursery: Nursery) -> None:
    """Python's name, at most 15 bytes of it for the kernel, and where it was started."""
    nursery.threads.spawn("hadoken-default-1", nursery.wait, role="pool default")
    nursery.threads.spawn("hadoken-engine", nursery.wait, role="engine", kernel_name="hd-an-engine-with-a-long-name")
    nursery.begun.wait(2)
    assert [birth.name for birth in nursery.threads.alive()] == ["hadoken-default-1", "hadoken-engine"]
    assert {"hd-default-1", "hd-an-engine-wi"} <= set(os_threads().values())
    assert all(birth.site.rpartition(":")[0] == __file__ for birth in nursery.threads.alive())
    assert all(birth.thread.daemon for birth in nursery.threads.alive())
    assert nursery.threads.total == 4


@pytest.mark.parametrize("role", ["engine", "unheard of"])
def test_one_beyond_the_budget_is_refused_with_census_and_births(nursery: Nursery, role: str) -> None:
    """It is not started, and the error names every thread there is and who started it (I5)."""
    nursery.threads.spawn("hadoken-engine", nursery.wait, role="engine")
    before = len(os_threads())
    with pytest.raises(
        ThreadBudgetExceeded, match=f"one more of '{role}' than the budget of {int(role == 'engine')}"
    ) as raised:
        nursery.threads.spawn("hadoken-more", nursery.wait, role=role)
    assert raised.value.census == ("hadoken-engine",)
    assert raised.value.births[0].startswith(f"hadoken-engine: {__file__}:")
    assert len(os_threads()) == before


def test_the_place_of_one_that_ended_is_free(nursery: Nursery) -> None:
    """The budget is of threads at once."""
    nursery.threads.spawn("hadoken-engine", lambda: None, role="engine").join(GLOBAL)
    nursery.threads.spawn("hadoken-engine", nursery.wait, role="engine")
    assert len(nursery.threads.alive()) == 1


def test_last_words_are_reported_and_the_owner_told(nursery: Nursery, caplog: pytest.LogCaptureFixture) -> None:
    """An exception that leaves the body is logged with its traceback; nothing is printed by threading itself."""

    def die() -> None:
        raise SystemExit("at the end")

    nursery.threads.spawn("hadoken-engine", die, role="engine").join(GLOBAL)
    assert nursery.deaths.facts == ["hadoken-engine"]
    assert "thread hadoken-engine died" in caplog.text
    assert "SystemExit: at the end" in caplog.text


def test_join_is_bounded_and_names_who_is_left(nursery: Nursery) -> None:
    """It waits for the time given, in all, and not for the caller itself."""
    nursery.threads.spawn("hadoken-engine", nursery.wait, role="engine")
    assert [birth.name for birth in nursery.threads.join(0.01)] == ["hadoken-engine"]
    found: list[list[str]] = []
    body = lambda: found.append([birth.name for birth in nursery.threads.join(0.01)])
    nursery.threads.spawn("hadoken-default-1", body, role="pool default").join(GLOBAL)
    assert found == [["hadoken-engine", "hadoken-default-1"]]


def test_the_census_shows_it(nursery: Nursery) -> None:
    """With both names, where it waits, and its identity."""
    nursery.threads.spawn("hadoken-engine", nursery.wait, role="engine")
    nursery.begun.wait()
    (info,) = [info for info in census() if info.name == "hadoken-engine"]
    assert (info.comm, info.state in {"S", "R"}) == ("hd-engine", True)
    assert info.where.startswith("threads/test_spawn.py:")
    assert info.where.endswith("Nursery.wait")
    assert info.cpu >= 0
    assert info.ident == nursery.threads.alive()[0].thread.ident
