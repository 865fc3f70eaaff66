"""Trouble, planted and counted: what must come out of it is known exactly before the worker starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hadoken.demo.app import VISIBILITY
from hadoken.demo.source import SourceFile, listing

PACKAGE: Final = "planted"
RECEIVES: Final = 3  # maxReceiveCount of the demo's queues
PAUSE: Final = 6.0  # seconds; beyond the visibility timeout, so that only an extended lease keeps the message ours

NOT_PYTHON: Final = "This file is prose, not a program.\n"
GONE: Final = "def never_read(): ...\n"
SLOW: Final = "class Slow{number}:\n    def handled_beyond_its_visibility_timeout(self): ...\n"


@dataclass(frozen=True, slots=True)
class Expected:
    """What the planted files must come to, exactly.

    Attributes:
        retried: outcomes that ask for another try.
        extended: messages whose lease is extended at least once.
        reasons: file -> how the reason of its dead letter begins.
    """

    retried: int
    extended: int
    reasons: Mapping[str, str]


class Plant:
    """A folder of planted files.

    Args:
        root: an empty folder.
        not_python: how many files are prose.
        gone: how many are listed and then taken away.
        slow: how many take longer than the visibility timeout.
    """

    def __init__(self, root: Path, *, not_python: int = 3, gone: int = 2, slow: int = 3) -> None:
        self.root = root
        self._gone = [f"{PACKAGE}/gone_{number}.py" for number in range(1, gone + 1)]
        self._slow = [f"{PACKAGE}/slow_{number}.py" for number in range(1, slow + 1)]
        self._prose = [f"{PACKAGE}/not_python_{number}.py" for number in range(1, not_python + 1)]
        (root / PACKAGE).mkdir(parents=True)
        for name in self._prose:
            (root / name).write_text(NOT_PYTHON)
        for name in self._gone:
            (root / name).write_text(GONE)
        for number, name in enumerate(self._slow, 1):
            (root / name).write_text(SLOW.format(number=number))

    @property
    def expected(self) -> Expected:
        """What must come of it. A file that is gone is tried until SQS would not hand it out again."""
        reasons = dict.fromkeys(self._prose, "SyntaxError: ") | dict.fromkeys(self._gone, "not there, after ")
        return Expected(retried=len(self._gone) * (RECEIVES - 1), extended=len(self._slow), reasons=reasons)

    @property
    def words(self) -> str:
        """The trouble in words."""
        return (
            f"{len(self._prose)} files that are not Python, {len(self._gone)} that disappear, "
            f"{len(self._slow)} slower than {VISIBILITY} s"
        )

    def listing(self, run: str) -> list[SourceFile]:
        """The bodies of the messages for the planted files; the slow ones say how slow."""
        return [
            replace(file, pause=PAUSE) if file.file in self._slow else file for file in listing(self.root, run)
        ]  # fmt: skip

    def take_away(self) -> None:
        """Let the files disappear that are to disappear."""
        for name in self._gone:
            (self.root / name).unlink()


def interleaved(many: Sequence[SourceFile], few: Sequence[SourceFile]) -> list[SourceFile]:
    """Both lists in one, the members of the short one spread evenly over the long one."""
    mixed = list(many)
    step = max(1, len(mixed) // (len(few) + 1))
    for number, file in enumerate(few, 1):
        mixed.insert(min(number * step + number - 1, len(mixed)), file)
    return mixed
