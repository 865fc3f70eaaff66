"""Whole numbers as they are typed."""

from __future__ import annotations

import click
import pytest

from hadoken.cli.numbers import Whole


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("20", 20), (" 7 ", 7)])
def test_a_number_within_bounds_is_read(text: str, number: int) -> None:
    """The bounds themselves are allowed."""
    assert Whole(1, 20).convert(text, None, None) == number


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ten", "'ten' is no number; write a whole number, 1 to 20"),
        ("1.5", "'1.5' is no number; write a whole number, 1 to 20"),
        ("", "'' is no number; write a whole number, 1 to 20"),
        ("0", "0 is out of range; write a whole number, 1 to 20"),
        ("21", "21 is out of range; write a whole number, 1 to 20"),
    ],
)
def test_what_is_none_is_refused_with_the_bounds(text: str, said: str) -> None:
    """The sentence has what was typed and what may be."""
    with pytest.raises(click.BadParameter) as refusal:
        Whole(1, 20).convert(text, None, None)
    assert refusal.value.message == said


def test_a_bound_may_be_missing() -> None:
    """Without a highest number the sentence has the lowest alone."""
    with pytest.raises(click.BadParameter, match="1 or more"):
        Whole(1).convert("0", None, None)
