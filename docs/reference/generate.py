"""Write the reference pages that follow from the code: `python docs/reference/generate.py`, or `make docs`.

A house test fails while a page differs from what this writes.
"""

from __future__ import annotations

from pathlib import Path

from hadoken.options import HandlerOptions, PoolOptions, WorkerOptions, table

HERE = Path(__file__).parent
# Options class -> heading and how it is given.
OPTIONS: dict[type[object], tuple[str, str]] = {
    HandlerOptions: ("Handlers", "Keywords of `@queue.handler(...)` and `@app.handler(queue, ...)`."),
    PoolOptions: ("Pools", "Parameters of `app.pool(...)`."),
    WorkerOptions: ("Workers", "How a worker is run."),
}


def options_page() -> str:
    """The page of all options, as Markdown."""
    parts = ["# Options\n\nDurations are seconds; a `timedelta` is taken too. An unknown option is refused at once.\n"]
    for options, (heading, how) in OPTIONS.items():
        parts.append(f"## {heading}\n{how}\n\n{table(options)}\n")
    return "\n".join(parts)


def pages() -> dict[Path, str]:
    """Every generated page: where it lies -> what it holds."""
    return {HERE / "options.md": options_page()}


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
