"""The books notice each difference by itself, and the report fits a terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hadoken.demo import report
from hadoken.demo.books import Line, Outcome, Rows, balance, shown
from hadoken.demo.plant import Expected
from hadoken.demo.usage import Threads
from hadoken.demo.walk import Walk
from hadoken.worker.snapshot import PoolSnapshot, Snapshot

NOTHING = {"lost": 0, "overrun": 0, "again": 0}


def snapshot(*, in_flight: int = 0, **counts: int) -> Snapshot:
    """A worker's end, with these counts on `files`."""
    usual = {"acked": 2, "retried": 2, "extended": 1, "dead_lettered": 1, **NOTHING}
    other = {"acked": 1, "retried": 0, "extended": 0, "dead_lettered": 0, **NOTHING}
    pool = PoolSnapshot(
        in_flight=in_flight,
        active=0,
        waiting=0,
        settling=0,
        leases=0,
        open_polls=0,
        groups=0,
        counts={"files": usual | counts, "summaries.fifo": other},
    )
    return Snapshot(state="stopped", requests={}, pools={"default": pool})


def threads(**numbers: int) -> Threads:
    """Threads as they should have been, but for what is given."""
    sampled = Threads()
    usual = {"before": 1, "start": 9, "peak": 9, "lowest": 9, "last": 9, "after": 1}
    for name, number in {**usual, **numbers}.items():
        setattr(sampled, name, number)
    return sampled


def outcome() -> Outcome:
    """A small run whose books balance."""
    defined = {"a.py": [("class", "A", 1)], "slow.py": []}
    seen = Walk(defined=dict(defined), broken=["prose.py"])
    rows = Rows(dict(defined), frozenset({"prose.py"}), frozenset(), seen.digests(), {"class": 1})
    return Outcome(
        sent={"files": 2, "slow-files": 1, "summaries.fifo": 1},
        snapshot=snapshot(),
        rows=rows,
        letters={"prose.py": "SyntaxError: x"},
        walk=seen,
        expected=Expected(retried=2, extended=1, reasons={"prose.py": "SyntaxError: "}),
        left=0,
        threads=threads(),
        budget=9,
    )


def failing(lines: list[Line]) -> list[str]:
    """The sentences of the lines that do not balance."""
    return [line.what for line in lines if line.differences]


def test_a_run_in_which_all_fits_balances() -> None:
    """Every line is fine, and there are as many as the report promises."""
    lines = balance(outcome())
    assert failing(lines) == []
    assert len(lines) == 12


def change(**fields: Any) -> Callable[[Outcome], Outcome]:
    """A change of the outcome itself."""
    return lambda whole: replace(whole, **fields)


def change_rows(**fields: Any) -> Callable[[Outcome], Outcome]:
    """A change of what the database holds."""
    return lambda whole: replace(whole, rows=replace(whole.rows, **fields))


@pytest.mark.parametrize(
    ("wrong", "lines"),
    [
        (change_rows(defined={"a.py": [("class", "A", 1)]}), ["files walked", "messages sent"]),
        (change_rows(defined={"a.py": [("class", "A", 2)], "slow.py": []}), ["definitions by symtable"]),
        (change_rows(strays=frozenset({"z.py"})), ["definitions by symtable"]),
        (change_rows(digests={}), ["packages summed up"]),
        (change_rows(refused=frozenset()), ["dead letters"]),
        (change(letters={}), ["messages sent", "dead letters"]),
        (change(letters={"prose.py": "(no reason: moved by SQS itself)"}), ["dead letters"]),
        (change(sent={"files": 4, "summaries.fifo": 1}), ["messages sent"]),
        (change(sent={"files": 3, "summaries.fifo": 2}), ["summaries sent"]),
        (change(snapshot=snapshot(retried=3)), ["retried"]),
        (change(snapshot=snapshot(extended=0)), ["extended"]),
        (change(snapshot=snapshot(dead_lettered=2)), ["dead-lettered"]),
        (change(snapshot=snapshot(lost=1)), ["no lease lost"]),
        (change(snapshot=snapshot(in_flight=1)), ["nothing left"]),
        (change(left=1), ["nothing left"]),
        (change(threads=threads(peak=10)), ["threads at every sample"]),
        (change(threads=threads(lowest=8)), ["threads at every sample"]),
        (change(threads=threads(after=2)), ["threads at every sample"]),
    ],
)
def test_each_difference_is_noticed_in_its_line(wrong: Callable[[Outcome], Outcome], lines: list[str]) -> None:
    """One thing that does not fit fails the lines that speak of it, and no other."""
    found = failing(balance(wrong(outcome())))
    assert len(found) == len(lines)
    assert all(part in line for part, line in zip(lines, found, strict=True))


def test_a_file_that_is_no_python_may_be_anybodys() -> None:
    """A broken file of the library must be dead-lettered too, and is counted beside the planted ones."""
    whole = outcome()
    whole.walk.broken.append("own.py")
    assert failing(balance(whole)) == ["1 dead letters = 1 planted + 1 more that are no Python, each with its reason",
                                       "1 dead-lettered = 2 planted"]  # fmt: skip
    letters = {**whole.letters, "own.py": "SyntaxError: y"}
    rows = replace(whole.rows, refused=frozenset(letters))
    told = replace(
        whole, sent={"files": 4, "summaries.fifo": 1}, letters=letters, rows=rows, snapshot=snapshot(dead_lettered=2)
    )
    assert failing(balance(told)) == []


def test_many_differences_are_counted_not_listed() -> None:
    """Five are named, the rest is a number."""
    assert shown(Line("x", [str(at) for at in range(9)])) == ["0", "1", "2", "3", "4", "and 4 more"]
    assert shown(Line("x", ["0"])) == ["0"]


def test_the_report_fits_eighty_columns() -> None:
    """No line is longer, and everything that was promised is there."""
    whole = replace(outcome(), letters={"planted/not_python_1.py": "SyntaxError: " + "x" * 200})
    told = report.report(whole, {"ReceiveMessage": 7, "CreateQueue": 2}, (40.0, 66.5, 99.9), 12.3)
    told += "\n" + report.books(balance(whole))
    assert max(map(len, told.splitlines())) <= 80
    assert "ReceiveMessage" in told
    assert "CreateQueue" not in told
    assert "40.0 MiB before the worker, 66.5 at its start, 99.9 at the end" in told
    assert "9 at start, 9 at the peak, 9 at the end; 1 before and 1 after" in told
    assert "FAIL" in told
