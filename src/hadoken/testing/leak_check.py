"""Fails a test that leaves something behind: for one test, or, where the ini file says so, for all of them.

The plugin registers `LeakCheck` where `hadoken_leak_check` is set; the fixture `nothing_left` uses `watched` alone.
"""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator
from typing import Final

import pytest

from hadoken.testing import leftovers
from hadoken.testing.waiting import wait_until

PLANTED: Final = "plants_leaks"
EVERYTHING: Final = "everything"
_call_failed = pytest.StashKey[bool]()


def watched(request: pytest.FixtureRequest, *, everything: bool) -> Generator[None]:
    """Let a test run, then fail it if it left something behind. What is just ending gets a moment.

    Fixtures of wider scope are made before this one and may keep what they have.

    Args:
        request: of the fixture that uses this.
        everything: look at messages, signal handlers and environment variables, too.
    """
    leftovers.open_for_good()
    before = _snapshot(request, everything=everything)
    yield
    if request.node.get_closest_marker(PLANTED) is not None:
        return

    def left() -> list[str]:
        return _snapshot(request, everything=everything).since(before)

    if not left():
        return
    _release_fixtures(request)
    if wait_until(lambda: not left(), float(request.config.getini("hadoken_leak_grace"))):
        return
    gc.collect()  # of what has ended meanwhile
    if left():
        found = "\n".join(f"  {line}" for line in left())
        pytest.fail(f"the test left behind:\n{found}", pytrace=False)


class LeakCheck:
    """A pytest plugin that watches every test.

    Args:
        everything: see `watched`.
    """

    def __init__(self, *, everything: bool) -> None:
        self._everything = everything

    def pytest_collection_finish(self) -> None:
        """Set aside everything that is alive before the first test.

        The collector then neither visits nor lists it: looking for live messages after each test costs 1 ms, not 50.
        """
        if self._everything:
            gc.collect()
            gc.freeze()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Remember whether the test itself failed."""
        report = yield
        if report.when == "call":
            item.stash[_call_failed] = report.failed
        return report

    @pytest.fixture(autouse=True)
    def nothing_left_behind(self, request: pytest.FixtureRequest) -> Iterator[None]:
        """Watch every test."""
        yield from watched(request, everything=self._everything)


def _snapshot(request: pytest.FixtureRequest, *, everything: bool) -> leftovers.Snapshot:
    """What is there now; after a failure without messages: the traceback in its report keeps the test's locals."""
    if not everything:
        return leftovers.Snapshot()
    found = leftovers.Snapshot.of_everything()
    if request.node.stash.get(_call_failed, False):
        found.messages = {}
    return found


def _release_fixtures(request: pytest.FixtureRequest) -> None:
    """Let go of fixture values and of garbage in cycles: pytest keeps the former until after the last teardown."""
    request.node.funcargs.clear()
    gc.collect()
