"""The digest of message attributes, by its description and not by ours.

Source: SQS Developer Guide, "Calculating the MD5 message digest for message attributes".
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any


def attribute_digest(attributes: Mapping[str, Mapping[str, Any]]) -> str:
    """The MD5 of attributes as boto3 has them: names sorted, each part behind its length of four bytes."""
    digest = hashlib.md5(usedforsecurity=False)
    for name, value in sorted(attributes.items()):
        text = value.get("StringValue")
        kind, data = (b"\x02", value["BinaryValue"]) if text is None else (b"\x01", text.encode())
        for part in (name.encode(), value["DataType"].encode()):
            digest.update(len(part).to_bytes(4, "big") + part)
        digest.update(kind + len(data).to_bytes(4, "big") + data)
    return digest.hexdigest()
