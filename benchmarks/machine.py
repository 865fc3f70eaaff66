"""Where and when a benchmark ran: without that its numbers say nothing."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    """The circumstances.

    Attributes:
        date: of the start, UTC, YYYY-MM-DD.
        commit: short git commit, with `-changed` when files that are measured differ from it.
        load: the 1-minute load average before and after, of everything on the machine.
        place: where the local SQS ran.
    """

    date: str
    commit: str
    python: str
    botocore: str
    cpu: str
    cores: int
    kernel: str
    load: tuple[float, float]
    place: str = "as a process of its own on the same machine"

    def text(self) -> str:
        """In one paragraph."""
        return (
            f"{self.date}, commit {self.commit}, Python {self.python}, botocore {self.botocore}, {self.cores} cores of "
            f"{self.cpu}, Linux {self.kernel}; load average {self.load[0]:.2f} before, {self.load[1]:.2f} after. "
            f"The local SQS runs {self.place}."
        )


def look(load_before: float) -> Machine:
    """Describe this machine, now that the benchmark is over."""
    return Machine(
        date=datetime.now(UTC).date().isoformat(),
        commit=_commit(),
        python=platform.python_version(),
        botocore=version("botocore"),
        cpu=_cpu(),
        cores=os.cpu_count() or 1,
        kernel=platform.release().partition("-")[0],
        load=(round(load_before, 2), round(os.getloadavg()[0], 2)),
    )


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], capture_output=True, text=True, check=False, timeout=10)  # noqa: S603, S607 -- fixed words
    return done.stdout.strip() if done.returncode == 0 else ""


def _commit() -> str:
    commit = _git("rev-parse", "--short", "HEAD") or "unknown"
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", "src", "benchmarks/*.py")
    return f"{commit}-changed" if changed else commit


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
