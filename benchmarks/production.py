"""`make bench-production`: the same comparison in the clothes of production.

TLS with a private certificate authority, 5 ms of round trip added by a relay outside the measured process, 20 ms
handlers, one line of JSON logged for each message.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from benchmarks import machine, report
from benchmarks.contender import ALL
from benchmarks.local_sqs import LocalSQS
from benchmarks.relay import Relay
from benchmarks.run import Run, run
from benchmarks.stock import Stock
from tests.support.authority import Authority

MESSAGES, HANDLER, ROUND_TRIP = 2_000, 0.02, 0.005
COLUMNS = (
    ("CPU s / 1,000", ".3f", lambda run: run.cpu_ms),
    ("messages / s", ",.0f", lambda run: run.per_second),
    ("utilisation", ".3f", lambda run: run.utilisation),
    ("requests / message", ".3f", lambda run: run.requests_per_message),
    ("PSS MiB", ".0f", lambda run: run.pss_mib),
    ("server: cores busy", ".2f", lambda run: run.server_share),
)


@contextmanager
def secured() -> Iterator[LocalSQS]:
    """A local SQS that speaks TLS, with a certificate of an authority made for it."""
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder))
        made = authority.certificate()
        with LocalSQS(str(made.cert), str(made.key), str(authority.bundle)) as sqs:
            yield sqs


def measure(rounds: int) -> tuple[dict[str, list[Run]], list[tuple[str, str]]]:
    """All contenders that are there, in turns; and which of them failed, with the reason."""
    found: dict[str, list[Run]] = defaultdict(list)
    failed: list[tuple[str, str]] = [(one.name, one.missing) for one in ALL if one.missing]
    for _ in range(rounds):
        with secured() as sqs, Relay(sqs.url, ROUND_TRIP) as relay:
            stock = Stock(sqs, relay.url)
            for one in ALL:
                if one.missing:
                    continue
                try:
                    found[one.name].append(run(one, stock, MESSAGES, HANDLER, log=True))
                except RuntimeError as error:
                    failed.append((one.name, str(error)))
                sys.stderr.write(f"{one.name}: {found[one.name][-1:] or failed[-1]}\n")
    return found, failed


def requirements(found: dict[str, list[Run]]) -> list[report.Requirement]:
    ours = found[report.OURS]
    return [
        report.Requirement("CPU / message, of Celery's", report.ratio(ours, found["Celery"]), 1 / 5),
        report.Requirement("CPU / message, of fanferro's", report.ratio(ours, found[report.RUST]), 1),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    found, failed = measure(asked.rounds)
    where, lines = machine.look(load), requirements(found)
    head = f"TLS, {ROUND_TRIP * 1000:g} ms of round trip, {HANDLER * 1000:g} ms handlers, a line of JSON per message."
    text = [
        "# In the clothes of production",
        "",
        where.text(),
        "",
        f"{head} Median of {asked.rounds} rounds (min - max).",
        "",
    ]
    text += [f"| | {' | '.join(title for title, _, _ in COLUMNS)} |", f"|---{'|---' * len(COLUMNS)}|"]
    for name, runs in found.items():
        cells = [report.spread([of(run) for run in runs], form) for _, form, of in COLUMNS]
        text.append(f"| {name} | {' | '.join(cells)} |")
    text += [f"\n{name} was not measured: {' '.join(why.split())[:300]}" for name, why in failed]
    text += ["", *report.HEAD, *(line.row() for line in lines), ""]
    facts = {
        "machine": asdict(where),
        "runs": {name: [asdict(run) for run in runs] for name, runs in found.items()},
        "failed": failed,
        "requirements": [asdict(line) | {"holds": line.holds} for line in lines],
    }
    report.save("production", "\n".join(text), facts, where)
    print("\n".join(text))
    return 0 if all(line.holds for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
