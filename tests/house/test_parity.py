"""The page on parity claims exactly what tests show."""

from __future__ import annotations

import ast
import re

import pytest

from tests.house import source

PAGE = source.ROOT / "docs" / "reference" / "parity.md"
TESTS = source.ROOT / "tests" / "integration"
ROW = re.compile(r"^\| (?P<line>\d+) \| (?P<claim>[^|]+) \| (?P<tests>(?:`\S+`\s?)+) \|$")
# The first release promises these; more may be claimed.
PROMISED = {1, 2, 3, 4, 7, 8, 9, 10, 11, 15, 16, 17, 18, 19, 23, 26, 27, 28, 29, 30, 31, 40, 47, 48, 49, 53}


def claims() -> dict[int, list[str]]:
    """Number of the acceptance line -> the tests that are said to show it, as "file::function"."""
    rows = [row for text in PAGE.read_text(encoding="utf-8").splitlines() if (row := ROW.match(text))]
    return {int(row["line"]): re.findall(r"`(\S+)`", row["tests"]) for row in rows}


def written() -> dict[str, ast.FunctionDef]:
    """Every integration test that is named after an acceptance line, by "file::function"."""
    return {
        f"{path.name}::{node.name}": node
        for path in sorted(TESTS.glob("test_*.py"))
        for node in source.parsed(path).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_parity_")
    }


def asserts(function: ast.FunctionDef) -> int:
    """How many asserts a test makes by itself."""
    return sum(isinstance(node, ast.Assert) for node in ast.walk(function))


def test_every_row_is_read() -> None:
    """No row of a table is passed over because it is written differently; no line is claimed twice."""
    rows = [text for text in PAGE.read_text(encoding="utf-8").splitlines() if re.match(r"\| \d", text)]
    assert len(rows) == len(claims())
    assert all(ROW.match(row) for row in rows)


def test_every_claim_has_its_tests() -> None:
    """Each line is shown by tests that exist, are named after it, and assert something."""
    found = written()
    for line, tests in claims().items():
        for test in tests:
            assert test in found, f"line {line}: there is no {test}"
            assert f"::test_parity_{line:02}_" in test, f"line {line} is claimed by {test}"
            assert asserts(found[test]) >= 1, f"{test} asserts nothing"


def test_every_test_is_claimed() -> None:
    """A test that is named after a line stands on the page."""
    assert set(written()) == {test for tests in claims().values() for test in tests}


@pytest.mark.parametrize("line", sorted(PROMISED))
def test_what_was_promised_is_claimed(line: int) -> None:
    """The lines of the first release are all there."""
    assert claims().get(line)
