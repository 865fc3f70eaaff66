"""The handlers of a botocore client: which are botocore's own, and which somebody has put there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from hadoken.sqs.layers import modules_of

# Modules whose handlers depend on a client's settings, so that a client without any does not have them.
_BY_SETTINGS: Final = ("botocore.retries.", "botocore.retryhandler", "botocore.monitoring", "boto3.")


class Hook(NamedTuple):
    """One handler: the event it hears, its function's name, and the modules it is made of."""

    event: str
    name: str
    modules: tuple[str, ...]

    @property
    def by_settings(self) -> bool:
        """Whether it comes with a client's settings, and leaves requests as they would be anyway."""
        return all(f"{module}.".startswith(_BY_SETTINGS) for module in self.modules)


def hooks_of(client: Any) -> list[Hook]:  # noqa: ANN401 -- botocore ships no types
    """All handlers of a client, in no order that matters.

    Raises:
        AttributeError, KeyError, TypeError: this botocore keeps them otherwise than all that are known.
    """
    return [_hook(event, handler) for event, handler in _walk(_emitter(client)._handlers._root, ())]  # noqa: SLF001 -- botocore has no other way to list them


def sign_of_change(client: Any) -> object:  # noqa: ANN401 -- botocore ships no types
    """An object that is another one after each change of a client's handlers.

    botocore replaces the cache of its look-ups whenever a handler is registered or taken away.

    Raises:
        AttributeError: as for `hooks_of`.
    """
    cache: object = _emitter(client)._lookup_cache  # noqa: SLF001 -- see above
    return cache


def _emitter(client: Any) -> Any:  # noqa: ANN401 -- botocore ships no types
    events = client.meta.events
    return getattr(events, "_emitter", events)


def _walk(node: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    values = node["values"]
    if values is not None:
        for handler in (*values.first, *values.middle, *values.last):
            yield ".".join(path), handler
    for chunk, child in node["children"].items():
        yield from _walk(child, (*path, chunk))


def _hook(event: str, handler: Any) -> Hook:  # noqa: ANN401 -- anything that can be called
    plain = getattr(handler, "func", handler)  # a partial is named after what it calls
    name = getattr(plain, "__qualname__", None) or type(plain).__qualname__
    return Hook(event, str(name), tuple(modules_of(handler)))
