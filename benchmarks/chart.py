"""The chart of the README: CPU and throughput of each contender as bars, drawn as SVG by a few lines of our own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from benchmarks.report import Results, median

WIDTH, NAMES, VALUES, LINE, BAR, PANEL = 760, 150, 90, 26, 16, 56  # pixels
OURS, OTHERS, INK, FAINT = "#d9480f", "#8c98a4", "#1f2328", "#59636e"
FONT = "font-family='system-ui, sans-serif'"


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


def draw(panels: Sequence[Panel]) -> str:
    """The chart as an SVG document."""
    top, parts = 0, []
    for panel in panels:
        parts.append(_panel(panel, top))
        top += PANEL + LINE * len(panel.bars)
    size = f"width='{WIDTH}' height='{top + 12}' viewBox='0 0 {WIDTH} {top + 12}'"
    back = f"<rect width='{WIDTH}' height='{top + 12}' fill='#ffffff'/>"
    return f"<svg xmlns='http://www.w3.org/2000/svg' {size} role='img'>\n{back}\n{''.join(parts)}</svg>\n"


def _panel(panel: Panel, top: int) -> str:
    lines = [_text(16, top + 34, panel.title, INK, "font-size='15' font-weight='600'")]
    longest = max((value for _, value in panel.bars), default=1.0)
    for at, (name, value) in enumerate(panel.bars):
        y = top + PANEL + LINE * at
        ours = name.startswith("hadoken")
        length = max(1.0, (WIDTH - NAMES - VALUES) * value / longest)
        weight = "font-size='13' font-weight='600'" if ours else "font-size='13'"
        lines.append(_text(NAMES - 8, y + 13, name, INK, f"{weight} text-anchor='end'"))
        lines.append(
            f"<rect x='{NAMES}' y='{y}' width='{length:.1f}' height='{BAR}' rx='2' fill='{OURS if ours else OTHERS}'/>"
        )
        lines.append(_text(NAMES + length + 6, y + 13, format(value, panel.form), FAINT, "font-size='12'"))
    return "\n".join([*lines, ""])


def _text(x: float, y: float, said: str, colour: str, more: str) -> str:
    return f"<text x='{x:.1f}' y='{y}' fill='{colour}' {FONT} {more}>{escape(said)}</text>"


def write(results: Results, path: Path) -> None:
    """Draw the results into a file."""
    path.write_text(draw(panels(results)), encoding="utf-8")
