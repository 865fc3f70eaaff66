"""The MD5 digests by which SQS and its clients can check what the other one got.

Source: SQS developer guide, "Calculating the MD5 message digest for message attributes".
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import md5
from typing import Final

_STRING: Final = b"\x01"
_BINARY: Final = b"\x02"


def body_digest(body: str) -> str:
    """The digest of a body, 32 hexadecimal digits."""
    return md5(body.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def attributes_digest(attributes: Iterable[tuple[str, str, str | bytes]]) -> str | None:
    """The digest of message attributes, each (name, type, value); None of none.

    By name, each name, type and value goes in with its length before it, and the value with its kind.
    """
    parts: list[bytes] = []
    for name, kind, value in sorted(attributes, key=lambda one: one[0]):
        text = isinstance(value, str)
        data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        parts += (_sized(name.encode()), _sized(kind.encode()), _STRING if text else _BINARY, _sized(data))
    return md5(b"".join(parts), usedforsecurity=False).hexdigest() if parts else None


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data
