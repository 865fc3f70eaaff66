"""The census: every OS thread of this process, what it is called, what state it is in, which Python frame it is in.

Read from /proc and from the interpreter, without stopping anything. A field that cannot be read is empty, never an
error. Threads that Python never saw are listed too.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import threading
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Protocol

_TASKS = Path("/proc/self/task")
_STDLIB = sysconfig.get_path("stdlib")
_DEPTH = 12  # frames looked at for the first one outside the standard library


class Known(Protocol):
    """What is read of a Python thread."""

    @property
    def name(self) -> str:
        """Its Python name."""
        ...

    @property
    def ident(self) -> int | None:
        """Python's identity of it."""
        ...


@dataclass(frozen=True, slots=True)
class ThreadInfo:
    """One OS thread.

    Attributes:
        tid: native thread id.
        name: the Python name; "native" for a thread that Python does not know.
        comm: the kernel's name for it, at most 15 bytes; "" where it cannot be read.
        state: the kernel's letter: R running, S sleeping, D in I/O; "?" where it cannot be read.
        cpu: seconds of CPU used so far.
        where: "file:line function", innermost frame outside the standard library if there is one near; "" for native
            threads.
        ident: Python's identity of it, None for native threads.
    """

    tid: int
    name: str
    comm: str
    state: str
    cpu: float
    where: str
    ident: int | None


def census() -> list[ThreadInfo]:
    """List every thread of this process, by native id.

    Thread: any. Costs about 70 us a thread and blocks on nothing.
    """
    known = {t.native_id: t for t in threading.enumerate() if t.native_id is not None}
    frames = sys._current_frames()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] -- the documented way
    try:
        return [_info(tid, known.get(tid), frames) for tid in _tids(known)]
    finally:
        frames.clear()  # a kept frame keeps its locals


def stack(ident: int, limit: int = 20) -> str:
    """The Python stack of one thread as text, innermost frame last; "" if it has ended."""
    frame = sys._current_frames().get(ident)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] -- as above
    try:
        return "".join(traceback.format_stack(frame, limit)) if frame is not None else ""
    finally:
        del frame


def _tids(known: Iterable[int]) -> list[int]:
    try:
        return sorted(int(task.name) for task in _TASKS.iterdir())
    except OSError:  # no /proc: what Python knows is what there is to say
        return sorted(known)


def _info(tid: int, thread: Known | None, frames: dict[int, FrameType]) -> ThreadInfo:
    comm, state, cpu = _stat(tid)
    ident = thread.ident if thread else None
    frame = frames.get(ident) if ident is not None else None
    return ThreadInfo(tid, thread.name if thread else "native", comm, state, cpu, _where(frame), ident)


def _stat(tid: int) -> tuple[str, str, float]:
    """Name, state and CPU seconds; the name may hold spaces and brackets, so the line is split at the last one."""
    try:
        head, _, tail = (_TASKS / str(tid) / "stat").read_text().rpartition(")")
    except OSError:
        return "", "?", 0.0
    fields = tail.split()
    return head.partition("(")[2], fields[0], (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _where(frame: FrameType | None) -> str:
    shown = frame
    for _ in range(_DEPTH):
        if frame is None:
            break
        if not frame.f_code.co_filename.startswith((_STDLIB, "<frozen")):
            shown = frame
            break
        frame = frame.f_back
    if shown is None:
        return ""
    code = shown.f_code
    return f"{_short(code.co_filename)}:{shown.f_lineno} {code.co_qualname}"


def _short(path: str) -> str:
    """The last two parts of a path: enough to know the file, short enough for a table."""
    return "/".join(path.split("/")[-2:])
