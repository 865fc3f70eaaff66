"""What handlers did, as they wrote it down themselves: the witness of a worker that may be killed at any moment.

One line for each start and each end of a handler, each by one `os.write` to a file opened with O_APPEND: such a line
is there whole or not at all, whoever else writes, and outlives the process. No fsync: we kill processes, not machines.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from hadoken import Context
from hadoken.clock import SYSTEM
from tests.support.waiting import GLOBAL, wait_until

STARTED, ENDED, FAILED = "S", "E", "F"


class Line(msgspec.Struct, frozen=True):
    """One start or end of a handler.

    Attributes:
        kind: STARTED, ENDED (it returned) or FAILED (an exception left it).
        id: message id.
        body: raw body of the message.
        group: message group id; "" where it has none.
        pid: process.
        thread: name of the thread.
        at: seconds of the lease clock, which all processes of the machine share.
        count: how often SQS had handed the message out.
        attempt: `ctx.attempt`.
    """

    kind: str
    id: str
    body: str
    group: str
    pid: int
    thread: str
    at: float
    count: int
    attempt: int


class Journal:
    """A file of lines, written by handlers of any thread and process, read by a test.

    Attributes:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
        self._decode = msgspec.json.Decoder(Line).decode

    def close(self) -> None:
        """Close the file; the lines stay."""
        os.close(self._fd)

    # ------------------------------------------------------------------------------------------------------- writing
    @contextmanager
    def run(self, ctx: Context) -> Iterator[None]:
        """Write the start, let the block run, write how it ended."""
        self.write(STARTED, ctx)
        try:
            yield
        except BaseException:
            self.write(FAILED, ctx)
            raise
        self.write(ENDED, ctx)

    def write(self, kind: str, ctx: Context) -> None:
        """Write one line. Thread: any, several processes at once."""
        message = ctx.message
        line = Line(
            kind,
            message.id,
            message.raw_body,
            message.message_group_id or "",
            os.getpid(),
            threading.current_thread().name,
            SYSTEM.lease(),
            message.receive_count,
            ctx.attempt,
        )
        os.write(self._fd, msgspec.json.encode(line) + b"\n")

    # ------------------------------------------------------------------------------------------------------- reading
    def lines(self, *kinds: str) -> list[Line]:
        """All lines so far of these kinds (of all kinds if none is named), in the order of writing; may be empty."""
        whole = self.path.read_bytes().rpartition(b"\n")[0]  # a reader may see the first part of a line being written
        every = [self._decode(raw) for raw in whole.splitlines()]
        return [line for line in every if not kinds or line.kind in kinds]

    def wait(self, n: int, *kinds: str, body: str | None = None, timeout: float = GLOBAL) -> list[Line]:
        """Wait for `n` lines of these kinds (and of one body, if given) and return all of them.

        Raises:
            AssertionError: fewer came in time; holds all lines.
        """

        def found() -> list[Line]:
            return [line for line in self.lines(*kinds) if body is None or line.body == body]

        came = wait_until(lambda: len(found()) >= n, timeout)
        assert came, f"{len(found())} of {n} lines {kinds} {body or ''} within {timeout} s: {self.lines()}"
        return found()

    # ------------------------------------------------------------------------------------------------------- judging
    def runs(self) -> list[tuple[Line, Line]]:
        """(start, end) of every run that has ended, in the order of the starts.

        Raises:
            AssertionError: an end without a start.
        """
        open_ones: dict[tuple[int, str], Line] = {}
        ended: list[tuple[Line, Line]] = []
        for line in self.lines():
            where = (line.pid, line.thread)  # a thread runs one handler at a time
            if line.kind == STARTED:
                open_ones[where] = line
            else:
                assert open_ones[where].id == line.id, f"{line} ended what {open_ones[where]} had started"
                ended.append((open_ones.pop(where), line))
        return sorted(ended, key=lambda run: run[0].at)

    def duplicates(self) -> list[str]:
        """Ids of messages that ended well more than once; sorted, empty is as it should be."""
        times: dict[str, int] = defaultdict(int)
        for line in self.lines(ENDED):
            times[line.id] += 1
        return sorted(id_ for id_, count in times.items() if count > 1)

    def half_done(self) -> list[Line]:
        """Starts without an end, in order; empty after an orderly exit."""
        ended = {start for start, _ in self.runs()}
        return [line for line in self.lines(STARTED) if line not in ended]

    def overlaps(self, by: str = "group") -> list[tuple[Line, Line]]:
        """Pairs of consecutive runs with the same value of the attribute `by` of which the second began too early."""
        runs: dict[Any, list[tuple[Line, Line]]] = defaultdict(list)
        for run in self.runs():
            runs[getattr(run[0], by)].append(run)
        pairs = [pair for many in runs.values() for pair in pairwise(many)]
        return [(first[1], second[0]) for first, second in pairs if second[0].at < first[1].at]

    def bodies_by_group(self, kind: str = ENDED) -> dict[str, list[str]]:
        """Message group id -> the bodies of its lines of one kind, in order."""
        found: dict[str, list[str]] = defaultdict(list)
        for line in self.lines(kind):
            found[line.group].append(line.body)
        return dict(found)
