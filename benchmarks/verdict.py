"""A list of measured lines, each with its limit: as a table, as files, as an exit code."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from benchmarks.machine import Machine
from benchmarks.report import RESULTS


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was measured.

    Attributes:
        values: one a round; the median counts.
        limit: what the median may be at most.
    """

    what: str
    values: list[float]
    limit: float
    unit: str

    @property
    def holds(self) -> bool:
        """Whether the median keeps the limit."""
        return statistics.median(self.values) <= self.limit

    def row(self) -> str:
        """A row of the table."""
        low, high = min(self.values), max(self.values)
        spread = f" ({low:.1f} - {high:.1f})" if high > low else ""
        reached = f"{statistics.median(self.values):.1f}{spread} {self.unit}"
        return f"| {self.what} | {reached} | {self.limit:g} {self.unit} | {'holds' if self.holds else '**missed**'} |"


def publish(name: str, title: str, lines: Sequence[Line], machine: Machine) -> int:
    """Print the table, write it as `results/<date>-<commit>-<name>.md` and `.json`, and return the exit code."""
    head = [f"# {title}", "", machine.text(), "", "| median (min - max) | reached | at most | |", "|---|---|---|---|"]
    text = "\n".join([*head, *(line.row() for line in lines), ""])
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{machine.date}-{machine.commit}-{name}.md"
    path.write_text(text, encoding="utf-8")
    facts = {"machine": asdict(machine), "lines": [asdict(line) for line in lines]}
    path.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    print(text)
    return 0 if all(line.holds for line in lines) else 1
