"""`make bench`: hadoken and a plain boto3 consumer on the same local SQS, in turns; about two minutes.

Each run gets a fresh queue that is full before it starts. The order of the two alternates from round to round, so that
neither always meets the machine as the other left it. The exit code says whether all that is required was reached.
"""

from __future__ import annotations

import os
import sys

from benchmarks import keeper, machine, report
from benchmarks.local_sqs import LocalSQS
from benchmarks.run import PROGRAMS, run

ROUNDS = 7
# Name -> messages of a run, seconds that each handler sleeps.
WORKLOADS = {"no-op": (6_000, 0.0), "50 ms": (1_000, 0.05)}


def measure(sqs: LocalSQS) -> report.Runs:
    """Run everything, saying so on standard error."""
    runs: report.Runs = {workload: {program: [] for program in PROGRAMS} for workload in WORKLOADS}
    for turn in range(ROUNDS):
        order = list(PROGRAMS) if turn % 2 == 0 else list(reversed(PROGRAMS))
        for workload, (messages, seconds) in WORKLOADS.items():
            for program in order:
                queue = f"round-{turn}-{workload}-{program}".replace(" ", "-")
                one = run(program, sqs, queue, messages, seconds)
                runs[workload][program].append(one)
                sys.stderr.write(
                    f"round {turn + 1}/{ROUNDS}, {workload}, {program}: {one.cpu_ms:.3f} s of CPU / 1,000 messages, "
                    f"{one.requests_per_message:.4f} requests / message\n"
                )
    return runs


def main() -> int:
    load = os.getloadavg()[0]
    with LocalSQS() as sqs:
        runs = measure(sqs)
    cost = keeper.measure()
    where = machine.look(load)
    path = report.write(runs, cost, where)
    print(report.text(runs, cost, where))
    print(f"written to {path.relative_to(path.parents[2])} and .json")
    return 0 if all(each.holds for each in report.requirements(runs, cost)) else 1


if __name__ == "__main__":
    sys.exit(main())
