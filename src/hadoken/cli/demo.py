"""`hadoken demo`: real work on a local SQS, and books that must balance."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command("demo", short_help="Index the Python standard library with a worker and a local SQS.")
@click.option(
    "--library",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Index the Python files of another folder.  [default: the standard library]",
)
@click.option(
    "--database",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where the index is kept.  [default: HADOKEN_LIBRARY_INDEX, else in the user's cache]",
)
def command(*, library: Path | None, database: Path | None) -> None:
    """Index the Python standard library: one message a file, some of them planted trouble.

    No AWS account is needed. At the end an independent look at the files is compared with what the worker did.

    \b
    Exit codes: 0 the books balance; 1 they do not, and the difference is shown; 130 interrupted.
    """  # noqa: D301 -- \b is click's sign to keep the lines
    from hadoken.demo.run import demo  # noqa: PLC0415 -- `hadoken --help` needs no demo

    sys.exit(demo(library=library, database=database))
