"""TLS without I/O: bytes of the network in, bytes of the program out, and the other way round.

asyncio's own TLS holds 303 KiB for a connection, most of it a buffer for what is being read. This holds what OpenSSL
does: a connection takes about 32 KiB with all that is around it (benchmarks/on_loop).
"""

from __future__ import annotations

import math
import ssl
from contextlib import suppress
from typing import Final

RECORD: Final = 16_384  # bytes of the program in one record, at most. Source: RFC 8446, 5.1


class Tls:
    """The client's side of one connection.

    Args:
        context: whom to trust.
        host: the name, or the address, that the server's certificate must be for.
        session: an earlier one with the same server, which saves most of the handshake; it is the server's to take.

    Attributes:
        established: whether the handshake is over, so that `encrypt` may be called.
        ended: whether the other side has said that it will send no more.
    """

    __slots__ = ("_in", "_object", "_out", "ended", "established")

    def __init__(self, context: ssl.SSLContext, host: str, session: ssl.SSLSession | None = None) -> None:
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._in, self._out, server_hostname=host, session=session)
        self.established = False
        self.ended = False

    def start(self) -> bytes:
        """Begin the handshake; returns what to send."""
        self._shake()
        return self.take()

    def feed(self, data: bytes) -> bytes:
        """Take in what came; returns what it says to the program, often nothing. `take` has what is to be sent then.

        Raises:
            ssl.SSLError: the handshake failed, or the bytes are damaged; `SSLCertVerificationError`: the other side is
                not the one it should be.
        """
        source = self._in
        source.write(data)
        if not self.established and not self._shake():
            return b""
        parts: list[bytes] = []
        try:
            while not self.ended and source.pending:  # else there is, at most, the beginning of a record
                part = self._object.read(RECORD)
                parts.append(part)
                self.ended = not part  # OpenSSL's way to give the other side's goodbye
        except ssl.SSLWantReadError:
            pass
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def encrypt(self, data: bytes) -> bytes:
        """What to send so that the other side gets `data`."""
        self._object.write(data)
        return self._out.read()

    @property
    def pending(self) -> bool:
        """Whether `take` has anything."""
        return self._out.pending > 0

    def take(self) -> bytes:
        """What is to be sent now."""
        return self._out.read()

    def goodbye(self) -> bytes:
        """What to send before the connection is closed."""
        with suppress(ssl.SSLError):  # it waits for the other side's, which we do not
            self._object.unwrap()
        return self._out.read()

    @property
    def session(self) -> ssl.SSLSession | None:
        """What a later connection may go on from; complete once an answer has come."""
        return self._object.session

    def expires(self) -> float:
        """When the server's certificate expires, in seconds since 1970; infinity where it was not verified."""
        return expiry(self._object)

    def _shake(self) -> bool:
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        self.established = True
        return True


def expiry(connection: ssl.SSLObject | ssl.SSLSocket) -> float:
    """When the other side's certificate expires, in seconds since 1970; infinity where it was not verified."""
    certificate = connection.getpeercert()
    return float(ssl.cert_time_to_seconds(str(certificate["notAfter"]))) if certificate else math.inf
