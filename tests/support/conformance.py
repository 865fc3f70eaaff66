"""`python -m tests.support.conformance`: run the suite through all doors, print the table and write it into the page.

Each door has a process of its own, all at once: they mostly wait. AWS is one of them if `HADOKEN_CONFORMANCE_AWS=1` is
set. The page is written only if every mark was true.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from hadoken.clock import SYSTEM
from tests.support import doors, table
from tests.support.local_sqs import ROOT

# Seconds for one door; they take about a hundred on two cores.
BOUND = 900.0
PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", "tests/conformance"]


def collected() -> list[table.Found]:
    """What the marks say, without running anything."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "found.json")
        names = ",".join((*doors.OURS, *doors.ORACLES))
        environment = {**os.environ, doors.VARIABLE: names, table.VARIABLE: str(path)}
        done = subprocess.run(
            [*PYTEST, "--collect-only"],
            check=False,  # what went wrong stands in its output
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=BOUND,
        )
        if done.returncode:
            raise RuntimeError(f"the suite cannot be collected:\n{done.stdout}{done.stderr}")
        return table.read(path)


def start(door: str, log: Path) -> subprocess.Popen[bytes]:
    """Run the suite through one door, into a log."""
    environment = {**os.environ, doors.VARIABLE: door}
    with log.open("wb") as file:
        return subprocess.Popen(PYTEST, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT)


def run(names: list[str]) -> dict[str, str]:
    """Run the suite through all these doors at once; return what the failing ones said."""
    failed = {}
    with tempfile.TemporaryDirectory() as folder:
        logs = {name: Path(folder, name) for name in names}
        children = {name: start(name, log) for name, log in logs.items()}
        try:
            end = SYSTEM.lease() + BOUND
            for name, child in children.items():
                code = child.wait(max(0.0, end - SYSTEM.lease()))
                text = logs[name].read_text(encoding="utf-8")
                print(f"{doors.TITLES[name]}: {text.splitlines()[-1] if text else 'nothing said'}", flush=True)  # noqa: T201 -- a command
                if code:
                    failed[name] = text
        finally:
            for child in children.values():
                child.terminate()
                child.wait()
    return failed


def main() -> int:
    """Run, print, write; 1 if a mark is not true."""
    begun = SYSTEM.lease()
    names = [*doors.OURS, *doors.ORACLES, *([doors.AWS] if os.environ.get(doors.AWS_VARIABLE) == "1" else [])]
    found = collected()
    failed = run(names)
    for text in failed.values():
        print(text)  # noqa: T201 -- a command
    print(table.markdown(found))  # noqa: T201 -- a command
    print(f"{len(names)} doors in {SYSTEM.lease() - begun:.0f} s")  # noqa: T201 -- a command
    if failed:
        print(f"not as marked: {', '.join(failed)}; the page is left as it is")  # noqa: T201 -- a command
        return 1
    table.write(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
