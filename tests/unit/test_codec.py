"""Bodies: typed values in handlers, text in SQS."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TypedDict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hadoken import limits
from hadoken.codec import Bodies, check_text, type_name
from hadoken.errors import DecodeError, EncodeError, InvalidOption


@dataclass
class Line:
    """A nested dataclass."""

    sku: str
    count: int


@dataclass
class Order:
    """A dataclass body."""

    id: int
    lines: list[Line]


class Paid(TypedDict):
    """A TypedDict body."""

    order: int
    total: float


class Shipped(msgspec.Struct):
    """A Struct body."""

    order: int
    tracking: str | None = None


class Opaque:
    """A class that has no JSON form."""


@pytest.mark.parametrize(
    ("kind", "value", "wire"),
    [
        (str, "plain \u2603", "plain \u2603"),
        (bytes, b"\x00\xff", "AP8="),
        (dict, {"a": [1, None]}, '{"a":[1,null]}'),
        (list, [1, "b"], '[1,"b"]'),
        (dict[str, int], {"a": 1}, '{"a":1}'),
        (Order, Order(1, [Line("x", 2)]), '{"id":1,"lines":[{"sku":"x","count":2}]}'),
        (Paid, {"order": 1, "total": 2.5}, '{"order":1,"total":2.5}'),
        (Shipped, Shipped(3), '{"order":3,"tracking":null}'),
    ],
    ids=lambda each: type_name(each) if isinstance(each, type) else "",
)
def test_each_kind_of_body_travels_and_comes_back(kind: Any, value: object, wire: str) -> None:
    """The text is plain JSON (or the text itself, or base64), and decodes to an equal value."""
    bodies: Bodies[Any] = Bodies(kind)
    assert bodies.encode(value) == wire
    assert bodies.decode(wire) == value


@given(st.binary(min_size=1))
def test_any_bytes_come_back(data: bytes) -> None:
    """Bytes round-trip, whatever they are."""
    bodies = Bodies(bytes)
    assert bodies.decode(bodies.encode(data)) == data


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none() | st.booleans(), min_size=1))
def test_any_json_comes_back_and_any_json_reader_reads_it(data: dict[str, Any]) -> None:
    """JSON bodies are JSON to others too, or are refused for a number or character that JSON or SQS has not."""
    bodies = Bodies(dict)
    try:
        text = bodies.encode(data)
    except EncodeError:
        numbers = [each for each in data.values() if isinstance(each, int)]
        texts = [*data, *(each for each in data.values() if isinstance(each, str))]
        assert any(limits.refused_character(each) for each in texts) or any(abs(each) >= 2**63 for each in numbers)
        return
    assert bodies.decode(text) == data
    assert json.loads(text) == data


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        (
            Order,
            '{"id":1,"lines":[{"sku":"x","count":"two"}]}',
            "Expected `int`, got `str` - at `$.lines[0].count`",
        ),
        (Order, '{"id":1}', "missing required field `lines`"),
        (Order, "not json", "JSON is malformed"),
        (bytes, "not base64!", "bytes"),
        (bytes, "\u2603", "bytes"),
        (dict, "[]", "Expected `object`, got `array`"),
        (dict, '{"a":"\ud800"}', "dict"),
    ],
    ids=["path", "missing", "malformed", "alphabet", "not-ascii", "array", "surrogate"],
)
def test_a_body_that_does_not_decode_says_why_and_where(kind: Any, text: str, says: str) -> None:
    """The error names the type, the reason and the path; the text is kept, shortened, but not shown."""
    with pytest.raises(DecodeError) as caught:
        Bodies(kind).decode(text)
    assert says in str(caught.value)
    assert caught.value.raw == text


@pytest.mark.parametrize(
    ("kind", "value", "says"),
    [
        (str, 3, "body is int; this queue takes str"),
        (str, "", "body is empty"),
        (str, "a\x00b", "body holds U+0000 at 1; SQS refuses that character"),
        (str, "\uffff", "U+FFFF"),
        (str, "\ud800", "U+D800"),
        (str, "x" * (limits.MESSAGE_BYTES + 1), "body is 1048577 bytes; SQS allows 1048576"),
        (str, "\u2603" * 349_526, "1048578 bytes"),
        (bytes, "text", "body is str; this queue takes bytes"),
        (bytes, b"", "body is empty"),
        (Order, {"id": 1, "lines": []}, "body is dict; this queue takes Order"),
        (Order, Order("one", []), "Expected `int`, got `str` - at `$.id`"),
        (Paid, {"order": 1}, "missing required field `total`"),
        (Paid, {"order": 1, "total": float("nan")}, "Expected `float`, got `null`"),
        (dict, {"a": Opaque()}, "Opaque"),
    ],
    ids=range(14),
)
def test_a_body_that_cannot_be_sent_is_refused_before_the_call(kind: Any, value: object, says: str) -> None:
    """The error says what is wrong with it, and where."""
    with pytest.raises(EncodeError) as caught:
        Bodies(kind).encode(value)
    assert says in str(caught.value)


def test_one_mebibyte_is_allowed() -> None:
    """The limit itself passes, and so does every allowed kind of character."""
    check_text("x" * limits.MESSAGE_BYTES)
    check_text("\t\n\r \ud7ff\ue000\ufffd\U00010000\U0010ffff")


@pytest.mark.parametrize("kind", [Opaque, list[Opaque], dict[str, dict[str, Opaque]]], ids=["plain", "list", "deep"])
def test_a_type_without_a_json_form_is_refused_at_declaration(kind: Any) -> None:
    """At any depth; the error names the inner type and what may be used."""
    with pytest.raises(InvalidOption, match="Opaque") as caught:
        Bodies(kind)
    assert "msgspec.Struct" in caught.value.hint


def test_a_type_that_msgspec_cannot_read_is_refused_with_its_reason() -> None:
    """Such as a dataclass whose annotations name nothing."""

    @dataclass
    class Unfinished:
        other: Nowhere  # type: ignore[name-defined] # noqa: F821 -- the mistake

    with pytest.raises(InvalidOption, match=r"Unfinished cannot be used: .*Nowhere"):
        Bodies(Unfinished)


def test_an_own_codec_is_used_and_its_errors_are_body_errors() -> None:
    """Any exception of a codec becomes an EncodeError or a DecodeError with the first as its cause."""

    class Hex:
        def encode(self, value: int, /) -> str:
            return f"{value:x}"

        def decode(self, text: str, /) -> int:
            return int(text, 16)

    bodies = Bodies(int, Hex())
    assert bodies.decode(bodies.encode(255)) == 255
    with pytest.raises(DecodeError, match="does not decode as int: invalid literal") as caught:
        bodies.decode("no")
    assert isinstance(caught.value.__cause__, ValueError)
    with pytest.raises(EncodeError, match="cannot be sent as int"):
        bodies.encode("no")  # type: ignore[arg-type] # the line under test


def test_a_codec_must_give_text() -> None:
    """Bytes from a codec are refused: SQS takes text."""

    class Raw:
        def encode(self, value: bytes, /) -> Any:
            return value

        def decode(self, text: str, /) -> bytes:
            return text.encode()

    with pytest.raises(EncodeError, match="encoded as bytes; SQS takes text"):
        Bodies(bytes, Raw()).encode(b"x")
