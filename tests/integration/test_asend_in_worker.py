"""`asend` in the handlers of a real worker: the thread budget that was printed at start stays what it was."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hadoken.sending.background import NAME
from tests.support.processes import Child
from tests.support.waiting import wait_until
from tests.support.worker import Bench

MESSAGES = 30

# Each handler thread runs loops of its own, and looks at the threads of the process while a message is on its way.
APP = """
import asyncio
import os
import threading
import hadoken

app = hadoken.App("forwarding")
back = app.queue("back", str)
seen = set()

async def forward(body):
    sending = [asyncio.ensure_future(back.asend(f"{body} {n}")) for n in range(3)]
    while not all(one.done() for one in sending):
        seen.add(len(os.listdir("/proc/self/task")))
        await asyncio.sleep(0)
    return [await one for one in sending]

@app.handler("there")
def handle(body: str) -> None:
    if body == "tell":
        names = sorted(thread.name for thread in threading.enumerate())
        print("most", max(seen), "names", *names, flush=True)
    else:
        asyncio.run(forward(body))

if __name__ == "__main__":
    hadoken.run(app, concurrency=3, wait_time=1, transport=os.environ["TRANSPORT"], endpoint_url=os.environ["ENDPOINT"])
"""


@pytest.mark.parametrize("transport", ["fast", "botocore"])
def test_asend_in_a_handler_starts_no_thread(
    bench: Bench, start_process: Callable[..., Child], tmp_path: Path, transport: str
) -> None:
    """Names are looked up, and botocore is called, by the worker's own resolver."""
    there, back = bench.queue(), bench.queue()
    (tmp_path / "app.py").write_text(APP, encoding="utf-8")
    environment = {
        "TRANSPORT": transport,
        "ENDPOINT": bench.url.replace("127.0.0.1", "localhost"),
        "HADOKEN_QUEUES__THERE": there,
        "HADOKEN_QUEUES__BACK": back,
    }
    worker = start_process([sys.executable, str(tmp_path / "app.py")], env=environment)
    budget = int(worker.wait_for_line(r"threads +(\d+) = ").group(1))
    bench.send_many(there, [f"message {n}" for n in range(MESSAGES)])
    assert wait_until(lambda: bench.counts(back)[0] == 3 * MESSAGES)
    bench.wait_empty(there)
    bench.send_many(there, ["tell"])
    most, names = worker.wait_for_line(r"^most (\d+) names (.*)").groups()
    assert int(most) == budget
    assert NAME not in names.split()
    assert len(worker.threads()) == budget, worker.threads()
    assert worker.terminate() == 0
