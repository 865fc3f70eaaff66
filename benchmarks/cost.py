"""`make bench-cost`: requests and dollars a month, by load, queues and workers; about seven minutes of short real runs.

For each point, workers run for one long poll while messages are sent at a steady rate, spread over the queues. The
server's count of their requests, without those of the sender, is projected to a month of 30 days. Prices: 0.40 dollars
a million of standard requests after the first million, which is free.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass

from benchmarks import machine, report
from benchmarks.child import Child
from benchmarks.contender import named
from benchmarks.local_sqs import LocalSQS
from benchmarks.programs.job import Job
from benchmarks.run import await_
from benchmarks.stock import Stock
from benchmarks.wire import request

RATES = (0.1, 1, 10, 100)  # messages a second, of all queues together
QUEUES = (1, 10)
WORKERS = (1, 3)
WATCHED = 20.0  # seconds; one long poll
MONTH = 30 * 86_400  # seconds
FREE, PRICE = 1_000_000, 0.40  # requests a month; dollars a million beyond them
SENDS = ("SendMessage",)


@dataclass(frozen=True, slots=True)
class Point:
    """Requests a month of all workers together, and what AWS asks for them."""

    rate: float
    queues: int
    workers: int
    requests: float
    per_message: float

    @property
    def dollars(self) -> float:
        """A month."""
        return max(0.0, self.requests - FREE) / 1e6 * PRICE


def measure(rate: float, queues: int, workers: int, seconds: float = WATCHED) -> Point:
    """Watch workers at one load."""
    contender = named("hadoken")
    with LocalSQS() as sqs, ExitStack() as stack:
        stock = Stock(sqs)
        entries = stock.originals(contender)
        made = [stock.queue() for _ in range(queues)]
        names, urls = [name for name, _ in made], [url for _, url in made]
        job = Job("work", sqs.url, names, urls, 0, transport=contender.transport)
        for _ in range(workers):
            stack.enter_context(Child(contender, job))
        await_(lambda: sqs.parked() >= queues * workers, f"only {sqs.parked()} polls wait")
        before = _counted(sqs)
        began, messages = time.monotonic(), max(1, round(rate * seconds))
        for number in range(messages):
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            sqs.wire.call(request("SendMessage", QueueUrl=urls[number % queues], **entries[number % len(entries)]))
        time.sleep(max(0.0, began + seconds - time.monotonic()))
        counted = _counted(sqs) - before
    return Point(rate, queues, workers, counted / seconds * MONTH, counted / messages)


def _counted(sqs: LocalSQS) -> int:
    return sum(count for name, count in sqs.requests().items() if name not in SENDS)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=WATCHED)
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    points = []
    for rate, queues, workers in itertools.product(RATES, QUEUES, WORKERS):
        points.append(measure(rate, queues, workers, asked.seconds))
        sys.stderr.write(f"{points[-1]}\n")
    where = machine.look(load)
    text = ["# What a month costs", "", where.text(), "", f"Real runs of {asked.seconds:g} s, projected.", ""]
    text += ["| messages / s | queues | workers | requests / message | requests a month | dollars a month |"]
    text += ["|---|---|---|---|---|---|"]
    for one in points:
        load_of = f"{one.rate:g} | {one.queues} | {one.workers}"
        text.append(f"| {load_of} | {one.per_message:.2f} | {one.requests:,.0f} | {one.dollars:,.2f} |")
    report.save("cost", "\n".join([*text, ""]), [asdict(one) | {"dollars": one.dollars} for one in points], where)
    print("\n".join(text))
    return 0


if __name__ == "__main__":
    sys.exit(main())
