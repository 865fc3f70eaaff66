"""`python -m hadoken.demo.query NAME`: where the index says that something is defined."""

from __future__ import annotations

import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

from hadoken.demo.index import VARIABLE, default_path
from hadoken.demo.interpreter import interpreter

_BY_NAME: Final = "SELECT file, line, kind, name FROM definitions WHERE name GLOB ? ORDER BY file, line"


def find(database: Path, pattern: str) -> list[str]:
    """Look a definition up.

    Args:
        database: of the demo.
        pattern: a qualified name, or one with * and ?.

    Returns:
        One line for each definition, such as "json/decoder.py:254 class JSONDecoder"; may be empty.

    Raises:
        sqlite3.Error: there is no such database, or it is none of ours.
    """
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        rows = connection.execute(_BY_NAME, (pattern,)).fetchall()
    return [f"{file}:{line} {kind} {name}" for file, line, kind, name in rows]


def main(words: list[str]) -> int:
    """Print what is found; the exit code is 0, 1 where nothing is, 2 where nothing can be."""
    if len(words) != 1:
        usage = f"usage: {interpreter()} -m hadoken.demo.query NAME"
        print(f"{usage}   (* and ? match any; {VARIABLE} names the index)", file=sys.stderr)
        return 2
    try:
        found = find(default_path(), words[0])
    except sqlite3.Error as error:
        print(f"{default_path()}: {error}; `hadoken demo` makes an index", file=sys.stderr)
        return 2
    if not found:
        print(
            f"nothing named {words[0]} in {default_path()}; names are qualified, as in 'Class.method'; "
            "* and ? match any",
            file=sys.stderr,
        )
        return 1
    for line in found:
        print(line)
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a reader that has seen enough, such as head, ends us silently
    sys.exit(main(sys.argv[1:]))
