"""TLS without I/O: against a server that is no more than two buffers, too."""

from __future__ import annotations

import math
import ssl
from collections.abc import Callable
from contextlib import suppress

import pytest

from hadoken.clock import SYSTEM
from hadoken.sqs.tls import RECORD, Tls
from tests.support.authority import WRONG, Authority, Kind


class Server:
    """The other side, in memory: bytes in, bytes out.

    Attributes:
        got: what the client has said so far.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._in, self._out, server_side=True)
        self._done = False
        self.got = b""

    def feed(self, data: bytes) -> bytes:
        """Take in bytes of the client; returns the answer to them."""
        self._in.write(data)
        with suppress(ssl.SSLWantReadError):
            if not self._done:
                self._object.do_handshake()
                self._done = True
            while True:
                self.got += self._object.read(RECORD) if self._in.pending else b""
                if not self._in.pending:
                    break
        return self._out.read()

    def say(self, data: bytes) -> bytes:
        """Bytes that tell the client `data`."""
        self._object.write(data)
        return self._out.read()

    def end(self) -> bytes:
        """Bytes that tell the client that there will be no more."""
        with suppress(ssl.SSLWantReadError):
            self._object.unwrap()
        return self._out.read()


Pair = Callable[..., tuple[Tls, Server]]


@pytest.fixture
def pair(authority: Authority) -> Pair:
    """Makes both sides, connected."""
    context = authority.client_context()
    theirs = authority.server_context()

    def make(session: ssl.SSLSession | None = None, cut: int = 0) -> tuple[Tls, Server]:
        tls, server = Tls(context, "localhost", session), Server(theirs)
        said = tls.start()
        while said:
            answer = server.feed(said)
            for piece in pieces(answer, cut):
                assert tls.feed(piece) == b""
            said = tls.take()
        assert tls.established
        return tls, server

    return make


def pieces(data: bytes, size: int) -> list[bytes]:
    """Data in pieces of this size; 0 leaves it whole."""
    return [data[at : at + size] for at in range(0, len(data), size)] if size else [data] if data else []


@pytest.mark.parametrize("cut", [0, 1, 7])
@pytest.mark.parametrize("size", [1, 100, RECORD, RECORD + 1, 100_000])
def test_both_sides_hear_each_other(pair: Pair, size: int, cut: int) -> None:
    """Whatever the size, and however the bytes are cut; the handshake too."""
    tls, server = pair(cut=cut)
    data = bytes(range(256)) * (size // 256 + 1)
    server.feed(tls.encrypt(data[:size]))
    assert server.got == data[:size]
    assert b"".join(map(tls.feed, pieces(server.say(data[:size]), cut))) == data[:size]
    assert not tls.pending
    assert not tls.ended


def test_an_end_is_heard_with_what_came_before_it(pair: Pair) -> None:
    """The last words and the goodbye may come in one piece."""
    tls, server = pair()
    assert tls.feed(server.say(b"last") + server.end()) == b"last"
    assert tls.ended


def test_our_goodbye_is_heard(pair: Pair) -> None:
    """The other side sees an end, and not a connection that was cut off."""
    tls, server = pair()
    server._in.write(tls.goodbye())
    assert server._object.read(1) == b""


@pytest.mark.parametrize("at", range(0, 60, 7))
def test_damaged_bytes_are_refused(pair: Pair, at: int) -> None:
    """One bit of a record that is not the sender's."""
    tls, server = pair()
    record = bytearray(server.say(b"x" * 60))
    record[at] ^= 1
    with pytest.raises(ssl.SSLError):
        tls.feed(bytes(record) * 10)  # a length that is larger than what is there is only found out later


@pytest.mark.parametrize("kind", WRONG)
def test_a_certificate_that_is_wrong_is_refused(authority: Authority, kind: Kind) -> None:
    """Before a byte of the program is sent."""
    tls, server = Tls(authority.client_context(), "localhost"), Server(authority.server_context(kind))
    with pytest.raises(ssl.SSLCertVerificationError):
        tls.feed(server.feed(tls.start()))
    assert not tls.established
    assert tls.pending  # the other side is told why


def test_what_is_no_tls_is_refused(authority: Authority) -> None:
    """An answer in plain HTTP."""
    tls = Tls(authority.client_context(), "localhost")
    tls.start()
    with pytest.raises(ssl.SSLError, match=r"WRONG_VERSION_NUMBER|PACKET_LENGTH|RECORD_LAYER"):
        tls.feed(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def test_a_session_goes_on(pair: Pair) -> None:
    """The next handshake is the short one; a session is whole once something was heard."""
    tls, server = pair()
    tls.feed(server.say(b"x"))
    again, _ = pair(tls.session)
    assert again._object.session_reused
    assert not tls._object.session_reused


def test_it_is_known_when_the_certificate_expires(authority: Authority, pair: Pair) -> None:
    """By the certificate; never, where nobody looked at it."""
    tls, server = pair()
    assert tls.expires() > SYSTEM.wall() + 86_400
    context = authority.client_context()
    short, server = Tls(context, "localhost"), Server(authority.server_context(lasting=3600))
    server.feed(short.feed(server.feed(short.start())))
    assert abs(short.expires() - SYSTEM.wall() - 3600) < 60
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    blind, server = Tls(context, "localhost"), Server(authority.server_context("self-signed"))
    blind.feed(server.feed(blind.start()))
    assert blind.established
    assert blind.expires() == math.inf
