"""What handlers that compute do to the engine, and what a shorter switch interval changes.

`python -m benchmarks.interpreter_lock`.

Sixteen threads compute, some 20 ms a message, in pure Python. Each round is a worker in a process of its own, with
Python's switch interval as it is and then shortened; the SQS runs in another process. What is compared: how late the
engine is (median and 95th percentile, from a wake or a deadline to its turn), and how many messages are done a second,
and in a second of CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import hadoken
from benchmarks import machine
from hadoken.errors import DrainTimeout
from hadoken.local.child import ChildServer
from hadoken.local.finding import connection_to
from hadoken.local.provision import provision

ROOT = Path(__file__).resolve().parents[1]
THREADS = 16
STEPS = 300_000  # of a loop: some 20 ms where nobody else computes. Not a time: waiting for the lock costs CPU too
SECONDS = 12.0  # measured; the engine's own figures are of the last ten
INTERVALS = (None, 0.002, 0.0005, 0.0001)
QUEUE = "computing"


class Round(NamedTuple):
    """What one worker did."""

    median_ms: float
    p95_ms: float
    samples: int
    rate: float
    cores: float


def worker(url: str, interval: float | None) -> None:
    """Run one round in this process and print it as JSON."""
    done = 0
    lock = threading.Lock()
    app = hadoken.App("bench")

    @app.queue(QUEUE, str).handler()
    def compute(body: str) -> None:
        nonlocal done
        found = len(body)
        for n in range(STEPS):
            found = (found * 31 + n) % 1_000_003
        with lock:
            done += 1

    running = hadoken.Worker(
        app, connection=connection_to(url), concurrency=THREADS, wait_time=1, drain_timeout=10, switch_interval=interval
    )
    try:
        with running:
            time.sleep(3.0)  # until it has its full load
            then, cpu, at = done, time.process_time(), time.perf_counter()
            time.sleep(SECONDS)
            lateness = running.snapshot().lateness
            seconds = time.perf_counter() - at
            rate, cores = (done - then) / seconds, (time.process_time() - cpu) / seconds
    except DrainTimeout as error:  # of no interest here
        sys.stderr.write(f"{error}\n")
    result = Round(lateness.median * 1_000, lateness.p95 * 1_000, lateness.samples, rate, cores)
    sys.stdout.write(json.dumps(result._asdict()) + "\n")


def measured(interval: float | None) -> Round:
    """One round, with an SQS of its own that holds more messages than can be done."""
    with ChildServer() as sqs:
        app = hadoken.App("fill")
        computing = app.queue(QUEUE, str)
        provision(app, sqs.connection)
        app.connect(sqs.connection)
        computing.send_many(["x"] * 3_000)
        command = [sys.executable, "-m", "benchmarks.interpreter_lock", "--worker", sqs.url]
        words = [] if interval is None else ["--interval", str(interval)]
        ended = subprocess.run([*command, *words], cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=120)  # noqa: S603 -- ourselves
    return Round(**json.loads(ended.stdout))


def table(rounds: dict[float | None, list[Round]]) -> str:
    """Medians and ranges over the rounds, as Markdown."""
    lines = [
        "| switch interval | engine late, median | 95th percentile | messages/s | cores | messages per CPU second |",
        "|---|---|---|---|---|---|",
    ]
    for interval, found in rounds.items():
        name = f"{sys.getswitchinterval():g} s (Python's own)" if interval is None else f"{interval:g} s"
        cells = [
            _spread([one.median_ms for one in found], "ms"),
            _spread([one.p95_ms for one in found], "ms"),
            _spread([one.rate for one in found], ""),
            f"{statistics.median(one.cores for one in found):.2f}",
            _spread([one.rate / one.cores for one in found], ""),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(values: list[float], unit: str) -> str:
    middle = statistics.median(values)
    return f"{middle:.0f} {unit}".strip() + f" ({min(values):.0f}..{max(values):.0f})"


def main() -> None:
    """Run the rounds interleaved and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worker", metavar="URL")
    parser.add_argument("--interval", type=float)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", type=Path, help="also write the table to this file")
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    if asked.worker:
        worker(asked.worker, asked.interval)
        return
    rounds: dict[float | None, list[Round]] = {interval: [] for interval in INTERVALS}
    for _ in range(asked.rounds):
        for interval, found in rounds.items():
            found.append(measured(interval))
            print(interval, found[-1], flush=True)
    said = (
        f"# The engine behind {THREADS} threads that compute\n\n{machine.look(load).text()}\n\n"
        f"{STEPS:,} steps of a loop in Python a message; {asked.rounds} rounds of {SECONDS:g} s, interleaved; "
        f"medians, ranges in brackets. Late is from a wake or a deadline to the engine's turn.\n\n{table(rounds)}\n"
    )
    print(said)
    if asked.write:
        asked.write.write_text(said)


if __name__ == "__main__":
    main()
