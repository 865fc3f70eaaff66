"""A process seen from outside, by /proc and wait4(2): nothing is asked of the process itself. Linux only."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    """User and system CPU of all threads so far, in seconds, 10 ms exact. Source: proc_pid_stat(5), fields 14, 15."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK


def cpu_ns(pid: int) -> int:
    """CPU of the main thread so far, in nanoseconds. Source: Documentation/scheduler/sched-stats.rst, schedstat."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0])


def threads(pid: int) -> int:
    """How many threads the process has."""
    return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())


def rss_bytes(pid: int) -> int:
    """Resident memory. Source: proc_pid_statm(5), field 2."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * PAGE


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
