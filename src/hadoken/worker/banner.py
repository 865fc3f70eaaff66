"""What a worker says of itself at its start, and how it says that it has ended."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING

import hadoken
from hadoken.worker.loops import chosen
from hadoken.worker.plan import FLUSH

if TYPE_CHECKING:
    from hadoken.sqs.choose import Choice
    from hadoken.worker.plan import Plan
    from hadoken.worker.stop import Report


def budget_line(budget: Mapping[str, int]) -> str:
    """The thread budget in words: "22 = main 1 + engine 1 + ... + pool default 16"."""
    return f"{sum(budget.values())} = {' + '.join(f'{role} {count}' for role, count in budget.items())}"


def transport_line(choice: Choice, endpoint_url: str, threads: int) -> str:
    """How SQS is reached: the transport, where to, its threads, and why it is botocore."""
    if choice.name == "fast":
        return f"fast to {endpoint_url}, no threads"
    return f"botocore to {endpoint_url}, {threads} threads (queues + 2): {choice.reason}"


def tracing_line(choice: Choice | None) -> str:
    """What tracers do not see, and what brings it back; "" where they miss nothing."""
    if choice is None or choice.name != "fast" or not choice.tracers:
        return ""
    names = " and ".join(choice.tracers)
    return f'{names}: no SQS client spans, no trace context sent by the fast transport; transport="botocore" has both'


def drain_line(plan: Plan) -> str:
    """How long a stop may take, and how long polls wait."""
    drain = f"{plan.options.drain_timeout:g} s from SIGTERM, then up to {FLUSH:g} s to report"
    return f"{drain}; polls wait {plan.wait_time} s"


def runtime_line() -> str:
    """What the worker runs on: "Python 3.13.1  uvloop 0.22.1"."""
    return f"Python {platform.python_version()}  {chosen().name}"


def banner(plan: Plan, transport: str, tracing: str = "") -> str:
    """The start banner: version, queues, transport, thread budget; lines ended by a newline."""
    lines = [
        f"hadoken {hadoken.__version__}  app {plan.app.name}  pid {os.getpid()}  {runtime_line()}",
        *(f"  {'queues':<10} {line}" for line in _queue_lines(plan)),
        f"  {'transport':<10} {transport}",
        *([f"  {'tracing':<10} {tracing}"] if tracing else []),
        f"  {'threads':<10} {budget_line(plan.budget)}; this number does not change",
        f"  {'drain':<10} {drain_line(plan)}",
    ]
    return "\n".join(lines) + "\n"


def farewell(report: Report | None, exit_code: int) -> str:
    """The last line: how the worker ended."""
    if report is None:
        return f"hadoken: ended with exit code {exit_code}\n"
    if report.clean:
        return "hadoken: drained, nothing left in flight\n"
    left = [
        f"{count} {one if count == 1 else many}"
        for count, one, many in (
            (len(report.in_flight), "handler was still running", "handlers were still running"),
            (report.unsettled, "outcome not confirmed", "outcomes not confirmed"),
            (report.open_polls, "poll cut off unanswered", "polls cut off unanswered"),
        )
        if count
    ]
    return f"hadoken: drain forced: {', '.join(left)}; exit code {exit_code}\n"


def _queue_lines(plan: Plan) -> list[str]:
    lines: list[str] = []
    for pool in plan.pools:
        weighted = len(pool.handlers) > 1
        for queue, handler in pool.handlers.items():
            address = plan.app.queues[queue].address()
            mapped = "" if address == queue else f" at {address}"
            weight = f", weight {pool.weights[queue]}" if weighted else ""
            lines.append(f"{queue}{mapped} -> {handler.name} in pool {pool.name}{weight}")
    return lines
