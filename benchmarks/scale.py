"""`make bench-scale`: 1 to 400 queues, 1 to 256 handler threads, bodies of 200 B to 256 KiB; one run of each."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict

from benchmarks import machine, report
from benchmarks.contender import named
from benchmarks.local_sqs import LocalSQS
from benchmarks.run import Run, run
from benchmarks.stock import Stock

QUEUES = (1, 10, 100, 400)
THREADS = (1, 10, 64, 256)
SIZES = (200, 2_048, 16_384, 65_536, 262_144)  # bytes; SQS sells each 64 KiB as a request
MESSAGES = 8_000
BYTES = 200_000_000  # of all bodies of a run, at most


def measure() -> dict[str, Run]:
    """All points, saying so on standard error; each on a server of its own."""
    found: dict[str, Run] = {}
    points = [(f"{count} queues", MESSAGES, {"queues": count}) for count in QUEUES]
    points += [(f"{count} threads", MESSAGES, {"concurrency": count}) for count in THREADS]
    points += [(f"{size} B", min(MESSAGES, BYTES // size // 10 * 10), {"size": size}) for size in SIZES]
    for title, messages, options in points:
        with LocalSQS() as sqs:
            found[title] = run(named("hadoken"), Stock(sqs), messages, **options)
        sys.stderr.write(f"{title}: {found[title]}\n")
    return found


def main() -> int:
    load = os.getloadavg()[0]
    found = measure()
    where = machine.look(load)
    text = ["# How it scales", "", where.text(), "", "No-op handlers; otherwise 1 queue, 10 threads, 200 B.", ""]
    text += ["| | CPU s / 1,000 | messages / s | requests / message | threads | PSS MiB | server: cores busy |"]
    text += ["|---|---|---|---|---|---|---|"]
    for title, one in found.items():
        rates = f"{one.cpu_ms:.3f} | {one.per_second:,.0f} | {one.requests_per_message:.3f}"
        text.append(f"| {title} | {rates} | {one.threads[-1]} | {one.pss_mib:.0f} | {one.server_share:.2f} |")
    report.save("scale", "\n".join([*text, ""]), {title: asdict(one) for title, one in found.items()}, where)
    print("\n".join(text))
    return 0


if __name__ == "__main__":
    sys.exit(main())
