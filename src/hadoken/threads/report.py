"""The table of threads as text: one line a thread, grouped by nothing, cut to what fits on a screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hadoken.threads.census import ThreadInfo


def table(threads: Sequence[ThreadInfo], *, budget: int, in_hand: Mapping[str, str]) -> str:
    """Render a census.

    Args:
        threads: from `census()`.
        budget: how many threads there should be.
        in_hand: thread name -> what it has in hand, in words.

    Returns:
        Lines ended by a newline: a heading, a header, one line a thread in the order given.
    """
    native = sum(info.ident is None for info in threads)
    verdict = "as budgeted" if len(threads) == budget else f"BUDGET {budget}"
    rows = [("TID", "NAME", "COMM", "S", "CPU s", "AT", "MESSAGE IN HAND")]
    rows += [
        (str(i.tid), i.name, i.comm, i.state, f"{i.cpu:.2f}", i.where or "-", in_hand.get(i.name, "-")) for i in threads
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    lines = [f"{len(threads)} threads ({len(threads) - native} Python, {native} native), {verdict}"]
    lines += ["  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[-1]]) for row in rows]
    return "\n".join(line.rstrip() for line in lines) + "\n"
