"""The books: what went in, what came out, and every difference between the two."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from hadoken.demo.source import SourceFile
from hadoken.message import REASON_ATTRIBUTE
from hadoken.sqs.api import Receive

if TYPE_CHECKING:
    from hadoken.demo.plant import Expected
    from hadoken.demo.usage import Threads
    from hadoken.demo.walk import Walk
    from hadoken.sqs.boto import BotoClient
    from hadoken.worker.snapshot import Snapshot

SUMMARIES: Final = "summaries.fifo"
_SHOWN: Final = 5  # differences of one line that are named; the rest is counted


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the books.

    Attributes:
        what: the sentence, with its numbers.
        differences: what does not fit; empty where all does.
    """

    what: str
    differences: Sequence[str]


@dataclass(frozen=True, slots=True)
class Rows:
    """The database as it was found at the end, read with plain SQL.

    Attributes:
        defined: indexed file -> sorted (kind, name, line).
        refused: files that are noted as not indexed.
        strays: files that have definitions and are not indexed.
        digests: package -> digest of its summary.
        kinds: kind -> number of definitions.
    """

    defined: Mapping[str, list[tuple[str, str, int]]]
    refused: frozenset[str]
    strays: frozenset[str]
    digests: Mapping[str, str]
    kinds: Mapping[str, int]

    @property
    def definitions(self) -> int:
        """How many definitions there are in all."""
        return sum(map(len, self.defined.values()))


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that the books compare.

    Attributes:
        sent: queue -> messages sent to it; to `summaries.fifo` by the count of SQS.
        snapshot: of the worker after its end.
        rows: of the database.
        letters: file -> reason, from the dead-letter queues.
        walk: the independent look.
        expected: of what was planted.
        left: messages left in the queues.
        threads: as sampled.
        budget: the worker's thread budget.
    """

    sent: Mapping[str, int]
    snapshot: Snapshot
    rows: Rows
    letters: Mapping[str, str]
    walk: Walk
    expected: Expected
    left: int
    threads: Threads
    budget: int

    @property
    def reasons(self) -> Mapping[str, str]:
        """File -> how the reason of its dead letter must begin: the planted ones, and what else is no Python."""
        return dict.fromkeys(self.walk.broken, "") | dict(self.expected.reasons)


def read_rows(database: Path) -> Rows:
    """Read the database through a connection of its own."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        files = dict(connection.execute("SELECT file, refused FROM files").fetchall())
        defined: dict[str, list[tuple[str, str, int]]] = {file: [] for file, why in files.items() if why is None}
        strays: dict[str, list[tuple[str, str, int]]] = {}
        for file, kind, name, line in connection.execute("SELECT file, kind, name, line FROM definitions"):
            (defined[file] if file in defined else strays.setdefault(file, [])).append((kind, name, line))
        digests = dict(connection.execute("SELECT package, digest FROM packages").fetchall())
    kinds = Counter(kind for each in defined.values() for kind, _, _ in each)
    refused = frozenset(file for file, why in files.items() if why is not None)
    return Rows({file: sorted(each) for file, each in defined.items()}, refused, frozenset(strays), digests, kinds)


def read_letters(client: BotoClient, queue: str) -> dict[str, str]:
    """Receive everything from a dead-letter queue of files, and leave it there: file -> reason."""
    url = client.queue_url(queue)
    letters: dict[str, str] = {}
    while received := client.receive(Receive(url, max_messages=10, wait_time=0, visibility_timeout=60)).messages:
        for message in received:
            reason = message.attributes.get(REASON_ATTRIBUTE)
            body = msgspec.json.decode(message.body, type=SourceFile)
            letters[body.file] = (reason.text if reason else None) or "(no reason: moved by SQS itself)"
    return letters


def balance(outcome: Outcome) -> list[Line]:
    """Compare everything with everything that it must equal."""
    return [*_files(outcome), *_messages(outcome), *_process(outcome)]


def _files(outcome: Outcome) -> Iterator[Line]:
    walk, rows, letters, expected = outcome.walk, outcome.rows, outcome.letters, outcome.expected
    yield Line(
        f"{len(walk.defined)} files walked = {len(rows.defined)} rows",
        [*_only("only walked", walk.defined, rows.defined), *_only("only in the index", rows.defined, walk.defined)],
    )
    other = [file for file in walk.defined if file in rows.defined and walk.defined[file] != rows.defined[file]]
    yield Line(
        f"{walk.definitions:,} definitions by symtable = {rows.definitions:,} by ast, each name and line",
        [
            *(f"{file}: {len(walk.defined[file])} walked, {len(rows.defined[file])} indexed" for file in other),
            *(f"definitions of a file that is not indexed: {file}" for file in sorted(rows.strays)),
        ],
    )
    total, sent = len(rows.defined) + len(letters), sum(outcome.sent.values()) - outcome.sent[SUMMARIES]
    yield Line(f"{sent} messages sent = {len(rows.defined)} rows + {len(letters)} dead letters",
               [] if sent == total else [f"{sent} sent, {total} found again"])  # fmt: skip
    reasons, more = outcome.reasons, len(outcome.reasons) - len(expected.reasons)
    yield Line(
        f"{len(letters)} dead letters = {len(expected.reasons)} planted"
        f"{f' + {more} more that are no Python' * bool(more)}, each with its reason",
        [
            *(f"dead-lettered without a cause: {file}: {letters[file]}" for file in letters if file not in reasons),
            *(f"no dead letter: {file}" for file in reasons if file not in letters),
            *(f"a dead letter, or a note in the index, but not both: {file}" for file in rows.refused ^ letters.keys()),
            *(f"{file}: {why}" for file, why in letters.items() if not why.startswith(reasons.get(file, ""))),
        ],
    )
    summed, done = outcome.sent[SUMMARIES], outcome.snapshot.counts[SUMMARIES]["acked"]
    yield Line(f"{summed} summaries sent = {done} processed",
               [] if summed == done else [f"{summed} sent, {done} processed"])  # fmt: skip
    digests = walk.digests()
    wrong = [name for name in digests.keys() | rows.digests.keys() if digests.get(name) != rows.digests.get(name)]
    yield Line(f"{len(rows.digests)} packages summed up, each in the order of its files", sorted(wrong))


def _messages(outcome: Outcome) -> Iterator[Line]:
    counts, expected = outcome.snapshot.counts, outcome.expected
    for counter, planted in (
        ("retried", expected.retried),
        ("extended", expected.extended),
        ("dead_lettered", len(outcome.reasons)),
    ):
        found = {name: each[counter] for name, each in counts.items()}
        total = sum(found.values())
        word = counter.replace("_", "-")
        told = [f"{planted} planted, {name} has {number}" for name, number in found.items()]
        yield Line(f"{total} {word} = {planted} planted", [] if total == planted else told)
    bad = {f"{name}: {number} {counter}" for name, each in counts.items() for counter in ("lost", "overrun", "again")
           if (number := each[counter])}  # fmt: skip
    yield Line("no lease lost, nothing run twice", sorted(bad))
    held = outcome.snapshot.in_flight
    left = [f"{held} held by the worker"] * bool(held) + [f"{outcome.left} in the queues"] * bool(outcome.left)
    yield Line("nothing left in flight, nothing left in the queues", left)


def _process(outcome: Outcome) -> Iterator[Line]:
    threads, budget = outcome.threads, outcome.budget
    wrong = [
        *([f"{threads.peak} at the peak"] if threads.peak != budget else []),
        *([f"{threads.lowest} at the lowest"] if threads.lowest != budget else []),
        *([f"{threads.before} before, {threads.after} after"] if threads.before != threads.after else []),
    ]
    yield Line(f"{budget} threads at every sample = the budget", wrong)


def _only(where: str, these: Iterable[str], those: Mapping[str, Any]) -> list[str]:
    return [f"{where}: {file}" for file in these if file not in those]


def shown(line: Line) -> list[str]:
    """The differences of a line that are named, and how many more there are."""
    more = len(line.differences) - _SHOWN
    return [*line.differences[:_SHOWN], *([f"and {more} more"] if more > 0 else [])]
