"""`make bench-transport`: what the transport alone costs, and a worker whose polls all wait.

- CPU of one receive of ten, over plain HTTP and over TLS: our transport on a loop and blocking, and botocore.
- Workers whose polls wait over TLS on 1, 10 and 200 queues: threads, memory, requests, CPU from exec until all wait.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import asdict, dataclass

from benchmarks import machine, proc, report
from benchmarks.child import Child
from benchmarks.contender import ROOT, Contender, environment, named
from benchmarks.local_sqs import LocalSQS
from benchmarks.production import secured
from benchmarks.programs.job import Job, body
from benchmarks.run import await_
from benchmarks.stock import Stock

RECEIVES = 500
TRANSPORTS = ("fast", "fast, blocking", "botocore")
QUEUES = (1, 10, 200)
WATCHED = 20.0  # seconds: one long poll of each queue
PATIENCE = 60.0

Receives = dict[tuple[str, str], list[float]]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A worker whose polls wait.

    Attributes:
        first_cpu: seconds of CPU from exec until all polls wait at the server.
        requests: a second, of the server's count, while it waits.
        cpu_ms: milliseconds of CPU a second while it waits.
    """

    queues: int
    threads: int
    pss_mib: float
    first_cpu: float
    requests: float
    cpu_ms: float


def receives(rounds: int) -> Receives:
    """Microseconds of CPU per receive, by transport and by plain HTTP or TLS."""
    found: Receives = defaultdict(list)
    for _ in range(rounds):
        for clothes in ("HTTP", "TLS"):
            with ExitStack() as stack:
                sqs = stack.enter_context(LocalSQS() if clothes == "HTTP" else secured())
                for name in TRANSPORTS:
                    found[name, clothes].append(_receives(name, sqs))
    return found


def _receives(transport: str, sqs: LocalSQS) -> float:
    _, url = Stock(sqs).queue()
    sqs.fill(url, [{"MessageBody": _text(number)} for number in range(10)], (RECEIVES + 50) * 10)
    words = ["-m", "benchmarks.programs.receives", transport, sqs.url, url, str(RECEIVES), sqs.ca]
    said = subprocess.run(  # noqa: S603 -- ours
        [named("hadoken").python, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        env=environment(sqs.ca),
        cwd=ROOT,
    )
    if said.returncode:
        raise RuntimeError(f"{transport}: {said.stderr[-2000:]}")
    return float(said.stdout)


def _text(number: int) -> str:
    return str(body(number))


def waiting(contender: Contender, queues: int) -> Waiting:
    """Start a worker on empty queues over TLS and watch it for one long poll."""
    with secured() as sqs:
        stock = Stock(sqs)
        made = [stock.queue() for _ in range(queues)]
        job = Job(
            "work",
            sqs.url,
            [name for name, _ in made],
            [url for _, url in made],
            0,
            ca=sqs.ca,
            transport=contender.transport,
        )
        with Child(contender, job) as child:
            await_(lambda: sqs.parked() >= queues, f"only {sqs.parked()} of {queues} polls wait")
            first = proc.look(child.pid).cpu
            asked = sum(sqs.requests().values())
            time.sleep(WATCHED)
            look = proc.look(child.pid)
            return Waiting(
                queues,
                look.threads,
                proc.pss_bytes(child.pid) / 2**20,
                first,
                (sum(sqs.requests().values()) - asked) / WATCHED,
                (look.cpu - first) * 1000 / WATCHED,
            )


def requirements(found: Receives, waits: dict[int, Waiting]) -> list[report.Requirement]:
    one, ten, many = (waits[count] for count in QUEUES)
    return [
        report.Requirement("receive of ten, HTTP, CPU", statistics.median(found["fast", "HTTP"]), 120, "us"),
        report.Requirement("receive of ten, TLS, CPU", statistics.median(found["fast", "TLS"]), 200, "us"),
        report.Requirement("200 polls, threads more than one poll", many.threads - one.threads, 0),
        report.Requirement("200 polls, PSS more than one poll", many.pss_mib - one.pss_mib, 15, "MiB"),
        report.Requirement("200 polls, requests a second", many.requests, 10),
        report.Requirement("10 polls, PSS", ten.pss_mib, 45, "MiB"),
        report.Requirement("10 polls, CPU from exec to the polls", ten.first_cpu, 0.7, "s"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    found = receives(asked.rounds)
    waits = {count: waiting(named("hadoken"), count) for count in QUEUES}
    where, lines = machine.look(load), requirements(found, waits)
    text = [
        "# The transport alone",
        "",
        where.text(),
        "",
        "| CPU us of a receive of ten | HTTP | TLS |",
        "|---|---|---|",
    ]
    for name in TRANSPORTS:
        http, tls = (report.spread(found[name, clothes], ".0f") for clothes in ("HTTP", "TLS"))
        text.append(f"| {name} | {http} | {tls} |")
    text += ["", "| polls that wait, TLS | threads | PSS MiB | CPU s until they wait | requests / s | CPU ms / s |"]
    text.append("|---|---|---|---|---|---|")
    for one in waits.values():
        memory, waits_for = f"{one.pss_mib:.1f} | {one.first_cpu:.2f}", f"{one.requests:.2f} | {one.cpu_ms:.2f}"
        text.append(f"| {one.queues} | {one.threads} | {memory} | {waits_for} |")
    text += ["", *report.HEAD, *(line.row() for line in lines), ""]
    facts = {
        "machine": asdict(where),
        "receives": {f"{name}, {clothes}": values for (name, clothes), values in found.items()},
        "waiting": [asdict(one) for one in waits.values()],
        "requirements": [asdict(line) | {"holds": line.holds} for line in lines],
    }
    report.save("transport", "\n".join(text), facts, where)
    print("\n".join(text))
    return 0 if all(line.holds for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
