"""The suite of the local SQS: each test is one line of the list of facts about SQS that hadoken relies on.

A test that takes `sqs` runs through every door that `tests.support.doors` has chosen; one that takes `ours` through
those of the local SQS, for what only a harsh profile or a look inside can show. `server` and `http` are the local SQS
in real time, by boto3 and by our own transport. `make conformance` runs all doors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.support import doors, refused, table
from tests.support.fast import Blocking, OnLoop, Spoken, settings_for
from tests.support.local_sqs import MAX_REAL_SECONDS, Server, Sqs, boto3_client
from tests.support.ours import Ours

MARKS = (
    "differs(*servers, aws, only): these oracles fail the test, or its parameters `only`; `aws` settles who is right",
    "needs_time(seconds): more than a server without a virtual clock can be waited for",
    "needs_wire: looks at HTTP itself, which the local SQS in process has not",
    "ours: needs a look inside, a setting that no other server has, or an answer that is not known of AWS",
)
# The doors that a server in real time has: a client each.
REAL_TIME = ("http", "fast", "loop")
# What a server that answers differently makes a test raise. A server that is gone raises something else.
DIFFERENCES = (AssertionError, LookupError, ValueError, ClientError, ReadTimeoutError, pytest.fail.Exception)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marks."""
    for mark in MARKS:
        config.addinivalue_line("markers", mark)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes `sqs` through the chosen doors that can show what it asks."""
    if "sqs" in metafunc.fixturenames:
        names = [name for name in doors.chosen() if can_run(metafunc.definition, name)]
        metafunc.parametrize("sqs", names or [None], indirect=True, ids=names or ["no door"])
    elif "http" in metafunc.fixturenames:
        names = [name for name in doors.chosen() if name in REAL_TIME]
        metafunc.parametrize("http", names or [None], indirect=True, ids=names or ["no door"])


def can_run(test: pytest.Item, door: str) -> bool:
    """Whether a door can show what a test asks; other servers are asked only what is on the list."""
    if door == "virtual":
        return test.get_closest_marker("needs_wire") is None
    if door in doors.OURS:
        return True
    if table.NUMBERED.match(test.name) is None or (door == doors.AWS and test.get_closest_marker("needs_wire")):
        return False
    time = test.get_closest_marker("needs_time")
    return not table.is_ours(test) and (time is None or time.args[0] <= MAX_REAL_SECONDS)


def doors_of(item: pytest.Item) -> list[str]:
    """The doors through which one collected test goes; empty if it cannot run through any that was chosen."""
    found = cast("pytest.Function", item)
    given = cast("Mapping[str, Any]", found.callspec.params if hasattr(found, "callspec") else {})
    if "sqs" in given:
        return [name for name in [given["sqs"]] if name is not None and can_run(item, name)]
    if "http" in given:
        return [name for name in [given["http"]] if name is not None]
    chosen = [name for name in doors.OURS if name in doors.chosen()]
    needed = {"http"} if "server" in found.fixturenames else {"http", "virtual"}
    return chosen if needed <= set(chosen) else []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what no chosen door can show, and expect what is marked as a difference to fail, strictly."""
    here = [item for item in items if item.path.parent == Path(__file__).parent]
    idle = [item for item in here if not doors_of(item)]
    for item in here:
        for door in doors_of(item):
            if door not in doors.OURS:
                item.add_marker("plants_leaks")  # how its connections end is not ours to check
            elif door in doors.ON_LOOP:
                item.add_marker("plants_leaks")  # the transport that all tests share sets its timer anew in any of them
            elif door == "fast":
                item.add_marker("plants_leaks")  # a shared connection that was idle for a minute is opened anew in any
            for mark in table.differences(item, door):
                item.add_marker(pytest.mark.xfail(reason=mark, strict=True, raises=DIFFERENCES))
    items[:] = [item for item in items if item not in idle]
    config.hook.pytest_deselected(items=idle)
    table.record([(item, door) for item in here for door in doors_of(item)])


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A local SQS in a child process, in real time."""
    with Server() as running:
        yield running


@pytest.fixture(scope="session")
def http(request: pytest.FixtureRequest, server: Server) -> Iterator[Sqs]:
    """That local SQS, over HTTP, by boto3 or by our own transport."""
    client = boto3_client(server.url)
    if request.param != "http":
        settings = settings_for(server.url)
        client = Spoken(Blocking(settings) if request.param == "fast" else OnLoop(settings), client)
    client.list_queues()  # opens the connection that the tests share
    sqs = Sqs(client, lambda: server.get("events")["events"])
    sqs.url = server.url
    yield sqs
    client.close()


@pytest.fixture(scope="session")
def _doors() -> Iterator[dict[str, Sqs]]:
    """All chosen doors, opened before the leak check of the first test looks."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(doors.opened(name)) for name in doors.chosen()}


@pytest.fixture
def sqs(request: pytest.FixtureRequest, _doors: dict[str, Sqs]) -> Iterator[Sqs]:
    """The SQS behind one door; ours is empty at first, others need not be."""
    found = _doors[request.param]
    if isinstance(found, Ours):
        found.reset()
    token = refused.in_full.set(found.ours)
    yield found
    refused.in_full.reset(token)


@pytest.fixture
def ours(sqs: Sqs) -> Ours:
    """The local SQS behind one of its doors, empty; a test that takes it goes through no other."""
    assert isinstance(sqs, Ours)
    return sqs
