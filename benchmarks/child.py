"""A measured program as a child process: its lines, read with a deadline, and its end."""

from __future__ import annotations

import json
import select
import subprocess
import tempfile
import time
from types import TracebackType
from typing import Any, Self

from benchmarks.contender import ROOT, Contender, environment
from benchmarks.programs.job import Job

PATIENCE = 45.0  # seconds for the next line
ENDING = 10.0  # seconds for a program to end when it is told to; what takes longer is killed
TOLD = 2_000  # characters of its standard error that a failure shows


class Child:
    """One contender at one job, for as long as the block lasts. Its standard error is shown only if it fails.

    Attributes:
        pid: of the process that was started; some have children of their own.
        patience: seconds for a run, and for its next line.
        waited: seconds from SIGTERM to its end; after `ENDING` it was killed.
    """

    def __init__(self, contender: Contender, job: Job) -> None:
        self._contender = contender
        self._job = job
        self.waited = 0.0
        self.patience = PATIENCE

    def __enter__(self) -> Self:
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")
        words = [self._contender.python, "-m", f"benchmarks.programs.{self._contender.program}", self._job.word()]
        self._child = subprocess.Popen(  # noqa: S603 -- ours
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            bufsize=1,
            env=environment(self._job.ca) | {"AWS_ENDPOINT_URL_SQS": self._job.endpoint},
            cwd=ROOT,
        )
        self.pid = self._child.pid
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        began = time.monotonic()
        self._child.terminate()
        try:
            self._child.wait(ENDING)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self.waited = time.monotonic() - began
        for pipe in (self._child.stdin, self._child.stdout, self._errors):
            assert pipe is not None
            pipe.close()

    def has_line(self, wait: float) -> bool:
        """Whether it has said something, or ended; blocks for `wait` seconds at most."""
        return bool(select.select([self._child.stdout], [], [], wait)[0])

    def line(self) -> dict[str, Any]:
        """Its next line.

        Raises:
            RuntimeError: it ended, said something else, or said nothing for too long.
        """
        assert self._child.stdout is not None
        if not self.has_line(self.patience):
            raise RuntimeError(f"{self._contender.name} said nothing for {self.patience:g} s. {self.errors()}")
        said = self._child.stdout.readline()
        try:
            facts: dict[str, Any] = json.loads(said)
        except ValueError:
            raise RuntimeError(
                f"{self._contender.name} said {said!r} instead of a line of JSON. {self.errors()}"
            ) from None
        return facts

    def go(self) -> None:
        """Let it take the next step."""
        assert self._child.stdin is not None
        self._child.stdin.write("\n")

    def errors(self) -> str:
        """The end of what it wrote to its standard error."""
        self._errors.seek(0)
        return self._errors.read()[-TOLD:]
