"""What every test has beside the leak check of pyproject.toml: children that end, hypothesis without a stopwatch."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest

from tests.support import processes
from tests.support.authority import Authority

# A run in the background of a script ignores SIGINT, and every child would inherit that; a handler it does not inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline: the machine is shared, and times are asserted only as liveness bounds. A failure prints what replays it.
hypothesis.settings.register_profile("hadoken", deadline=None, print_blob=True)
hypothesis.settings.register_profile("soak", deadline=None, max_examples=20_000, stateful_step_count=200)
hypothesis.settings.load_profile(os.environ.get("HADOKEN_HYPOTHESIS", "hadoken"))


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A private certificate authority, with certificates for servers on loopback that are right or wrong."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def start_process() -> Iterator[Callable[..., processes.Child]]:
    """Start child processes, `start_process([program, ...], env=..., cwd=...)`; all are ended after the test.

    Fails the test if a child that ended by itself left processes of its own behind.
    """
    started: list[processes.Child] = []

    def start(*args: Any, **options: Any) -> processes.Child:
        child = processes.Child(*args, **options)
        started.append(child)
        return child

    yield start
    outlived = {child.pid: found for child in started if (found := child.close())}
    assert not outlived, f"child -> processes of its own that outlived it: {outlived}"


@pytest.fixture
def start_hadoken(start_process: Callable[..., processes.Child]) -> Callable[..., processes.Child]:
    """Start `python -m hadoken` with words: `start_hadoken("run", "app:app", "--local", env=..., cwd=...)`."""

    def start(*words: str, **options: Any) -> processes.Child:
        return start_process(processes.hadoken_command(*words), **options)

    return start
