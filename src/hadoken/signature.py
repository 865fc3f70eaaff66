"""What a handler asks for: its parameters, read once at declaration."""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hadoken.codec import type_name
from hadoken.errors import InvalidHandler
from hadoken.events import name_of
from hadoken.message import Context, Message

Invoke = Callable[[Message[Any], Context], object]

MISSING: Final = inspect.Parameter.empty
_ALLOWED: Final = "the first is the body, then any of hadoken.Message and hadoken.Context, by annotation"
_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True, slots=True)
class Signature:
    """How a handler is called.

    Attributes:
        body: annotation of the first parameter; `MISSING` if it has none.
        invoke: calls the function with what it asks for of (message, context).
    """

    body: Any
    invoke: Invoke


def read(function: Callable[..., object]) -> Signature:
    """Read a handler's signature.

    Raises:
        InvalidHandler: it cannot be called, or cannot be served with what we have; says what is allowed.
    """
    name = name_of(function)
    _refuse_kind(function, name)
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as exc:  # some builtins have none
        raise InvalidHandler(f"handler {name} has no signature: {exc}; {_ALLOWED}") from exc
    if not parameters or parameters[0].kind not in _POSITIONAL:
        hint = "a wrapped function keeps its signature by functools.wraps"
        raise InvalidHandler(f"handler {name} takes no body; {_ALLOWED}", hint=hint)
    scope = _Scope(function)
    sources = [(each, _source(each, scope, name)) for each in parameters[1:]]
    wanted = [(each, kind) for each, kind in sources if kind is not None]
    return Signature(scope.resolve(parameters[0].annotation), _invoker(function, wanted))


def _refuse_kind(function: object, name: str) -> None:
    if isinstance(function, type) or not callable(function):
        raise InvalidHandler(f"handler {name} is not a function", hint="decorate a plain function")
    plain = inspect.unwrap(function)
    while isinstance(plain, functools.partial):
        plain = inspect.unwrap(plain.func)
    called = plain if inspect.isroutine(plain) else type(plain).__call__
    if inspect.iscoroutinefunction(called):
        hint = "write def, or call asyncio.run inside"
        raise InvalidHandler(f"handler {name} is async; async handlers are not there yet", hint=hint)
    if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
        hint = "return an outcome instead of yielding"
        raise InvalidHandler(f"handler {name} is a generator; its body would never run", hint=hint)


def _source(parameter: inspect.Parameter, scope: _Scope, name: str) -> type[Any] | None:
    """Which of Message and Context a parameter wants; None if it can do without."""
    annotation = scope.resolve(parameter.annotation)
    for kind in _members(annotation):
        plain = typing.get_origin(kind) or kind
        if plain is Message or plain is Context:
            return Message if plain is Message else Context
    if parameter.default is not MISSING:
        return None
    shown = "no annotation" if annotation is MISSING else type_name(annotation)
    raise InvalidHandler(f"handler {name} has a parameter {parameter} that cannot be served ({shown}); {_ALLOWED}")


def _members(annotation: object) -> tuple[object, ...]:
    """The members of a union, or the one type: `ctx: Context | None = None` keeps a handler callable without us."""
    is_union = typing.get_origin(annotation) in {typing.Union, types.UnionType}  # pyright: ignore[reportDeprecated] -- `X | Y` is not all there is
    return typing.get_args(annotation) if is_union else (annotation,)


def _invoker(function: Callable[..., object], wanted: list[tuple[inspect.Parameter, type[Any]]]) -> Invoke:
    """The shortest way to call the function; the usual shapes do without lists and loops."""
    places = [kind is Context for parameter, kind in wanted if parameter.kind in _POSITIONAL]
    names = [(parameter.name, kind is Context) for parameter, kind in wanted if parameter.kind not in _POSITIONAL]
    if not wanted:
        return lambda message, _ctx: function(message.body)
    if not names and places == [True]:
        return lambda message, ctx: function(message.body, ctx)
    if not names and places == [False]:
        return lambda message, _ctx: function(message.body, message)

    def invoke(message: Message[Any], ctx: Context) -> object:
        extra = [ctx if is_context else message for is_context in places]
        named = {name: ctx if is_context else message for name, is_context in names}
        return function(message.body, *extra, **named)

    return invoke


class _Scope:
    """Where the names in a function's annotations mean something: its module, its closure, the function around it."""

    def __init__(self, function: Callable[..., object]) -> None:
        plain = inspect.unwrap(function)
        self._globals: dict[str, Any] = getattr(plain, "__globals__", {})
        self._function = plain

    def resolve(self, annotation: object) -> object:
        """The annotation as an object.

        A name that exists for type checkers only is no reason to refuse a handler: Message and Context are known by
        their names, any other text stays text.
        """
        if not isinstance(annotation, str):
            return annotation
        try:
            return eval(annotation, self._globals, dict(self._locals()))  # noqa: S307 -- what typing.get_type_hints does
        except Exception:  # noqa: BLE001 -- an annotation may fail in any way when it is evaluated
            return _by_name(annotation)

    def _locals(self) -> Mapping[str, object]:
        """Names of the enclosing function while it still runs, as in a test that declares a handler in its body."""
        outer = getattr(self._function, "__qualname__", "").rpartition(".<locals>.")[0]
        frame = sys._getframe(1) if outer else None  # noqa: SLF001 -- the documented way to look up the stack  # pyright: ignore[reportPrivateUsage]
        while frame is not None:
            if frame.f_code.co_qualname == outer and frame.f_globals is self._globals:
                return frame.f_locals
            frame = frame.f_back
        return {}


def _by_name(annotation: str) -> object:
    for member in annotation.split("|"):
        name = member.strip().partition("[")[0].rpartition(".")[2]
        if name in {"Message", "Context"}:
            return Message if name == "Message" else Context
    return annotation
