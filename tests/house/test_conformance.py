"""The conformance suite is whole: each line has its test, and the page says what the marks say."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.support import conformance, doors, table

LINES = range(1, 68)


@pytest.fixture(scope="module")
def found() -> list[table.Found]:
    """What the marks of the suite say."""
    return conformance.collected()


def test_every_line_has_a_title() -> None:
    """Each line has a title, and there is no other."""
    assert sorted(table.titles()) == list(LINES)


@pytest.mark.parametrize("door", doors.OURS)
def test_every_line_has_a_test_at_our_doors(found: Sequence[table.Found], door: str) -> None:
    """Each line has a test that runs at each of our doors, but for those that are about sockets."""
    assert set(LINES) - {one.line for one in found if one.door == door} - of_sockets(door) == set()


@pytest.mark.parametrize("door", doors.OURS)
def test_every_line_passes_whole_at_our_doors(found: Sequence[table.Found], door: str) -> None:
    """Each test of a line runs at each of our doors, but for lines that are about sockets."""
    cells = {line: table.cell(found, line, door) for line in LINES}
    assert {line for line, cell in cells.items() if cell != "passes"} == of_sockets(door)


def of_sockets(door: str) -> set[int]:
    """The lines about sockets that a door cannot show, or not whole: one without them, and one whose are encrypted."""
    return {"virtual": {1, 6, 13, 14}, "tls": {13, 14}}.get(door, set())


def test_nothing_is_marked_as_a_difference_of_ours(found: Sequence[table.Found]) -> None:
    """Ours passes everything."""
    assert [one for one in found if one.door in doors.OURS and one.sentences] == []


def test_the_page_says_what_the_marks_say(found: Sequence[table.Found]) -> None:
    """The generated part of the page is up to date; `make conformance` writes it."""
    assert table.in_page() == table.markdown(found)
