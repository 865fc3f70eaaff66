"""The MD5 digests by which a client can check what SQS took or gave.

Source: SQS developer guide, "Calculating the MD5 message digest for message attributes".
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hadoken.local.state.requests import AttributeValue

_STRING = b"\x01"
_BINARY = b"\x02"


def body_digest(body: str) -> str:
    """The digest of a body, 32 hexadecimal digits."""
    return hashlib.md5(body.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def content_digest(body: str) -> str:
    """The deduplication id that a body gives itself: its SHA-256, 64 hexadecimal digits; attributes do not count."""
    return hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()


def attributes_digest(attributes: Mapping[str, AttributeValue]) -> str | None:
    """The digest of message attributes: by name, each name, type and value with its length before it; None of none."""
    if not attributes:
        return None
    digest = hashlib.md5(usedforsecurity=False)
    for name in sorted(attributes):
        value = attributes[name]
        digest.update(_sized(name.encode()) + _sized((value.data_type or "").encode()))
        if value.binary_value is not None:
            digest.update(_BINARY + _sized(value.binary_value))
        else:
            digest.update(_STRING + _sized((value.string_value or "").encode("utf-8", "surrogatepass")))
    return digest.hexdigest()


def _sized(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data
