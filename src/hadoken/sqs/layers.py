"""What a function is made of: the modules whose code runs when it is called, through all that was wrapped around it."""

from __future__ import annotations

from collections.abc import Callable
from types import CellType, FunctionType, MethodType
from typing import Any, Final

# A wrapper around a wrapper around ...; more than anybody has, and an end where one holds itself.
_LAYERS: Final = 32


def modules_of(what: Any) -> list[str]:  # noqa: ANN401 -- anything may have been put there
    """The modules whose code runs when this is called: of each wrapper, and of what it wraps at last.

    `__module__` is not believed where there is code to look at: `functools.wraps` copies it from what is wrapped.
    """
    found: list[str] = []
    left, known = [what], set[int]()
    while left:
        one = left.pop()
        if id(one) in known:
            continue
        known.add(id(one))
        if len(known) > _LAYERS:
            return [*found, "an endless wrapper"]
        module, inner = _layer(one)
        found.append(module)
        left.extend(inner)
    return found


def _layer(one: Any) -> tuple[str, list[Any]]:  # noqa: ANN401 -- anything may have been put there
    """The module of one layer, and what is within it."""
    if isinstance(one, property | classmethod | staticmethod):
        return type(one).__module__, []
    kind = type(one)
    if kind is FunctionType:
        return str(one.__globals__.get("__name__", "a function made at run time")), _wrapped(one)
    if kind is MethodType:
        return _layer(one.__func__)
    if isinstance(one, type) and issubclass(kind, type):
        return one.__module__, []
    wrapper = _attribute(one, "_self_wrapper") or _attribute(one, "_nr_wrapper")  # wrapt's, and New Relic's copy of it
    if wrapper is not None:
        return modules_of(wrapper)[0], [_attribute(one, "__wrapped__")]
    if _attribute(one, "func") is not None and kind.__module__ == "functools":
        return modules_of(one.func)[0], []
    return kind.__module__, []


def _attribute(one: Any, name: str) -> Any:  # noqa: ANN401 -- anything may have been put there
    """An attribute that a wrapper may have; a mock has every one, and is none."""
    return None if type(one).__module__.startswith("unittest.mock") else getattr(one, name, None)


def _wrapped(function: FunctionType) -> list[Callable[..., Any]]:
    """The functions that a function may call in its turn: what it says that it wraps, and what it closes over."""
    cells: tuple[CellType, ...] = function.__closure__ or ()
    within = [_content(cell) for cell in cells]
    return [each for each in (getattr(function, "__wrapped__", None), *within) if callable(each)]


def _content(cell: CellType) -> Any:  # noqa: ANN401 -- anything may be closed over
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return None
