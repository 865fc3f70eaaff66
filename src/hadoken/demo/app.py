"""The app of the demo: files go in, an index comes out, and each package is summed up in order.

    files            one message a file; the handler parses it and writes its definitions
    slow-files       the same for files whose reading takes longer than the visibility timeout of 4 s
    summaries.fifo   one message for every few files of a package that is complete, ordered by package

`examples/library_index.py` shows how to run it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import hadoken
from hadoken.clock import Wake
from hadoken.demo.index import Index, Part
from hadoken.demo.source import SourceFile, definitions

# Files that one summary message speaks of: the top level of the standard library becomes some twenty messages.
PART_FILES: Final = 10
VISIBILITY: Final = 4  # seconds, of slow files; short, so that extensions can be watched without waiting long

app = hadoken.App("library-index")
files = app.queue("files", SourceFile)
slow_files = app.queue("slow-files", SourceFile)
summaries = app.queue("summaries.fifo", Part)
index = Index()


@files.handler(retry=hadoken.fixed(1), non_retryable=(SyntaxError, ValueError))
def index_file(file: SourceFile, ctx: hadoken.Context) -> hadoken.DeadLetter | None:
    """Parse a file and write what it defines.

    One that is not Python goes to the dead-letter queue at once. One that is not there may be on its way: it is tried
    again every second, and is dead-lettered with a reason at the last attempt that SQS grants.
    """
    try:
        found = definitions(Path(file.root, file.file).read_bytes(), file.file)
    except (SyntaxError, ValueError) as error:  # the latter: a zero byte, for some Pythons
        finish(file, complete=index.refuse(file, f"not Python: {error}"))
        raise
    except FileNotFoundError:
        if not ctx.is_last_attempt:
            raise
        finish(file, complete=index.refuse(file, "not there"))
        return hadoken.DeadLetter(f"not there, after {ctx.attempt} attempts")
    finish(file, complete=index.add(file, found))
    return None


@slow_files.handler(visibility_timeout=VISIBILITY, retry=hadoken.fixed(1), non_retryable=(SyntaxError, ValueError))
def index_slow_file(file: SourceFile, ctx: hadoken.Context) -> hadoken.DeadLetter | None:
    """Do the same, slowly: meanwhile the lease would end, were it not extended."""
    Wake().wait(file.pause)
    return index_file(file, ctx)


def finish(file: SourceFile, *, complete: bool) -> None:
    """Send the summary of the file's package, part by part and in order, if this file was the last of it.

    The deduplication ids make SQS drop what is sent twice, should this handler run again after the send.
    """
    if not complete:
        return
    rows = index.of_package(file.package, file.run)
    pieces = [rows[at : at + PART_FILES] for at in range(0, len(rows), PART_FILES)]
    summaries.send_many(
        hadoken.Outgoing(
            Part(file.run, file.package, number, len(pieces), piece),
            message_group_id=file.package,
            deduplication_id=f"{file.run}-{file.package}-{number}",
        )
        for number, piece in enumerate(pieces, 1)
    )


@summaries.handler(retry=hadoken.fixed(1))
def append_part(part: Part) -> None:
    """Add the next part to the summary of a package; a part that is not the next one is an error."""
    index.append(part)
