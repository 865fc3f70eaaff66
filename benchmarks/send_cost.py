"""What sending costs, alone: CPU per message of hadoken's two transports, fanferro and boto3, in turns.

    .cache/peers/hadoken/env/bin/python -m benchmarks.send_cost [--rounds N] [--write FILE]

Each contender is a process of its own that sends JSON bodies of 200 B to the local SQS, one by one, then in batches of
ten; its CPU is read from outside, from the first call until the server has all messages. `make peers` makes what it
needs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from pathlib import Path

from benchmarks import machine
from benchmarks.contender import named
from benchmarks.local_sqs import LocalSQS
from benchmarks.sending import send
from benchmarks.stock import Stock

CONTENDERS = ("hadoken", "hadoken, botocore", "fanferro", "boto3 loop")
MESSAGES = {False: 1_000, True: 5_000}  # by whether they go in batches

Costs = dict[tuple[str, bool], list[float]]


def measured(rounds: int) -> Costs:
    """Microseconds of CPU per message, of each round, by contender and by whether it sent in batches."""
    costs: Costs = {(name, many): [] for name in CONTENDERS for many in MESSAGES}
    with LocalSQS() as sqs:
        stock = Stock(sqs)
        for turn in range(rounds):
            for name in CONTENDERS if turn % 2 == 0 else reversed(CONTENDERS):
                for many, messages in MESSAGES.items():
                    costs[name, many].append(send(named(name), stock, messages, many=many).cpu_ms * 1000)
                    sys.stderr.write(f"{name}, in batches: {many}: {costs[name, many][-1]:.1f} us\n")
    return costs


def table(costs: Costs) -> str:
    """Medians and ranges over the rounds, as Markdown."""
    lines = ["| | one by one, us of CPU | in batches of ten |", "|---|---|---|"]
    lines += [f"| {name} | {_spread(costs[name, False])} | {_spread(costs[name, True])} |" for name in CONTENDERS]
    return "\n".join(lines)


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f}..{max(values):.1f})"


def main() -> None:
    """Run the rounds and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", type=Path, help="also write the table to this file")
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    costs = measured(asked.rounds)
    said = (
        f"# What sending costs\n\n{machine.look(load).text()}\n\n"
        f"CPU of the sending process per message, in microseconds; {asked.rounds} rounds in turns; medians, ranges in "
        f"brackets.\n\n{table(costs)}\n"
    )
    print(said)
    if asked.write:
        asked.write.write_text(said)


if __name__ == "__main__":
    main()
