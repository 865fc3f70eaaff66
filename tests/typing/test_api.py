"""Type checkers accept the API as it is meant, and see the usual mistakes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# Seconds; a cold cache on a busy machine takes a tenth of it.
PATIENCE = 50


def mypy(name: str) -> set[int]:
    """Lines of a file that mypy --strict calls errors."""
    done = _run(sys.executable, "-m", "mypy", "--no-error-summary", "--show-error-codes", str(HERE / name))
    found = re.findall(rf"{re.escape(name)}:(\d+): error", done.stdout)
    assert found or done.returncode == 0, done.stdout + done.stderr
    return {int(line) for line in found}


def basedpyright(name: str) -> set[int]:
    """Lines of a file that basedpyright calls errors."""
    done = _run(sys.executable, "-m", "basedpyright", "--outputjson", "--level", "error", str(HERE / name))
    found = json.loads(done.stdout)["generalDiagnostics"]
    return {each["range"]["start"]["line"] + 1 for each in found}


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, cwd=ROOT)


@pytest.mark.parametrize("errors_of", [mypy, basedpyright])
def test_the_api_as_it_is_meant_has_no_errors(errors_of: Callable[[str], set[int]]) -> None:
    """Handlers keep their types; every documented form passes."""
    assert errors_of("api_ok.py") == set()


@pytest.mark.parametrize("errors_of", [mypy, basedpyright])
def test_every_planted_mistake_is_seen_and_nothing_else(errors_of: Callable[[str], set[int]]) -> None:
    """The lines marked BAD, no fewer and no more."""
    lines = (HERE / "api_bad.py").read_text(encoding="utf-8").splitlines()
    marked = {number for number, line in enumerate(lines, 1) if "# BAD" in line}
    assert len(marked) > 15
    assert errors_of("api_bad.py") == marked
