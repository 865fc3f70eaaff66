"""Error hooks."""

from __future__ import annotations

from typing import Any

import pytest

from hadoken.errors import InvalidHandler
from hadoken.events import ErrorHooks, name_of
from hadoken.message import Message


def message() -> Message[str]:
    """Some message."""
    return Message(id="m", body="b", raw_body="b", queue="q")


def test_hooks_are_told_in_order_and_the_parent_last() -> None:
    """Own hooks as they were added, then those of the app."""
    told: list[str] = []
    parent, own = ErrorHooks(), ErrorHooks()
    parent.add(lambda *_: told.append("app"))
    own.add(lambda *_: told.append("first"))
    own.add(lambda *_: told.append("second"))
    own.parent = parent
    assert len(own) == 3
    own.report(ValueError(), "q", message())
    assert told == ["first", "second", "app"]


def test_add_gives_the_hook_back() -> None:
    """So that it can be a decorator."""

    def hook(error: BaseException, queue: str, message: Message[Any]) -> None: ...

    assert ErrorHooks().add(hook) is hook


def test_a_raising_hook_is_logged_and_the_rest_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Own and parent hooks alike."""
    told: list[str] = []
    parent, own = ErrorHooks(), ErrorHooks()
    parent.add(lambda *_: told.append("app"))

    def bad(_error: BaseException, _queue: str, _message: Message[Any]) -> None:
        raise KeyboardInterrupt("mine")

    own.add(bad)
    own.parent = parent
    own.report(ValueError(), "q", message())
    assert told == ["app"]
    assert "KeyboardInterrupt: mine" in caplog.text
    assert name_of(bad) in caplog.text


@pytest.mark.parametrize("hook", [3, lambda: None, lambda error, queue: None], ids=["number", "none", "two"])
def test_a_hook_that_cannot_be_called_is_refused(hook: Any) -> None:
    """At declaration, with the signature to write."""
    with pytest.raises(InvalidHandler) as caught:
        ErrorHooks().add(hook)
    assert caught.value.hint == "write def hook(error, queue, message)"


def test_an_async_hook_is_refused() -> None:
    """It would never run."""

    async def hook(error: BaseException, queue: str, message: Message[Any]) -> None: ...

    with pytest.raises(InvalidHandler):
        ErrorHooks().add(hook)
