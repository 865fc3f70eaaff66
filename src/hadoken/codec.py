"""Bodies on the wire: text in SQS, typed values in handlers.

`str` goes as it is, `bytes` as base64, everything else as JSON by msgspec: dict, list, dataclass, TypedDict,
msgspec.Struct and what these hold. A body type that needs another form brings its own `Codec`.
"""

from __future__ import annotations

import base64
import typing
from collections.abc import Iterator
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from hadoken import limits
from hadoken.errors import DecodeError, EncodeError, InvalidOption

B = TypeVar("B")

_KINDS: Final = "str, bytes, dict, list, dataclass, TypedDict and msgspec.Struct"


class Codec(Protocol[B]):
    """Turns bodies into text and back; may raise any exception on what it cannot turn.

    Thread: both are called in many threads at once.
    """

    def encode(self, value: B, /) -> str:
        """The text to send for a body."""
        ...

    def decode(self, text: str, /) -> B:
        """The body that a received text holds."""
        ...


class Text:
    """A body of type str is its own text."""

    def encode(self, value: object, /) -> str:
        """The text itself."""
        if not isinstance(value, str):
            raise EncodeError(f"body is {type(value).__name__}; this queue takes str")
        return value

    def decode(self, text: str, /) -> str:
        """The text itself."""
        return text


class Base64:
    """A body of type bytes travels as base64: SQS takes text only."""

    def encode(self, value: object, /) -> str:
        """Base64 of the bytes, without line breaks."""
        if not isinstance(value, (bytes, bytearray, memoryview)):
            raise EncodeError(f"body is {type(value).__name__}; this queue takes bytes")
        return base64.b64encode(value).decode("ascii")

    def decode(self, text: str, /) -> bytes:
        """The bytes; anything but clean base64 is an error."""
        return base64.b64decode(text, validate=True)


class Json(Generic[B]):
    """JSON, checked against the body's type in both directions.

    What is sent is decoded once before it goes: a body that no handler of this type could read never leaves the sender.
    """

    def __init__(self, body: type[B]) -> None:
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(body)
        self._name = type_name(body)
        self._class = _plain_class(body)
        self.decode = self._decoder.decode  # one call less on the path of every message

    def encode(self, value: B, /) -> str:
        """JSON text of the body."""
        if not isinstance(value, self._class):
            raise EncodeError(f"body is {type(value).__name__}; this queue takes {self._name}")
        data = self._encoder.encode(value)
        self._decoder.decode(data)
        return data.decode()


def codec_of(body: type[B]) -> Codec[B]:
    """The codec for a body type.

    Raises:
        InvalidOption: the type is none that hadoken can read from JSON.
    """
    plain: dict[object, Codec[Any]] = {str: Text(), bytes: Base64()}
    if body in plain:
        return plain[body]
    try:
        foreign = next(_foreign(msgspec.inspect.type_info(body), set()), None)
        if foreign is None:
            return Json(body)
        reason = f"{type_name(foreign)} has no JSON form"
    except (TypeError, NameError) as exc:  # msgspec's own reasons; NameError: an annotation inside it does not resolve
        reason = str(exc)
    raise InvalidOption(
        f"body type {type_name(body)} cannot be used: {reason}", hint=f"use {_KINDS}, or give the queue a codec="
    )


class Bodies(Generic[B]):
    """The bodies of one queue: a codec, with errors that say what is wrong and where."""

    def __init__(self, body: type[B], codec: Codec[B] | None = None) -> None:
        self.type = body
        self._codec = codec_of(body) if codec is None else codec
        self._decode = self._codec.decode
        self._name = type_name(body)

    def encode(self, value: B) -> str:
        """The text to send.

        Raises:
            EncodeError: the value has no such text, or SQS would refuse it: empty, too big, or with refused characters.
        """
        try:
            text = self._codec.encode(value)
        except EncodeError:
            raise
        except Exception as exc:
            raise EncodeError(f"body cannot be sent as {self._name}: {exc}") from exc
        check_text(text)
        return text

    def decode(self, text: str) -> B:
        """The body of a received text.

        Raises:
            DecodeError: it is not of this type; the message says what was expected and at which path.
        """
        try:
            return self._decode(text)
        except Exception as exc:
            raise DecodeError(f"body does not decode as {self._name}: {exc}", raw=text) from exc


def check_text(text: object, what: str = "body") -> None:
    """Raise for text that SQS refuses.

    Raises:
        EncodeError: not str, empty, above 1 MiB, or with a character outside of what SQS allows.
    """
    if not isinstance(text, str):
        raise EncodeError(f"{what} was encoded as {type(text).__name__}; SQS takes text")
    if not text:
        raise EncodeError(f"{what} is empty; SQS wants at least one character")
    if (size := limits.utf8_bytes(text)) > limits.MESSAGE_BYTES:
        raise EncodeError(f"{what} is {size} bytes; SQS allows {limits.MESSAGE_BYTES} (limits.MESSAGE_BYTES)")
    if bad := limits.refused_character(text):
        raise EncodeError(f"{what} holds U+{ord(bad):04X} at {text.index(bad)}; SQS refuses that character")


def type_name(kind: object) -> str:
    """A type as people write it: `Invoice`, `dict[str, int]`."""
    return kind.__name__ if isinstance(kind, type) and not typing.get_args(kind) else str(kind)


def _plain_class(body: object) -> type[object]:
    """What `isinstance` can ask of a body: TypedDicts are dicts, unknown forms anything."""
    if typing.is_typeddict(body):
        return dict
    origin = typing.get_origin(body) or body
    return origin if isinstance(origin, type) else object


def _foreign(info: object, seen: set[int]) -> Iterator[type[object]]:
    """Types inside a body type that msgspec would only take with a hook of its own."""
    if isinstance(info, msgspec.inspect.CustomType):
        yield info.cls
    elif isinstance(info, (tuple, list)):
        for each in info:
            yield from _foreign(each, seen)
    elif isinstance(info, (msgspec.inspect.Type, msgspec.inspect.Field)) and id(info) not in seen:
        seen.add(id(info))
        for name in info.__struct_fields__:
            yield from _foreign(getattr(info, name), seen)
