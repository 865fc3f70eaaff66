from __future__ import annotations

import pytest

from hadoken.local.state.handles import Handle, Handles


def test_a_handle_says_what_was_written() -> None:
    """A handle says what was written."""
    handles = Handles()
    text = handles.write(3, 1 << 40, 7)
    assert handles.read(text) == Handle(3, 1 << 40, 7)
    assert " " not in text
    assert handles.write(3, 1 << 40, 8) != text


@pytest.mark.parametrize("text", ["", "x", "AAAA", "ü", "A" * 28, "=" * 28, "A" * 27 + "="])
def test_garbage_says_nothing(text: str) -> None:
    """Garbage says nothing."""
    assert Handles().read(text) is None


def test_a_handle_of_another_sqs_or_a_changed_one_is_garbage() -> None:
    """A handle of another SQS or a changed one is garbage."""
    handles, other = Handles(), Handles()
    text = handles.write(1, 1, 1)
    assert other.read(text) is None
    assert handles.read(text[:-3] + ("Ag=" if text[-3:] != "Ag=" else "Aw=")) is None
