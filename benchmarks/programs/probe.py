"""The handler that all measured programs run, and what it tells the parent: when it began, and each span of work."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from benchmarks.programs.job import LONGEST, WARM, Job, body

# The parent's pipe, for this alone: what a framework prints goes to standard error.
_PARENT = os.fdopen(os.dup(sys.stdout.fileno()), "w")
os.dup2(sys.stderr.fileno(), sys.stdout.fileno())


class Probe:
    """The work of one message: sleep for the job's seconds, and note when. Nothing else where that is 0.

    The first call prints one line of JSON; the call that completes the job's count prints the report.

    Attributes:
        budget: how many threads the program means to have; None where it makes no promise.

    Thread: any number at once; `probe(body)` blocks for the seconds, `await probe.wait(body)` does not block its loop.
    """

    def __init__(self, job: Job) -> None:
        signal.alarm(LONGEST)
        self.budget: int | None = None
        self._job = job
        self._spans: list[tuple[int, float, float]] = []
        self._count = itertools.count(1)  # of the calls that have appended their span; next() is atomic
        self._first = threading.Lock()
        self._log = _log() if job.log else None

    def __call__(self, message: Mapping[str, Any]) -> None:
        """Do the work of one message in a thread."""
        began = self._begin()
        if self._job.seconds:
            time.sleep(self._job.seconds)
        self._end(message, began)

    async def wait(self, message: Mapping[str, Any]) -> None:
        """Do the work of one message on a loop."""
        began = self._begin()
        if self._job.seconds:
            await asyncio.sleep(self._job.seconds)
        self._end(message, began)

    def _begin(self) -> float:
        if self._first.acquire(blocking=False):  # never released: only one call is the first
            say({"first": True, "budget": self.budget})
        return time.monotonic()

    def _end(self, message: Mapping[str, Any], began: float) -> None:
        if self._log is not None:
            self._log.info("done", extra={"facts": {"order": message["n"], "customer": message["customer"]}})
        self._spans.append((message["n"], began, time.monotonic()))
        if next(self._count) == self._job.messages:
            self._report()

    def _report(self) -> None:
        facts: dict[str, Any] = {
            "handled": len(self._spans),
            "busy": sum(end - start for _, start, end in self._spans),
            "first": min(start for _, start, _ in self._spans),
            "last": max(end for _, _, end in self._spans),
        }
        say(facts | ({"starts": [(number, start) for number, start, _ in self._spans]} if self._job.starts else {}))


class _Json(logging.Formatter):
    """A log line as production writes it."""

    def format(self, record: logging.LogRecord) -> str:
        facts = {"at": record.created, "level": record.levelname, "logger": record.name, "message": record.getMessage()}
        return json.dumps(facts | record.__dict__["facts"])


def _log() -> logging.Logger:
    log = logging.getLogger("orders")
    handler = logging.FileHandler(os.devnull)
    handler.setFormatter(_Json())
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    return log


def say(facts: dict[str, Any]) -> None:
    """Tell the parent one line."""
    _PARENT.write(json.dumps(facts) + "\n")
    _PARENT.flush()


def send(
    job: Job, one: Callable[[dict[str, Any]], object], many: Callable[[list[dict[str, Any]]], object] | None
) -> None:
    """Send the job's messages by a framework's own calls; the parent looks at the process before and after.

    Args:
        job: how many, and how.
        one: sends one body, and returns when SQS has it.
        many: sends them all by the framework's batches; None for a framework without.
    """
    signal.alarm(LONGEST)
    bodies, warm = _bodies(job)
    if job.mode == "send many":
        if many is None:
            raise SystemExit("this framework sends no batches")
        many(warm)
        _turn("ready")
        many(bodies)
    else:
        for each in warm:
            one(each)
        _turn("ready")
        for each in bodies:
            one(each)
    _turn("sent")


async def send_async(
    job: Job,
    one: Callable[[dict[str, Any]], Awaitable[object]],
    many: Callable[[list[dict[str, Any]]], Awaitable[object]],
) -> None:
    """The same for a framework whose calls are awaited."""
    signal.alarm(LONGEST)
    bodies, warm = _bodies(job)
    if job.mode == "send many":
        await many(warm)
        await asyncio.to_thread(_turn, "ready")
        await many(bodies)
    else:
        for each in warm:
            await one(each)
        await asyncio.to_thread(_turn, "ready")
        for each in bodies:
            await one(each)
    await asyncio.to_thread(_turn, "sent")  # what a framework sends in its own time goes on meanwhile


def _bodies(job: Job) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return [body(number, job.size) for number in range(job.messages)], [
        body(number, job.size) for number in range(WARM)
    ]


def _turn(word: str) -> None:
    """Say a word, and go on when the parent has written its numbers down."""
    say({word: True})
    sys.stdin.readline()
