"""`make bench-local`, second part: what the testing kit costs a test; about two seconds.

A worker starts and stops in the test's own process, so the wall clock counts as well as CPU: it is what a suite pays
for each of its tests.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import hadoken
from benchmarks import machine
from benchmarks.verdict import Line, publish
from hadoken.testing import FakeSQS, worker

ROUNDS = 50
MESSAGES = 100
LIMIT = 20  # ms, of one worker that starts and stops


def shop() -> hadoken.App:
    """An app with one queue, whose handler does nothing."""
    app = hadoken.App("shop")
    app.queue("orders", str).handler(lambda _body: None)
    return app


def start_and_stop() -> None:
    """What the fixture `worker` does for a test that sends nothing, its local SQS included."""
    with worker(shop(), sqs=FakeSQS()):
        pass


def drain() -> None:
    """The same, with messages in between."""
    app = shop()
    with worker(app, sqs=FakeSQS()) as work:
        app.queues["orders"].send_many(["x"] * MESSAGES)
        runs = work.drain()
    assert len(runs) == MESSAGES, len(runs)


def measure(what: str, limit: float, step: Callable[[], None], rounds: int) -> list[Line]:
    """Milliseconds of a step in each round: by the wall clock, and of CPU."""
    wall, cpu = Line(f"{what}, wall clock", [], limit, "ms"), Line(f"{what}, CPU", [], limit, "ms")
    step()  # the first one imports
    for _ in range(rounds):
        began, spent = time.perf_counter(), time.process_time()
        step()
        wall.values.append((time.perf_counter() - began) * 1000)
        cpu.values.append((time.process_time() - spent) * 1000)
    return [wall, cpu]


def main() -> int:
    load = os.getloadavg()[0]
    lines = measure("a worker starts and stops", LIMIT, start_and_stop, ROUNDS)
    lines += measure(f"a worker starts, handles {MESSAGES} messages, stops", 2 * LIMIT, drain, ROUNDS)
    here = replace(machine.look(load), place="in the process that is measured")
    return publish("testing-kit", "The testing kit", lines, here)


if __name__ == "__main__":
    sys.exit(main())
