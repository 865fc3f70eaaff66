"""A real worker on each loop: uvloop's four resolver threads stay away, whatever names are looked up."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from hadoken.testing import leftovers
from tests.support.processes import Child
from tests.support.waiting import wait_until
from tests.support.worker import Bench

StartWorker = Callable[..., Child]


def by_name(url: str) -> str:
    """The same endpoint by a name that must be looked up."""
    return url.replace("127.0.0.1", "localhost")


@pytest.mark.parametrize("transport", ["botocore"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_names_are_resolved_without_a_thread_beyond_the_budget(
    bench: Bench, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch, loop: str, transport: str
) -> None:
    """After lookups, polls, deletes and a stop the kernel counts the threads of the banner, and knows each by name."""
    monkeypatch.setenv("HADOKEN_LOOP", loop)
    url = bench.queue({"VisibilityTimeout": 30})
    run = {"concurrency": 2, "wait_time": 1, "transport": transport}
    worker = start_worker(by_name(bench.url), url, run=run, journal=False)
    worker.wait_for_line(rf"Python [\d.]+  {loop}")
    budget = int(worker.wait_for_line(r"threads +(\d+) = ").group(1))
    polls = bench.requests("ReceiveMessage")
    bench.send_many(url, [f"ok:{n}" for n in range(20)])
    bench.wait_empty(url)
    assert wait_until(lambda: bench.requests("ReceiveMessage") >= polls + 3)
    found = leftovers.os_threads(worker.pid)
    assert len(found) == budget, found
    strangers = [name for name in found.values() if not re.match(r"hd-|python|pytest", name)]
    assert not strangers
    assert not maps_of(worker.pid) if loop == "asyncio" else maps_of(worker.pid)
    assert worker.terminate() == 0


def maps_of(pid: int) -> bool:
    """Whether uvloop is loaded in a process."""
    return "uvloop" in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
