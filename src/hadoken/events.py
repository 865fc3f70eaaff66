"""What the user wants to be told: error hooks."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any, Final, TypeVar

from hadoken.errors import InvalidHandler
from hadoken.failure import describe, forget
from hadoken.message import Message

_log = logging.getLogger("hadoken.events")

# (what went wrong, logical name of the queue, the message). A body that did not decode is there as text.
ErrorHook = Callable[[BaseException, str, Message[Any]], object]
H = TypeVar("H", bound=ErrorHook)
_HINT: Final = "write def hook(error, queue, message)"


def name_of(function: object) -> str:
    """Dotted name of a function, as `module.function`."""
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', '?')}.{name}"


class ErrorHooks:
    """Error hooks in the order of their declaration, then those of the app they were included in.

    Attributes:
        parent: the hooks that are told after these; None for an app's own.
    """

    def __init__(self) -> None:
        self._hooks: tuple[ErrorHook, ...] = ()
        self.parent: ErrorHooks | None = None

    def __len__(self) -> int:
        return len(self._hooks) + (len(self.parent) if self.parent else 0)

    def add(self, hook: H) -> H:
        """Add a hook and give it back.

        Raises:
            InvalidHandler: it cannot be called with three arguments, or is async.
        """
        _refuse_unusable(hook)
        self._hooks = (*self._hooks, hook)
        return hook

    def report(self, error: BaseException, queue: str, message: Message[Any]) -> None:
        """Tell every hook of one failure. A hook that raises is logged and keeps nobody from being told.

        Thread: a handler thread, several at once; blocks as long as the hooks do.
        """
        for hook in self._hooks:
            try:
                hook(error, queue, message)
            except BaseException as failure:  # noqa: BLE001 -- user code: whatever it raises must not change the outcome
                # As text: a log record that kept the exception would keep the message with it.
                _log.error("error hook %s raised\n%s", name_of(hook), describe(failure))
                forget(failure)
        if self.parent is not None:
            self.parent.report(error, queue, message)


def _refuse_unusable(hook: object) -> None:
    if not callable(hook) or inspect.iscoroutinefunction(hook):
        raise InvalidHandler(f"error hook {hook!r} is not a plain function", hint=_HINT)
    try:
        inspect.signature(hook).bind(None, None, None)
    except (TypeError, ValueError) as exc:  # ValueError: some builtins have no signature
        raise InvalidHandler(f"error hook {name_of(hook)} cannot be called: {exc}", hint=_HINT) from exc
