"""Receipt handles: opaque tokens that say of which queue, which message and which receive they are.

SQS tells a handle it once gave out, whose message is gone, from garbage. So a handle carries its facts and a check
value, and nothing has to be remembered of deleted messages.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import struct
import zlib
from typing import NamedTuple

_FACTS = struct.Struct(">IQI")
_CHECK = struct.Struct(">I")


class Handle(NamedTuple):
    """What a receipt handle says.

    Attributes:
        queue: number of the queue.
        message: number of the message in its queue.
        receive: which receive of that message gave it out, from 1.
    """

    queue: int
    message: int
    receive: int


class Handles:
    """Writes and reads the handles of one local SQS; those of another read as garbage.

    Attributes:
        key: 32 bits that tell the two apart; one that goes on after a restart takes the key it had.
    """

    def __init__(self) -> None:
        self.key = secrets.randbits(32)

    def write(self, queue: int, message: int, receive: int) -> str:
        """Make the handle of one receive: 28 characters without spaces."""
        facts = _FACTS.pack(queue, message, receive)
        check = _CHECK.pack(zlib.crc32(facts, self.key))
        return base64.urlsafe_b64encode(check + facts).decode("ascii")

    def read(self, text: str) -> Handle | None:
        """What `text` says; None if it is no handle of ours."""
        try:
            raw = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError):
            return None
        if len(raw) != _CHECK.size + _FACTS.size or _CHECK.unpack(raw[:4])[0] != zlib.crc32(raw[4:], self.key):
            return None
        return Handle(*_FACTS.unpack(raw[4:]))
