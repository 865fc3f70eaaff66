"""The fixture that fails a test which leaves something behind.

A plugin: `tests/conftest.py` takes it in for all tests, and `tests/house/test_leak_check.py` runs it on planted leaks.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from tests.support import leftovers
from tests.support.waiting import GRACE, wait_until

PLANTED = "plants_leaks"
_call_failed = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the check's own tests wait less: every leak they plant costs the whole grace."""
    parser.addini("leak_grace", "seconds for what is just ending after a test", default=str(GRACE))


def pytest_configure(config: pytest.Config) -> None:
    """Note where threads and loops come from, before any test module is imported."""
    config.addinivalue_line("markers", f"{PLANTED}: the test leaves something behind on purpose")
    config.add_cleanup(leftovers.remember_births())


def pytest_collection_finish() -> None:
    """Set aside everything that is alive before the first test.

    The collector then neither visits nor lists it: looking for live messages after each test costs 1 ms, not 50.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Remember whether the test itself failed."""
    report = yield
    if report.when == "call":
        item.stash[_call_failed] = report.failed
    return report


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test that leaves a thread, task, timer, descriptor, child, message, signal handler or variable behind.

    Fixtures of wider scope are made before this one and may keep what they have. What is just ending gets a moment.
    """
    before = leftovers.Snapshot()
    yield
    if request.node.get_closest_marker(PLANTED) is not None:
        return
    if not left(request, before):
        return
    release_fixtures(request)
    if not wait_until(lambda: not left(request, before), float(request.config.getini("leak_grace"))):
        found = "\n".join(f"  {line}" for line in left(request, before))
        pytest.fail(f"the test left behind:\n{found}", pytrace=False)


def left(request: pytest.FixtureRequest, before: leftovers.Snapshot) -> list[str]:
    """What is there now and was not before the test."""
    after = leftovers.Snapshot()
    if request.node.stash.get(_call_failed, False):
        after.messages = {}  # the traceback in the report of the failure keeps the locals of the test alive
    return after.since(before)


def release_fixtures(request: pytest.FixtureRequest) -> None:
    """Let go of fixture values and of garbage in cycles: pytest keeps the former until after the last teardown."""
    request.node.funcargs.clear()
    gc.collect()
