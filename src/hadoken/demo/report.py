"""What the demo says at its end, in lines of at most 80 columns where paths allow it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hadoken.demo.books import Line, shown
from hadoken.demo.index import VARIABLE
from hadoken.demo.interpreter import interpreter
from hadoken.demo.paint import paint

if TYPE_CHECKING:
    from hadoken.demo.books import Outcome

_COLUMNS: Final = ("sent", "processed", "retried", "extended", "dead-lettered")
_CONTROL: Final = frozenset({"CreateQueue", "GetQueueUrl", "GetQueueAttributes"})
_WIDTH: Final = 80


def report(outcome: Outcome, requests: Mapping[str, int], memory: Sequence[float], seconds: float) -> str:
    """What was done, with which requests, by how many threads, in how much memory.

    Args:
        outcome: see `books`.
        requests: SQS operation -> requests, by the server's own count.
        memory: MiB of resident memory before the worker, when it had started, and after it.
        seconds: from the first message sent to the last one confirmed.
    """
    blocks = (_index(outcome), _messages(outcome), _letters(outcome), _requests(outcome, requests),
              _process(outcome, memory, seconds))  # fmt: skip
    return "\n\n".join("\n".join(block) for block in blocks)


def books(lines: Iterable[Line]) -> str:
    """The books, line by line, with every difference below its line."""
    told = [paint("bold", "Books")]
    for line in lines:
        mark = paint("red", "FAIL") if line.differences else paint("green", "ok  ")
        told.append(f"  {mark}  {line.what}")
        told += [f"        {_cut(each, _WIDTH - 8)}" for each in shown(line)]
    return "\n".join(told)


def query(database: Path, pattern: str, *, usual: bool) -> str:
    """How to ask the index.

    Args:
        database: where it is.
        pattern: of a name that is in it.
        usual: whether it is where it is looked for without being told.
    """
    file = shlex.quote(str(database))
    told = "" if usual else f"{VARIABLE}={file} \\\n    "
    sql = "SELECT kind, count(*) FROM definitions GROUP BY kind"
    ask = f"{interpreter()} -m hadoken.demo.query '{pattern}'"
    return f'{paint("bold", "Ask the index")}\n  {told}{ask}\n  sqlite3 {file} \\\n    "{sql}"'


def _cut(text: str, width: int) -> str:
    """The text, or its beginning where it is longer than `width` (twenty characters at the least)."""
    width = max(20, width)
    return text if len(text) <= width else f"{text[: width - 3]}..."


def _index(outcome: Outcome) -> Iterator[str]:
    rows = outcome.rows
    names = {"class": "classes", "method": "methods", "function": "functions"}
    kinds = ", ".join(f"{rows.kinds.get(kind, 0):,} {name}" for kind, name in names.items())
    yield paint("bold", "Index")
    yield f"  {len(rows.defined):>7,} files in {len(rows.digests)} packages"
    yield f"  {rows.definitions:>7,} definitions: {kinds}"


def _messages(outcome: Outcome) -> Iterator[str]:
    yield paint("bold", "Messages")
    yield f"  {'queue':<16}" + "".join(f"{name:>{max(len(name), 7) + 2}}" for name in _COLUMNS)
    for queue, counts in outcome.snapshot.counts.items():
        numbers = (outcome.sent[queue], counts["acked"], counts["retried"], counts["extended"], counts["dead_lettered"])
        cells = zip(_COLUMNS, numbers, strict=True)
        yield f"  {queue:<16}" + "".join(f"{number:>{max(len(name), 7) + 2},}" for name, number in cells)


def _letters(outcome: Outcome) -> Iterator[str]:
    yield paint("bold", "Dead letters, with their reasons")
    width = max(map(len, outcome.letters), default=0)
    for file, reason in sorted(outcome.letters.items()):
        yield f"  {file:<{width}}  {_cut(reason, _WIDTH - width - 4)}"


def _requests(outcome: Outcome, requests: Mapping[str, int]) -> Iterator[str]:
    sent = sum(outcome.sent.values())
    yield paint("bold", "Requests to SQS, by its own count")
    yield f"  {'operation':<30}{'requests':>10}{'per message':>14}"
    work = {name: count for name, count in requests.items() if name not in _CONTROL}
    for name, count in sorted(work.items(), key=lambda each: -each[1]):
        yield f"  {name:<30}{count:>10,}{count / sent:>14.3f}"
    yield f"  {'in all':<30}{sum(work.values()):>10,}{sum(work.values()) / sent:>14.3f}"


def _process(outcome: Outcome, memory: Sequence[float], seconds: float) -> Iterator[str]:
    threads = outcome.threads
    yield paint("bold", "Process")
    yield (
        f"  threads  {threads.start} at start, {threads.peak} at the peak, {threads.last} at the end; "
        f"{threads.before} before and {threads.after} after"
    )
    yield "  memory   {:.1f} MiB before the worker, {:.1f} at its start, {:.1f} at the end".format(*memory)
    yield f"  time     {seconds:.1f} s from the first message sent to the last one confirmed"
