"""A process and its children seen from outside, by /proc, CPU clocks and wait4(2); Linux only."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
CPU_CLOCK = 2  # CPUCLOCK_SCHED: user and system time of a process. Source: include/linux/posix-timers.h


def cpu_seconds(pid: int) -> float:
    """User and system CPU of all threads so far, those that have ended included, to the nanosecond.

    Source: clock_getcpuclockid(3), whose id for a process is ~pid << 3 | CPUCLOCK_SCHED.
    """
    return time.clock_gettime(~pid << 3 | CPU_CLOCK)


def cpu_ns(pid: int) -> int:
    """CPU of the main thread so far, in nanoseconds. Source: Documentation/scheduler/sched-stats.rst, schedstat."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0])


def threads(pid: int) -> int:
    """How many threads the process has."""
    return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())


def rss_bytes(pid: int) -> int:
    """Resident memory. Source: proc_pid_statm(5), field 2."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * PAGE


def pss_bytes(pid: int) -> int:
    """Proportional resident memory: a page that several processes map counts for its share. Costs milliseconds to read.

    Source: proc_pid_smaps_rollup(5).
    """
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"the kernel tells no Pss of process {pid}")


def tree(pid: int) -> Iterator[int]:
    """A process and all its descendants. Source: proc_tid_children(5)."""
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that has ended meanwhile
            for child in (task / "children").read_text(encoding="ascii").split():
                yield from tree(int(child))


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a process with its descendants."""

    cpu: float
    threads: int
    rss: int


def look(pid: int) -> Look:
    """Add up a process and its descendants."""
    pids = list(tree(pid))
    return Look(sum(map(cpu_seconds, pids)), sum(map(threads, pids)), sum(map(rss_bytes, pids)))


def reap(child: subprocess.Popen[str], patience: float) -> float:
    """Wait for a child's end, at most `patience` seconds, then kill it.

    Returns:
        User and system CPU of its whole life, in seconds.

    Raises:
        RuntimeError: it had to be killed or it failed.
    """
    deadline = time.monotonic() + patience
    pid, status, usage = os.wait4(child.pid, os.WNOHANG)
    while not pid and time.monotonic() < deadline:
        time.sleep(0.01)
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
    if not pid:
        child.kill()
        _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    for pipe in (child.stdin, child.stdout):
        with contextlib.suppress(BrokenPipeError):
            if pipe is not None:
                pipe.close()
    if child.returncode:
        raise RuntimeError(f"process {child.args!r} ended with {child.returncode}")
    return usage.ru_utime + usage.ru_stime
