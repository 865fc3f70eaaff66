"""From runs to a verdict: medians with their range, each requirement with what was measured, as text and as files."""

from __future__ import annotations

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.contender import Contender
from benchmarks.idle import Idle
from benchmarks.keeper import KeeperCost
from benchmarks.latency import Latency
from benchmarks.machine import Machine
from benchmarks.run import Run
from benchmarks.sending import Sent

RESULTS = Path(__file__).with_name("results")
OURS, LOOP, RUST = "hadoken", "boto3 loop", "fanferro"
# Frameworks in Python that run handlers side by side by themselves; sqs-workers is not one: its ten threads are ours.
PURE_PYTHON = ("Celery", "dramatiq", "taskiq", "django-tasks-sqs")
UTILISATION = 0.95


def _lists() -> defaultdict[Any, list[Any]]:
    return defaultdict(list)


@dataclass(slots=True)
class Results:
    """What a benchmark found, by the name of the contender; a contender that failed at something has no entry there.

    Attributes:
        missing: contenders that could not be installed, with the reason.
        failures: contender, measure, reason.
    """

    contenders: list[Contender]
    noop: dict[str, list[Run]] = field(default_factory=_lists)
    slow: dict[str, list[Run]] = field(default_factory=_lists)
    single: dict[str, list[Sent]] = field(default_factory=_lists)
    batched: dict[str, list[Sent]] = field(default_factory=_lists)
    latency: dict[tuple[str, int], list[Latency]] = field(default_factory=_lists)
    idle: dict[str, Idle] = field(default_factory=dict)
    keeper: KeeperCost | None = None
    missing: list[tuple[str, str]] = field(default_factory=list)
    failures: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One line of the verdict.

    Attributes:
        value: what was measured; not a number when it was not, which does not hold.
        limit: the most it may be, or the least where `least`.
    """

    what: str
    value: float
    limit: float
    unit: str = ""
    least: bool = False

    @property
    def holds(self) -> bool:
        """Whether it was reached."""
        return self.value >= self.limit if self.least else self.value <= self.limit

    def row(self) -> str:
        """A row of the table of requirements."""
        sign, verdict = ">=" if self.least else "<=", "reached" if self.holds else "**missed**"
        value = f"{self.value:.3g} {self.unit}"
        if math.isnan(self.value):
            value, verdict = "not measured", "-"
        return f"| {self.what} | {sign} {self.limit:.3g} {self.unit} | {value} | {verdict} |".replace("  ", " ")


HEAD = ("| figure | required | measured | |", "|---|---|---|---|")


def median(runs: Iterable[Any], of: Callable[[Any], float]) -> float:
    """The median of one number over runs; not a number without runs."""
    values = [of(run) for run in runs]
    return statistics.median(values) if values else math.nan


def ratio(ours: Sequence[Any], theirs: Sequence[Any]) -> float:
    """Our CPU over theirs: the median over rounds, since what else the machine does falls on both of a round."""
    return median(zip(ours, theirs, strict=False), lambda pair: pair[0].cpu_ms / pair[1].cpu_ms)


def requirements(results: Results) -> list[Requirement]:
    """What hadoken promises about its cost, and whether these runs kept it."""
    noop, slow = results.noop[OURS], results.slow[OURS]
    others = [ratio(noop, results.noop[name]) for name in PURE_PYTHON if results.noop[name]]
    threads = [run for run in (*noop, *slow) if run.threads != [run.budget]]
    latencies = results.latency[OURS, 10]
    held = results.keeper
    return [
        Requirement("CPU / message, of fanferro's", ratio(noop, results.noop[RUST]), 0.8),
        Requirement("CPU / message, of the boto3 loop's", ratio(noop, results.noop[LOOP]), 1 / 3),
        Requirement("CPU / message, of the best pure-Python framework's", max(others, default=math.nan), 1 / 12),
        Requirement("requests / message, no-op", median(noop, lambda run: run.requests_per_message), 0.21),
        Requirement("requests / message, 50 ms", median(slow, lambda run: run.requests_per_message), 0.25),
        Requirement("utilisation, 50 ms", median(slow, lambda run: run.utilisation), UTILISATION, least=True),
        Requirement("runs with other threads than the budget", len(threads) if noop else math.nan, 0),
        Requirement(
            "CPU / message sent in batches, of fanferro's", ratio(results.batched[OURS], results.batched[RUST]), 1.5
        ),
        Requirement("send to start, p50 at 10 / s", median(latencies, lambda one: one.p50), 3, "ms"),
        Requirement("keeper, CPU / message held", max(held.held, held.extended) if held else math.nan, 5, "us"),
    ]


def text(results: Results, machine: Machine) -> str:
    """The whole report as Markdown."""
    rounds = max((len(runs) for runs in results.noop.values()), default=0)
    lines = [
        "# Consumers of SQS on the same queue",
        "",
        f"{machine.text()} Concurrency 10, bodies of 200 B of JSON.",
        "",
    ]
    lines += [f"Full queue, handlers that do nothing: median of {rounds} rounds (min - max).", ""]
    lines += _table(results, LOADED)
    lines += ["", f"Handlers of 50 ms, sending, waiting, doing nothing. {NOTE}", "", *_table(results, REST)]
    lines += ["", "| contender | versions |", "|---|---|"]
    for one in results.contenders:
        versions = ", ".join(f"{name} {version}" for name, version in one.versions().items())
        lines.append(f"| {one.name} | {versions} |")
    if results.missing or results.failures:
        lines += ["", "| not measured | what | why |", "|---|---|---|"]
        lines += [f"| {name} | everything | {_cell(why)} |" for name, why in results.missing]
        lines += [f"| {name} | {what} | {_cell(why)} |" for name, what, why in results.failures]
    return "\n".join([*lines, "", *HEAD, *(each.row() for each in requirements(results)), ""])


NOTE = "Latency is from before the send until the handler starts, in milliseconds, p50 and p99."


def _cell(said: str) -> str:
    """A text as a cell of a table."""
    return " ".join(said.split()).replace("|", "\\|")[:300]


def spread(values: Sequence[float], form: str) -> str:
    """The median, and the range if there is one."""
    if not values:
        return "-"
    low, high = format(min(values), form), format(max(values), form)
    middle = format(statistics.median(values), form)
    return f"{middle} ({low} - {high})" if high != low else middle


def _of(runs: Sequence[Any], form: str, of: Callable[[Any], float]) -> str:
    return spread([of(run) for run in runs], form)


def _threads(results: Results, name: str) -> str:
    peak = max((run.threads[-1] for run in (*results.noop[name], *results.slow[name])), default=0)
    return f"{results.idle[name].threads} to {peak}" if name in results.idle else f"{peak}"


def _latency(results: Results, name: str, rate: int) -> str:
    found = results.latency[name, rate]
    return f"{found[0].p50:.1f}, {found[0].p99:.1f}" if found else "-"


Columns = Sequence[tuple[str, Callable[[Results, str], str]]]
LOADED: Columns = (
    ("CPU s / 1,000", lambda r, n: _of(r.noop[n], ".3f", lambda run: run.cpu_ms)),
    ("messages / s", lambda r, n: _of(r.noop[n], ",.0f", lambda run: run.per_second)),
    ("requests / message", lambda r, n: _of(r.noop[n], ".3f", lambda run: run.requests_per_message)),
    ("threads idle to peak", _threads),
    ("RSS MiB", lambda r, n: _of(r.noop[n], ".0f", lambda run: run.rss_mib)),
    ("PSS MiB", lambda r, n: _of(r.noop[n], ".0f", lambda run: run.pss_mib)),
    ("CPU s to the first message", lambda r, n: _of(r.noop[n], ".2f", lambda run: run.start_cpu)),
    ("server: CPU s / 1,000", lambda r, n: _of(r.noop[n], ".3f", lambda run: run.server_ms)),
    ("server: cores busy", lambda r, n: _of(r.noop[n], ".2f", lambda run: run.server_share)),
)
REST: Columns = (
    ("utilisation, 50 ms", lambda r, n: _of(r.slow[n], ".3f", lambda run: run.utilisation)),
    ("idle: requests / hour", lambda r, n: f"{r.idle[n].requests_an_hour:,.0f}" if n in r.idle else "-"),
    ("idle: CPU ms / s", lambda r, n: f"{r.idle[n].cpu_ms:.2f}" if n in r.idle else "-"),
    ("send: CPU s / 1,000, one by one", lambda r, n: _of(r.single[n], ".3f", lambda one: one.cpu_ms)),
    ("in batches", lambda r, n: _of(r.batched[n], ".4f", lambda one: one.cpu_ms)),
    ("latency at 10 / s", lambda r, n: _latency(r, n, 10)),
    ("at 500 / s", lambda r, n: _latency(r, n, 500)),
)


def _table(results: Results, columns: Columns) -> list[str]:
    lines = [f"| | {' | '.join(title for title, _ in columns)} |", f"|---{'|---' * len(columns)}|"]
    for one in results.contenders:
        cells = [show(results, one.name) for _, show in columns]
        lines.append(f"| {one.name} | {' | '.join(cells)} |")
    return lines


def write(results: Results, machine: Machine) -> Path:
    """Write the report and all its numbers as `results/<date>-<commit>-consumers.{md,json}`; returns the first."""
    facts = {
        "machine": asdict(machine),
        "contenders": {one.name: one.versions() for one in results.contenders},
        "missing": results.missing,
        "failures": results.failures,
        "requirements": [asdict(each) | {"holds": each.holds} for each in requirements(results)],
        "no-op": {name: [asdict(run) for run in runs] for name, runs in results.noop.items()},
        "50 ms": {name: [asdict(run) for run in runs] for name, runs in results.slow.items()},
        "send one by one": {name: [asdict(one) for one in each] for name, each in results.single.items()},
        "send in batches": {name: [asdict(one) for one in each] for name, each in results.batched.items()},
        "latency": {f"{name} at {rate}/s": [asdict(o) for o in each] for (name, rate), each in results.latency.items()},
        "idle": {name: asdict(one) for name, one in results.idle.items()},
        "keeper": asdict(results.keeper) if results.keeper else None,
    }
    return save("consumers", text(results, machine), facts, machine)


def save(name: str, text: str, facts: object, machine: Machine) -> Path:
    """Write a report as `results/<date>-<commit>-<name>.md` and its numbers beside it as `.json`; returns the first."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{machine.date}-{machine.commit}-{name}.md"
    path.write_text(text, encoding="utf-8")
    path.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return path
