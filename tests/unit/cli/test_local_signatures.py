"""`hadoken local --require-signature`: what is asked of the command line."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.processes import Child

_NONE = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}


def test_a_key_without_the_requirement_is_a_mistake(start_hadoken: Callable[..., Child]) -> None:
    """A key that nothing is checked with is not passed over in silence."""
    child = start_hadoken("local", "--port", "0", "--access-key", "id:secret")
    assert child.wait() == 2
    assert "only with --require-signature" in child.err[-1]


def test_the_requirement_without_a_key_is_a_mistake(start_hadoken: Callable[..., Child]) -> None:
    """A server that could accept nobody does not start, and says where keys come from."""
    child = start_hadoken("local", "--port", "0", "--require-signature", env=_NONE)
    assert child.wait() != 0
    assert "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in child.err[-1]


def test_a_malformed_key_is_not_repeated(start_hadoken: Callable[..., Child]) -> None:
    """What may be a secret does not reach a log."""
    child = start_hadoken("local", "--port", "0", "--require-signature", "--access-key", "hunter2", env=_NONE)
    assert child.wait() != 0
    assert "access key 1 is not ID:SECRET" in child.err[-1]
    assert "hunter2" not in "".join(child.lines)
