"""Handlers that compute in Python: no lease is lost behind the interpreter lock, and the worker says what is wrong."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable

import pytest

from tests.support.processes import Child
from tests.support.waiting import wait_until
from tests.support.worker import Bench

StartWorker = Callable[..., Child]

THREADS = 16
VISIBILITY = 12  # seconds
LONG = 12  # messages that compute for longer than that: 1.1 s of CPU each, on a sixteenth of a core
LONG_MS = 1_100
SHORT = 400  # messages on the other threads, whose outcomes wake the engine all the while
SHORT_MS = 40
PATIENCE = 50.0  # seconds; a liveness bound, over twice what two idle cores need


@pytest.mark.soak
@pytest.mark.skipif(os.environ.get("HADOKEN_SOAK") != "1", reason="20 s of a whole core; set HADOKEN_SOAK=1")
@pytest.mark.timeout(2 * PATIENCE)
@pytest.mark.parametrize("interval", [None, 0.0005], ids=["as it is", "shortened"])
def test_computing_handlers_lose_no_lease(bench: Bench, start_worker: StartWorker, interval: float | None) -> None:
    """Sixteen threads compute for longer than the visibility timeout: each message is received once, and it is told."""
    url = bench.queue({"VisibilityTimeout": VISIBILITY})
    long = bench.send_many(url, [f"compute:{LONG_MS}:{n}" for n in range(LONG)])
    bench.send_many(url, [f"compute:{SHORT_MS}:{n}" for n in range(SHORT)])
    run = {"concurrency": THREADS, "wait_time": 1, "switch_interval": interval}
    worker = start_worker(bench.url, url, run=run, journal=False)

    def over() -> bool:
        worker.read()
        done = {event["id"] for event in bench.events(url) if event["what"] == "deleted"}
        return set(long) <= done

    assert wait_until(over, PATIENCE)
    if interval is None:
        told = worker.wait_for_line(r"WARNING hadoken.engine Python's interpreter lock \(GIL\) is the bottleneck: .*")
        assert "switch_interval=0.0005" in told.group()
        assert sum("interpreter lock" in line for line in worker.lines) == 1
    else:
        worker.wait_for_line(r"switch interval is 0.0005 s while the worker runs, instead of 0.005")
    happened = bench.events(url)
    assert not [event for event in happened if event["what"] == "expired"]
    received = Counter(event["id"] for event in happened if event["what"] == "received")
    assert set(received.values()) == {1}
    times = {(event["what"], event["id"]): event["at"] for event in happened}
    held = [times["deleted", one] - times["received", one] for one in long]
    assert min(held) > VISIBILITY, "each was held for longer than its first lease"
    assert not [line for line in worker.lines if "lease of message" in line]
    worker.terminate()
