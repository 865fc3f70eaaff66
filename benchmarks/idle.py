"""Workers with nothing to do: requests, CPU and threads of twenty seconds, of all contenders at the same time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks import proc
from benchmarks.child import Child
from benchmarks.contender import Contender
from benchmarks.local_sqs import LocalSQS
from benchmarks.programs.job import Job
from benchmarks.run import await_
from benchmarks.stock import Stock

WATCHED = 20.0  # seconds; the longest poll that SQS allows, so that each poll is counted once
SETTLING = 1.0  # seconds after the first poll waits


@dataclass(frozen=True, slots=True)
class Idle:
    """What doing nothing costs.

    Attributes:
        requests_an_hour: by the server's count over `WATCHED`.
        cpu_ms: milliseconds of CPU a second.
        threads: at the end.
        pss_mib: proportional memory; other Python processes run meanwhile, so it is lower than a lone worker's.
    """

    requests_an_hour: float
    cpu_ms: float
    threads: int
    pss_mib: float


def watch(contenders: Sequence[Contender], seconds: float = WATCHED) -> dict[str, Idle]:
    """Start all of them, each with a server of its own, and look at each before and after. CPU is counted, not time."""
    with ExitStack() as stack:
        running: list[tuple[Contender, LocalSQS, Child]] = []
        for contender in contenders:
            sqs = stack.enter_context(LocalSQS())
            name, url = Stock(sqs).queue()
            job = Job("work", sqs.url, [name], [url], 0, transport=contender.transport)
            child = stack.enter_context(Child(contender, job))
            await_(lambda sqs=sqs: sqs.parked() > 0, f"{contender.name} did not poll")
            running.append((contender, sqs, child))
        time.sleep(SETTLING)
        before = [(sum(sqs.requests().values()), proc.look(child.pid).cpu) for _, sqs, child in running]
        time.sleep(seconds)
        return {
            contender.name: _idle(sqs, child, asked, cpu, seconds)
            for (contender, sqs, child), (asked, cpu) in zip(running, before, strict=True)
        }


def _idle(sqs: LocalSQS, child: Child, asked: int, cpu: float, seconds: float) -> Idle:
    look = proc.look(child.pid)
    return Idle(
        requests_an_hour=(sum(sqs.requests().values()) - asked) * 3600 / seconds,
        cpu_ms=(look.cpu - cpu) * 1000 / seconds,
        threads=look.threads,
        pss_mib=sum(map(proc.pss_bytes, proc.tree(child.pid))) / 2**20,
    )
