"""`make bench`: hadoken and its peers on the same local SQS, in turns; eight minutes with three rounds.

Each run gets a fresh queue that is full before it starts. The order of the contenders turns around from round to round,
so that none always meets the machine as another left it. What needs no repeating (latency, sending, doing
nothing) runs once. The exit code says whether all that is required was reached.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import TypeVar

from benchmarks import chart, idle, keeper, machine, report
from benchmarks.contender import ALL, ROOT, Contender
from benchmarks.latency import latency
from benchmarks.local_sqs import LocalSQS
from benchmarks.run import run
from benchmarks.sending import send
from benchmarks.stock import Stock

SLOW = 400  # messages of a run with 50 ms handlers: two seconds of ten threads
ONE_BY_ONE, IN_BATCHES = 500, 3_000  # messages sent
LATENCIES = ((10, 30), (500, 750))  # messages a second, and how many

T = TypeVar("T")


def measure(contenders: list[Contender], rounds: int) -> report.Results:
    """Run everything, saying so on standard error."""
    results = report.Results(contenders=contenders)

    def attempt(measure: str, one: Contender, work: Callable[[], T]) -> list[T]:
        """A list of one result, or of none after a failure, which the report names."""
        try:
            got = work()
        except RuntimeError as error:
            results.failures.append((one.name, measure, str(error)))
            sys.stderr.write(f"{measure}, {one.name}: FAILED: {error}\n")
            return []
        sys.stderr.write(f"{measure}, {one.name}: {got}\n")
        return [got]

    for turn in range(rounds):
        with LocalSQS() as sqs:
            stock = Stock(sqs)
            for one in contenders if turn % 2 == 0 else reversed(contenders):
                title = f"round {turn + 1}/{rounds}"
                results.noop[one.name] += attempt(
                    f"{title}, no-op", one, lambda one=one, stock=stock: run(one, stock, one.messages)
                )
                results.slow[one.name] += attempt(
                    f"{title}, 50 ms", one, lambda one=one, stock=stock: run(one, stock, SLOW, 0.05)
                )
    with LocalSQS() as sqs:
        stock = Stock(sqs)
        for one in contenders:
            results.single[one.name] += attempt(
                "send one by one", one, lambda one=one: send(one, stock, ONE_BY_ONE, many=False)
            )
            if one.batches:
                results.batched[one.name] += attempt(
                    "send in batches", one, lambda one=one: send(one, stock, IN_BATCHES, many=True)
                )
            for rate, count in LATENCIES:
                results.latency[one.name, rate] += attempt(
                    f"latency at {rate}/s",
                    one,
                    lambda one=one, rate=rate, count=count: latency(one, stock, rate, count),
                )
    results.idle = idle.watch(contenders)
    results.keeper = keeper.measure()
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", help="the name of a contender; may be repeated")
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    wanted = [one for one in ALL if asked.only is None or one.name in asked.only]
    results = measure([one for one in wanted if not one.missing], asked.rounds)
    results.missing = [(one.name, one.missing) for one in wanted if one.missing]
    where = machine.look(load)
    path = report.write(results, where)
    drawn = [path.with_suffix(".svg"), *([chart.README] if chart.is_complete(results) else [])]
    for file in drawn:
        chart.write(results, where, file)
    print(report.text(results, where))
    print(f"written to {', '.join(str(file.relative_to(ROOT)) for file in (path, path.with_suffix('.json'), *drawn))}")
    return 0 if all(each.holds for each in report.requirements(results)) else 1


if __name__ == "__main__":
    sys.exit(main())
