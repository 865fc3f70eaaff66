"""The index: a SQLite database that handler threads write side by side.

Rules of this file:
- Every write is idempotent: SQS may deliver a message twice, and the second time changes nothing.
- One connection per thread (SQLite's own rule); each write is one transaction that begins IMMEDIATE, so that two
  writers queue up instead of failing. WAL lets the reports read meanwhile.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hadoken.clock import SYSTEM, Wake
from hadoken.demo.source import Definition, SourceFile
from hadoken.errors import ConfigurationError

VARIABLE: Final = "HADOKEN_LIBRARY_INDEX"
_PATIENCE: Final = 30.0  # seconds that a write waits for others; a transaction takes milliseconds
_PAUSE: Final = 0.05  # seconds

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS files (
    file TEXT PRIMARY KEY,
    package TEXT NOT NULL,
    run TEXT NOT NULL,
    refused TEXT              -- why it is not indexed; NULL if it is
) STRICT;
CREATE TABLE IF NOT EXISTS definitions (
    file TEXT NOT NULL,
    place INTEGER NOT NULL,   -- 1 for the first definition of the file
    kind TEXT NOT NULL,       -- class, function or method
    name TEXT NOT NULL,       -- qualified
    line INTEGER NOT NULL,
    PRIMARY KEY (file, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS definitions_by_name ON definitions (name);
CREATE TABLE IF NOT EXISTS packages (
    package TEXT PRIMARY KEY,
    run TEXT NOT NULL,
    parts INTEGER NOT NULL,   -- how many have been appended
    files INTEGER NOT NULL,
    definitions INTEGER NOT NULL,
    digest TEXT NOT NULL      -- of all files in their order; see `chain`
) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Part:
    """The body of a message of `summaries.fifo`: a stretch of one package's files, in order.

    Attributes:
        run: which listing it is of.
        package: dotted name; also the message group.
        number: 1..of.
        of: how many parts the package has.
        files: (path, number of definitions), sorted by path; the parts of a package follow each other.
    """

    run: str
    package: str
    number: int
    of: int
    files: list[tuple[str, int]]


class OutOfOrder(Exception):
    """A part came before the one that it follows."""


def default_path() -> Path:
    """Where the index is: HADOKEN_LIBRARY_INDEX, else hadoken/library-index.sqlite3 in the user's cache."""
    named = os.environ.get(VARIABLE)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(named) if named else cache / "hadoken" / "library-index.sqlite3"


def chain(digest: str, file: str, definitions: int) -> str:
    """The digest of a package with one more file: depends on all files before it, and on their order."""
    return hashlib.sha256(f"{digest} {file} {definitions}".encode()).hexdigest()


class Index:
    """The database. Opened by the first call that needs it.

    Args:
        path: where; None asks `default_path` when it is opened.

    Thread: any, several at once. Calls block for the disk, and while others write.
    Raises: `ConfigurationError` from whichever call opens it, where there can be no database.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        # Guards the turn to write among our threads, which SQLite grants by sleeping and trying again; never held while
        # calling out. Writers of other processes wait by SQLite's own means.
        self._writing = threading.Lock()

    @property
    def path(self) -> Path:
        """Where the database is."""
        return self._path or default_path()

    def move_to(self, path: Path) -> None:
        """Use another database from now on; the one so far is closed. Thread: while no other uses the index."""
        self.close()
        self._path = path

    def close(self) -> None:
        """Close the connections of all threads. Thread: any, while no other uses the index."""
        connections, self._connections = self._connections, []
        self._local = threading.local()
        for connection in connections:
            connection.close()

    # ---- writing -----------------------------------------------------------------------------------------------------

    def add(self, file: SourceFile, found: Sequence[Definition]) -> bool:
        """Write what a file defines, instead of what was known of it; True if its package is complete now."""
        rows = [(file.file, place, each.kind, each.name, each.line) for place, each in enumerate(found, 1)]
        with self._transaction() as connection:
            self._note(connection, file, None)
            connection.executemany("INSERT INTO definitions VALUES (?, ?, ?, ?, ?)", rows)
            return self._is_complete(connection, file)

    def refuse(self, file: SourceFile, reason: str) -> bool:
        """Write that a file cannot be indexed, and why; True if its package is complete now."""
        with self._transaction() as connection:
            self._note(connection, file, reason)
            return self._is_complete(connection, file)

    def append(self, part: Part) -> None:
        """Add the next part to the summary of a package; one that was added before changes nothing.

        Raises:
            OutOfOrder: the part before it is missing.
        """
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT parts, files, definitions, digest FROM packages WHERE package = ? AND run = ?",
                (part.package, part.run),
            ).fetchone()
            parts, files, definitions, digest = row or (0, 0, 0, "")
            if part.number <= parts:
                return
            if part.number > parts + 1:
                raise OutOfOrder(f"part {part.number} of {part.package} came after part {parts}")
            for file, count in part.files:
                files, definitions, digest = files + 1, definitions + count, chain(digest, file, count)
            connection.execute(
                "INSERT OR REPLACE INTO packages VALUES (?, ?, ?, ?, ?, ?)",
                (part.package, part.run, part.number, files, definitions, digest),
            )

    # ---- reading -----------------------------------------------------------------------------------------------------

    def of_package(self, package: str, run: str) -> list[tuple[str, int]]:
        """(path, number of definitions) of each indexed file of a package, sorted by path."""
        return self._connection().execute(
            "SELECT file, (SELECT count(*) FROM definitions WHERE definitions.file = files.file) FROM files "
            "WHERE package = ? AND run = ? AND refused IS NULL ORDER BY file",
            (package, run),
        ).fetchall()  # fmt: skip

    def totals(self) -> tuple[int, int]:
        """How many files are done, indexed or not, and how many definitions there are."""
        files, definitions = self._connection().execute(
            "SELECT (SELECT count(*) FROM files), (SELECT count(*) FROM definitions)"
        ).fetchone()  # fmt: skip
        return int(files), int(definitions)

    # ---- inside ------------------------------------------------------------------------------------------------------

    @staticmethod
    def _note(connection: sqlite3.Connection, file: SourceFile, refused: str | None) -> None:
        connection.execute("DELETE FROM definitions WHERE file = ?", (file.file,))
        connection.execute(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", (file.file, file.package, file.run, refused)
        )

    @staticmethod
    def _is_complete(connection: sqlite3.Connection, file: SourceFile) -> bool:
        (done,) = connection.execute(
            "SELECT count(*) FROM files WHERE package = ? AND run = ?", (file.package, file.run)
        ).fetchone()
        return bool(done == file.package_files)

    @contextlib.contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        connection = self._connection()
        with self._writing:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection."""
        known: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if known is None:
            known = self._local.connection = self._open()
            self._connections.append(known)
        return known

    def _open(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Used by its own thread only, but closed by `close`, whose thread is another.
            connection = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error
        try:
            with self._writing:
                _write_ahead(connection)
                # Safe against crashes of the program; after a power cut the index is made anew. A sync on a busy disk
                # takes seconds, for which a message would be held.
                connection.execute("PRAGMA synchronous = OFF")
                connection.executescript(_SCHEMA)
        except sqlite3.Error as error:
            connection.close()
            raise self._unusable(error) from error
        return connection

    def _unusable(self, error: Exception) -> ConfigurationError:
        return ConfigurationError(
            f"the index cannot be kept in {self.path}: {error}", hint=f"name another file by {VARIABLE}"
        )


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to WAL. SQLite does not wait for others in this one step, so a process that is refused comes again."""
    pause = Wake()  # never set: its wait is the bounded pause between two tries
    give_up = SYSTEM.lease() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or SYSTEM.lease() > give_up:
                raise
            pause.wait(_PAUSE)
        else:
            return
