"""From runs to a verdict: medians with their range, each requirement with what was measured, as text and as files."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.keeper import KeeperCost
from benchmarks.machine import Machine
from benchmarks.run import Run

RESULTS = Path(__file__).with_name("results")

Runs = dict[str, dict[str, list[Run]]]  # workload -> program -> one run a round


@dataclass(frozen=True, slots=True)
class Requirement:
    """One line of the verdict; `reached` and `limit` as shown."""

    what: str
    reached: str
    limit: str
    holds: bool


ROWS: Sequence[tuple[str, str, Callable[[Run], float]]] = (
    ("CPU s / 1,000 messages", ".3f", lambda run: run.cpu_ms),
    ("messages / s", ".0f", lambda run: run.per_second),
    ("requests / message", ".4f", lambda run: run.requests_per_message),
    ("utilisation", ".3f", lambda run: run.utilisation),
    ("threads, least", ".0f", lambda run: run.threads[0]),
    ("threads, most", ".0f", lambda run: run.threads[-1]),
    ("RSS MiB", ".1f", lambda run: run.rss_mib),
    ("CPU s, whole life", ".2f", lambda run: run.life_cpu),
    ("server CPU s / 1,000", ".3f", lambda run: run.server_ms),
)


def median(runs: Iterable[Run], of: Callable[[Run], float]) -> float:
    """The median of one number over runs."""
    return statistics.median(of(run) for run in runs)


def requirements(runs: Runs, keeper: KeeperCost) -> list[Requirement]:
    """What hadoken promises about its cost, and whether these runs kept it."""
    noop, slow = runs["no-op"]["hadoken"], runs["50 ms"]["hadoken"]
    requests = [median(each, lambda run: run.requests_per_message) for each in (noop, slow)]
    utilisation = median(slow, lambda run: run.utilisation)
    # Round by round, since what else the machine does falls on both runs of a round.
    cpu = statistics.median(a.cpu_ms / b.cpu_ms for a, b in zip(noop, runs["no-op"]["plain boto3"], strict=True))
    own = [*noop, *slow]
    looks = sum(run.samples for run in own)
    seen = sorted({count for run in own for count in run.threads})
    flat = all(run.threads == [run.budget] for run in own)
    most = max(keeper.held, keeper.extended)
    return [
        Requirement("requests / message, no-op", f"{requests[0]:.4f}", "<= 0.22", requests[0] <= 0.22),
        Requirement("requests / message, 50 ms", f"{requests[1]:.4f}", "<= 0.25", requests[1] <= 0.25),
        Requirement("thread utilisation, 50 ms", f"{utilisation:.3f}", ">= 0.95", utilisation >= 0.95),
        Requirement("CPU / plain boto3's CPU of the round, no-op", f"{cpu:.2f}", "<= 1.10", cpu <= 1.10),
        Requirement(f"threads, {looks} samples", " ".join(map(str, seen)), f"= budget, {own[0].budget}", flat),
        Requirement("keeper, CPU us / message held", f"{most:.2f}", "<= 5", most <= 5),
    ]


def text(runs: Runs, keeper: KeeperCost, machine: Machine) -> str:
    """The whole report as Markdown."""
    lines = ["# hadoken and a plain boto3 consumer on the same queue", "", f"{machine.text()} Concurrency 10.", ""]
    lines += ["| required | reached | limit | |", "|---|---|---|---|"]
    lines += [
        f"| {each.what} | {each.reached} | {each.limit} | {'holds' if each.holds else '**missed**'} |"
        for each in requirements(runs, keeper)
    ]
    for workload, programs in runs.items():
        lines += ["", *_table(workload, programs)]
    lines += [
        "",
        f"Keeper: {keeper.held:.2f} us of CPU for a message, {keeper.extended:.2f} us with an extension.",
        "",
    ]
    return "\n".join(lines)


def _table(workload: str, programs: dict[str, list[Run]]) -> list[str]:
    rounds = next(f"{len(runs)} rounds of {runs[0].messages:,} messages" for runs in programs.values())
    lines = [f"## {workload} handlers, {rounds}: median (min - max)", ""]
    lines += [f"| | {' | '.join(programs)} |", f"|---{'|---' * len(programs)}|"]
    for name, form, of in ROWS:
        if name == "utilisation" and workload == "no-op":
            continue  # the time of a handler that does nothing is the clock's own
        cells = [_cell([of(run) for run in runs], form) for runs in programs.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    requests = [", ".join(f"{name} {count}" for name, count in runs[-1].requests.items()) for runs in programs.values()]
    return [*lines, f"| requests of the last round | {' | '.join(requests)} |"]


def _cell(values: list[float], form: str) -> str:
    low, high = min(values), max(values)
    middle = format(statistics.median(values), form)
    return f"{middle} ({low:{form}} - {high:{form}})" if high > low else middle


def write(runs: Runs, keeper: KeeperCost, machine: Machine) -> Path:
    """Write the report and all its numbers as `results/<date>-<commit>-consumers.{md,json}`; returns the first."""
    RESULTS.mkdir(exist_ok=True)
    facts = {
        "machine": asdict(machine),
        "requirements": [asdict(each) for each in requirements(runs, keeper)],
        "runs": {w: {p: [asdict(run) for run in each] for p, each in programs.items()} for w, programs in runs.items()},
        "keeper": asdict(keeper),
    }
    path = RESULTS / f"{machine.date}-{machine.commit}-consumers.md"
    path.write_text(text(runs, keeper, machine), encoding="utf-8")
    path.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return path
