"""Durations as they are typed."""

from __future__ import annotations

import pytest

from hadoken.cli.durations import seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("25", 25), ("25s", 25), ("1.5m", 90), ("2h", 7200), ("500ms", 0.5), ("500us", 0.0005), (" 3 ", 3), ("0", 0)],
)
def test_a_duration_has_a_unit_or_is_seconds(text: str, seconds: float) -> None:
    """A bare number is seconds; us, ms, s, m and h are known."""
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1", "1d", "1 000", "1e3", "s", "nan"])
def test_what_is_no_duration_is_named(text: str) -> None:
    """Everything else is refused, with the text in the sentence."""
    with pytest.raises(ValueError, match="no duration") as refusal:
        seconds_of(text)
    assert repr(text) in str(refusal.value)
