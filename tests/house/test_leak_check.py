"""The leak check finds every kind of leak, names it, and lets clean tests pass."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.support.processes import ROOT, Child

PLANTED = Path(__file__).with_name("planted_leaks.py")
# What the complaint about each planted leak must name.
NAMES = {
    "thread": r"thread 'planted-thread' .*planted_leaks.py",
    "task": "task <Task pending name='planted-task'",
    "timer": "timer <TimerHandle",
    "socket": r"descriptor \d+: socket:",
    "pipe": r"descriptor \d+: pipe:",
    "child": r"child process \d+: .*planted-child",
    "message": "message <Message m-1 of q, receive 1>",
    "signal": "signal handler 12: <function",
    "variable": "environment variable PLANTED_VARIABLE: None became '1'",
}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Run the planted file once: name of the test -> "" if it passed, else the complaint."""
    report = tmp_path_factory.mktemp("planted") / "report.xml"
    options = [
        "-p",
        "no:randomly",
        "-p",
        "no:xdist",
        "-p",
        "no:cacheprovider",
        "-o",
        "hadoken_leak_grace=0.2",
        f"--junitxml={report}",
    ]
    with Child([sys.executable, "-m", "pytest", str(PLANTED), *options], cwd=ROOT) as child:
        child.wait(timeout=50.0)
        assert report.exists(), child.lines
    cases = ET.parse(report).getroot().iter("testcase")
    return {case.get("name", ""): "".join(problem.text or "" for problem in case) for case in cases}


@pytest.mark.parametrize("kind", NAMES)
def test_a_leak_fails_its_test_and_is_named(verdicts: dict[str, str], kind: str) -> None:
    """Each kind of leak fails the test that left it, with a line that names it."""
    complaint = verdicts[f"test_leaves_{kind}"]
    assert "the test left behind:" in complaint
    assert re.search(NAMES[kind], complaint), complaint


def test_clean_tests_pass(verdicts: dict[str, str]) -> None:
    """What is just ending, garbage, wider fixtures and marked leaks are no test's fault."""
    clean = {name: complaint for name, complaint in verdicts.items() if name.startswith("test_clean_")}
    assert len(clean) == 5
    assert not any(clean.values()), clean


def test_every_planted_leak_is_looked_at(verdicts: dict[str, str]) -> None:
    """No planted test is forgotten by the list of names."""
    assert {name for name in verdicts if name.startswith("test_leaves_")} == {f"test_leaves_{kind}" for kind in NAMES}
