"""One local SQS for each test process, fresh queues for each test, and workers in processes of their own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.journal import Journal
from tests.support.local_sqs import Server
from tests.support.processes import ROOT, Child
from tests.support.worker import Bench

StartWorker = Callable[..., Child]

BANNER = "this number does not change"  # written when signals are heard, before queues are looked up


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A local SQS in a process of its own."""
    with Server() as server:
        yield server


@pytest.fixture
def bench(server: Server) -> Iterator[Bench]:
    """Queues on it, and its testimony from now on."""
    bench = Bench(server)
    yield bench
    bench.close()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """What handlers write down, in this process or in a worker's."""
    journal = Journal(tmp_path / "journal")
    yield journal
    journal.close()


@pytest.fixture
def open_gate(tmp_path: Path) -> Callable[[], None]:
    """Open the gate at which handlers of a worker process wait."""
    return (tmp_path / "gate").touch


@pytest.fixture
def transport(request: pytest.FixtureRequest) -> str | None:
    """The transport that a test is to run with; None leaves it to hadoken and HADOKEN_TRANSPORT."""
    named: str | None = getattr(request, "param", None)
    return named


@pytest.fixture
def start_worker(start_process: Callable[..., Child], tmp_path: Path, transport: str | None) -> StartWorker:
    """Start a worker process on some queues: `start_worker(url, queue_url, ..., run={...}, options={...})`.

    It is returned once it hears signals, so a test may stop it whatever it has done by then; unless `boots=False`.
    """

    def start(endpoint: str, *queue_urls: str, boots: bool = True, **settings: Any) -> Child:
        queues = [Bench.name(url) for url in queue_urls]
        if transport is not None:
            settings["run"] = {**settings.get("run", {}), "transport": transport}
        text = msgspec.json.encode({"url": endpoint, "queues": queues, "folder": str(tmp_path), **settings})
        command = [sys.executable, "-m", "tests.support.worker_app", text.decode()]
        worker = start_process(command, env={"PYTHONPATH": str(ROOT)})
        if boots:
            worker.wait_for_line(BANNER)
        return worker

    return start
