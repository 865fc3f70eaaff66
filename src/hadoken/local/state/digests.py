"""The digests that the local SQS gives of what it took.

Source: SQS developer guide, "Exactly-once processing"; of the MD5 digests see `sqs.digests`.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from hadoken.sqs import digests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hadoken.local.state.requests import AttributeValue


def content_digest(body: str) -> str:
    """The deduplication id that a body gives itself: its SHA-256, 64 hexadecimal digits; attributes do not count."""
    return hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()


def attributes_digest(attributes: Mapping[str, AttributeValue]) -> str | None:
    """The MD5 digest of message attributes; None of none."""
    return digests.attributes_digest(
        (name, one.data_type or "", one.string_value or "" if one.binary_value is None else one.binary_value)
        for name, one in attributes.items()
    )
