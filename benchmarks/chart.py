"""The chart of the README: CPU and throughput of each contender as bars, drawn as SVG by a few lines of our own.

It is a card with a background of its own, light or dark as its reader's browser asks for, so that it can be read on any
page. Colours are classes of its own style sheet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from benchmarks.contender import ALL, ROOT
from benchmarks.machine import Machine
from benchmarks.report import Results, median

README = ROOT / "docs" / "img" / "how-fast.svg"
ROUNDS = 3  # of each measure at least: fewer are a first look, and not what the README shows

WIDTH, NAMES, VALUES, LINE, BAR, PANEL = 760, 166, 74, 26, 16, 56  # pixels
FOOT = 54  # pixels below the last panel, for two lines of small print
STYLE = """<style>
text { font-family: system-ui, -apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 }
.name, .ours { font-size: 13px; text-anchor: end }
.ours { font-weight: 600 }
.value, .foot { font-size: 12px; fill: #59636e }
.card { fill: #ffffff }
.bar { fill: #7d8994 }
.our-bar { fill: #d9480f }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc }
.value, .foot { fill: #9198a1 }
.card { fill: #0d1117 }
.bar { fill: #6e7681 }
.our-bar { fill: #f76707 }
}
</style>"""


@dataclass(frozen=True, slots=True)
class Panel:
    """One measure: a title and a bar for each contender, in the order in which they are drawn."""

    title: str
    bars: Sequence[tuple[str, float]]
    form: str


def panels(results: Results) -> list[Panel]:
    """What the chart shows, the best first."""
    names = [one.name for one in results.contenders if results.noop[one.name]]
    cpu = [(name, median(results.noop[name], lambda run: run.cpu_ms)) for name in names]
    speed = [(name, median(results.noop[name], lambda run: run.per_second)) for name in names]
    return [
        Panel("CPU seconds for 1,000 messages (less is better)", sorted(cpu, key=lambda bar: bar[1]), ".3f"),
        Panel("Messages a second of one process (more is better)", sorted(speed, key=lambda bar: -bar[1]), ",.0f"),
    ]


def small_print(results: Results, machine: Machine) -> list[str]:
    """What the bars are of: the work, and the machine, in a line each."""
    rounds = max((len(runs) for runs in results.noop.values()), default=0)
    middle = f"median of {rounds} rounds" if rounds > 1 else "one round"
    return [
        f"Handlers that do nothing, ten at once; bodies of 200 B of JSON; plain HTTP to a local SQS; {middle}.",
        f"{machine.date}, commit {machine.commit}, Python {machine.python}, {machine.cores} cores of {machine.cpu}.",
    ]


def draw(panels: Sequence[Panel], foot: Sequence[str]) -> str:
    """The chart as an SVG document."""
    top, parts = 0, []
    for panel in panels:
        parts += _panel(panel, top)
        top += PANEL + LINE * len(panel.bars)
    parts += [_text(16, top + 20 + 18 * at, said, "foot") for at, said in enumerate(foot)]
    height = top + FOOT
    size = f"width='{WIDTH}' height='{height}' viewBox='0 0 {WIDTH} {height}'"
    name = f"<title>{escape(', '.join(panel.title for panel in panels))}</title>"
    card = f"<rect class='card' width='{WIDTH}' height='{height}' rx='6'/>"
    body = "\n".join([name, STYLE, card, *parts])
    return f"<svg xmlns='http://www.w3.org/2000/svg' {size} role='img'>\n{body}\n</svg>\n"


def _panel(panel: Panel, top: int) -> list[str]:
    lines = [_text(16, top + 34, panel.title, "title")]
    longest = max((value for _, value in panel.bars), default=1.0)
    for at, (name, value) in enumerate(panel.bars):
        y = top + PANEL + LINE * at
        ours = name.startswith("hadoken")
        length = max(1.0, (WIDTH - NAMES - VALUES) * value / longest)
        kind = "our-bar" if ours else "bar"
        lines.append(_text(NAMES - 8, y + 13, name, "ours" if ours else "name"))
        lines.append(f"<rect class='{kind}' x='{NAMES}' y='{y}' width='{length:.1f}' height='{BAR}' rx='2'/>")
        lines.append(_text(NAMES + length + 6, y + 13, format(value, panel.form), "value"))
    return lines


def _text(x: float, y: float, said: str, kind: str) -> str:
    return f"<text class='{kind}' x='{x:.1f}' y='{y}'>{escape(said)}</text>"


def write(results: Results, machine: Machine, path: Path) -> None:
    """Draw the results into a file."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(draw(panels(results), small_print(results, machine)), encoding="utf-8")


def is_complete(results: Results) -> bool:
    """Whether the README may show these results: all contenders that have to be there, each in enough rounds."""
    ran = {one.name: len(results.noop[one.name]) for one in results.contenders}
    needed = [one.name for one in ALL if one.mandatory]
    return all(ran.get(name, 0) >= ROUNDS for name in needed)
