"""The transport on the loop, over TLS: who is spoken to, and what is said where it is somebody else."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable

import pytest

from hadoken.errors import SQSError, SQSUnavailable
from hadoken.sqs.api import NO_ANSWER, NOT_CONNECTED, Receive, SendBatch, SendEntry
from hadoken.sqs.wire import UNREADABLE
from tests.support.authority import WRONG, Authority, Kind
from tests.support.on_loop import LIMIT, LOOPS, Loop, left, opened, run, until
from tests.support.peer import (
    Action,
    Peer,
    Served,
    answer,
    drip,
    endless,
    hang_up,
    reset,
    silence,
    split,
    then_hang_up,
)

URL = b'{"QueueUrl":"http://sqs/1/q"}'
OK = answer(URL)
OPEN_ENDED = b"HTTP/1.1 200 OK\r\n\r\n" + URL
TICK = 0.05  # seconds by which the clock that OpenSSL looks at may be behind, and much more
SHORT = 0.3  # seconds that a call may take where it is meant to fail
POLL = Receive("http://sqs/1/q", 1, 20, 30)


@pytest.fixture(params=list(LOOPS))
def loop(request: pytest.FixtureRequest) -> Loop:
    """Each kind of loop."""
    return LOOPS[request.param]


def goodbye(data: bytes) -> Action:
    """Answer, and end TLS as it should be ended."""

    def act(served: Served) -> None:
        served.send(data)
        sock = served.sock
        assert isinstance(sock, ssl.SSLSocket)
        sock.unwrap()
        hang_up(served)

    return act


def in_handshake(do: Callable[[socket.socket], None]) -> type[Peer]:
    """A server that does something of its own with a connection as soon as the client has said hello."""

    class Rude(Peer):
        """See `in_handshake`."""

        def _connection(self, plain: socket.socket) -> None:
            with plain:
                plain.settimeout(LIMIT)
                plain.recv(1)
                do(plain)
            self.hung_up.set()

    return Rude


async def refused(url: str, authority: Authority, **settings: object) -> SQSError:
    """How a call fails."""
    async with opened(url, ca_bundle=str(authority.bundle), **settings) as sqs:
        with pytest.raises(SQSUnavailable) as raised:
            await sqs.queue_url("q")
        assert not left(sqs)
        return raised.value


def test_calls_go_over_one_connection(loop: Loop, authority: Authority) -> None:
    """And a later one goes on with the session of the first, which spares both sides the long handshake."""

    async def body(url: str) -> list[bool]:
        async with opened(url, ca_bundle=str(authority.bundle)) as sqs:
            reused = []
            for _ in range(2):
                await sqs.queue_url("q")
                await sqs.queue_url("q")
                (line,) = sqs.lines._idle
                assert line.tls is not None
                reused.append(bool(line.tls._object.session_reused))
                line.close()
            return reused

    with Peer(*[OK] * 4, tls=authority.server_context()) as peer:
        assert run(loop, body(peer.url)) == [False, True]
    assert peer.connections == 2


@pytest.mark.parametrize("size", [0, 20_000, 300_000])
def test_an_answer_in_two_pieces_is_whole(loop: Loop, authority: Authority, size: int) -> None:
    """In records of its own, or across them."""
    whole = answer(b'{"QueueUrl":"http://sqs/1/' + b"q" * size + b'"}')
    cuts = range(1, len(whole), max(1, len(whole) // 30))

    async def body(url: str) -> None:
        async with opened(url, ca_bundle=str(authority.bundle)) as sqs:
            for _ in cuts:
                assert len(await sqs.queue_url("q")) == 13 + size

    with Peer(*[split(whole, at) for at in cuts], tls=authority.server_context()) as peer:
        run(loop, body(peer.url))
    assert peer.connections == 1


@pytest.mark.parametrize(
    ("kind", "says"),
    list(
        zip(
            WRONG,
            [
                r"Hostname mismatch|not valid for 'localhost'",
                "certificate has expired",
                "self-signed certificate",
                "unable to get local issuer certificate|self-signed certificate in certificate chain|signature failure",
            ],
            strict=True,
        )
    ),
)
def test_a_wrong_certificate_is_refused_with_its_reason(
    loop: Loop, authority: Authority, kind: Kind, says: str
) -> None:
    """Host and fault are said, nothing is sent, and when it is mended the next call works."""
    context = authority.server_context(kind)
    good = authority.certificate()

    async def body(peer: Peer) -> SQSError:
        async with opened(peer.url, ca_bundle=str(authority.bundle)) as sqs:
            with pytest.raises(SQSUnavailable, match=says) as raised:
                await sqs.queue_url("q")
            assert (peer.connections, peer.requests) == (1, [])
            context.load_cert_chain(good.cert, good.key)
            assert await sqs.queue_url("q") == "http://sqs/1/q"
            return raised.value

    with Peer(OK, tls=context) as peer:
        error = run(loop, body(peer))
    assert (error.operation, error.code, error.transient) == ("GetQueueUrl", NOT_CONNECTED, True)
    assert f"the certificate of localhost:{peer.port} is refused: " in str(error)


def test_without_verification_any_certificate_will_do(loop: Loop, authority: Authority) -> None:
    """As `verify=False` of boto3."""

    async def body(url: str) -> str:
        async with opened(url, verify=False) as sqs:
            return await sqs.queue_url("q")

    with Peer(OK, tls=authority.server_context("self-signed")) as peer:
        assert run(loop, body(peer.url)) == "http://sqs/1/q"


def test_a_certificate_that_expires_while_connected_ends_the_connection(authority: Authority) -> None:
    """A request under way gets its answer; then the connection is closed, and no session goes round the next look."""

    async def body(peer: Peer) -> None:
        async with opened(peer.url, ca_bundle=str(authority.bundle)) as sqs:
            await sqs.queue_url("q")
            (line,) = sqs.lines._idle
            poll = sqs.receive(POLL)
            await until(lambda: line.good_until + TICK < sqs.loop.time())
            ended.set()
            assert not (await poll).messages
            assert not left(sqs)
            with pytest.raises(SQSUnavailable, match="certificate has expired") as raised:
                await sqs.queue_url("q")
            assert raised.value.code == NOT_CONNECTED

    def poll_until_then(served: Served) -> None:
        assert ended.wait(LIMIT)
        served.send(answer(b"{}"))

    ended = threading.Event()
    with Peer(OK, poll_until_then, OK, tls=authority.server_context(lasting=2.0)) as peer:
        run(LOOPS["asyncio"], body(peer))
    assert len(peer.requests) == 2


@pytest.mark.parametrize(
    ("rude", "says"),
    [
        (in_handshake(lambda _: None), "in the handshake|reset by peer|closed it"),
        (in_handshake(lambda sock: sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")), "plain HTTP|reset by peer"),
        (in_handshake(lambda sock: sock.sendall(b"\x15\x03\x01\x00\x02\x02\x28")), "HANDSHAKE_FAILURE|reset by peer"),
    ],
    ids=["closes", "plain", "alert"],
)
def test_a_handshake_that_fails(loop: Loop, authority: Authority, rude: type[Peer], says: str) -> None:
    """Whatever the other side does instead of it."""
    with rude() as peer:
        error = run(loop, refused(peer.url.replace("http:", "https:"), authority))
    assert re.search(says, str(error))
    assert (error.code, error.operation) == (NOT_CONNECTED, "GetQueueUrl")


def test_a_handshake_that_is_not_answered_ends_in_time(loop: Loop, authority: Authority) -> None:
    """The connection is there, and nobody speaks."""
    with in_handshake(lambda sock: sock.recv(65_536) and None)(reads=False) as peer:
        error = run(loop, refused(peer.url.replace("http:", "https:"), authority, connect_timeout=SHORT))
    assert "TLS" in str(error) or "closed" in str(error)
    assert error.code == NOT_CONNECTED


def test_plain_http_to_a_server_of_tls(loop: Loop, authority: Authority) -> None:
    """The other way round: an error with its reason, too."""
    with Peer(OK, tls=authority.server_context()) as peer:
        error = run(loop, refused(peer.url.replace("https:", "http:"), authority))
    assert error.code in {UNREADABLE, NO_ANSWER}


@pytest.mark.parametrize(
    ("action", "says"),
    [
        (goodbye(OPEN_ENDED), ""),
        (then_hang_up(OPEN_ENDED), "in the middle of an answer"),
        (goodbye(OK[:-3]), "in the middle of an answer"),
        (then_hang_up(OK[:-3]), "in the middle of an answer"),
        (hang_up, "the connection broke"),
        (reset, "the connection broke"),
    ],
    ids=["said", "cut", "said too early", "cut too early", "nothing", "broken off"],
)
def test_only_an_end_that_is_said_completes_an_answer(
    loop: Loop, authority: Authority, action: Action, says: str
) -> None:
    """Anybody on the way can close a connection; only the server can say that there is no more."""

    async def body(url: str) -> None:
        async with opened(url, ca_bundle=str(authority.bundle)) as sqs:
            if says:
                with pytest.raises(SQSUnavailable, match=says):
                    await sqs.queue_url("q")
            else:
                assert await sqs.queue_url("q") == "http://sqs/1/q"
            assert not left(sqs)
            assert await sqs.queue_url("q") == "http://sqs/1/q"

    with Peer(action, OK, tls=authority.server_context()) as peer:
        run(loop, body(peer.url))
    assert peer.connections == 2


@pytest.mark.parametrize("fault", [goodbye(OK), hang_up, reset], ids=["said", "at the request", "broken off"])
def test_idle_connections_that_were_closed_cost_no_call(loop: Loop, authority: Authority, fault: Action) -> None:
    """As over plain HTTP."""

    async def body(url: str) -> set[str]:
        async with opened(url, ca_bundle=str(authority.bundle)) as sqs:
            return {await sqs.queue_url("q") for _ in range(3)}

    script = [OK, fault, OK, OK] if fault is not None else []
    with Peer(*script, tls=authority.server_context()) as peer:
        assert run(loop, body(peer.url)) == {"http://sqs/1/q"}
    assert peer.connections >= 2


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (silence, NO_ANSWER),
        (drip(OK[:20]), NO_ANSWER),
        (b"garbage\r\n\r\n", UNREADABLE),
        (endless(b"HTTP/1.1 200 OK\r\n", b"X-More: " + b"x" * 8000 + b"\r\n"), UNREADABLE),
    ],
    ids=["silence", "drip", "garbage", "endless head"],
)
def test_what_is_no_answer_ends_in_time(loop: Loop, authority: Authority, fault: Action, code: str) -> None:
    """Deadlines and bounds hold over TLS, too."""
    with Peer(fault, tls=authority.server_context()) as peer:
        assert run(loop, refused(peer.url, authority, call_timeout=SHORT)).code == code


def test_bytes_that_were_damaged_on_their_way_are_refused(loop: Loop, authority: Authority) -> None:
    """The answer is not guessed at."""

    def damage(served: Served) -> None:
        raw = socket.socket(fileno=served.sock.detach())
        with raw:
            raw.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)
            raw.settimeout(LIMIT)
            raw.recv(65_536)
        served.peer.hung_up.set()

    with Peer(damage, tls=authority.server_context()) as peer:
        error = run(loop, refused(peer.url, authority))
    assert "the connection broke" in str(error)
    assert error.code == NO_ANSWER


@pytest.mark.parametrize("reads", [True, False], ids=["reads", "does not read"])
def test_a_large_request(loop: Loop, authority: Authority, reads: bool) -> None:
    """Arrives whole, or ends by its deadline where nobody reads it."""
    done = answer(b'{"Successful":[{"Id":"0","MessageId":"m"}]}')
    batch = SendBatch("http://sqs/1/q", [SendEntry("x" * 1_000_000)] * (1 if reads else 10))

    async def body(url: str) -> None:
        limit = LIMIT if reads else SHORT
        async with opened(url, ca_bundle=str(authority.bundle), call_timeout=limit) as sqs:
            if reads:
                assert (await sqs.send_batch(batch)).sent == {0: "m"}
                assert sqs.lines._idle
            else:
                with pytest.raises(SQSUnavailable, match="no answer within"):
                    await sqs.send_batch(batch)

    with Peer(done, tls=authority.server_context(), reads=reads) as peer:
        run(loop, body(peer.url))


def test_a_connection_that_cannot_encrypt_is_replaced(loop: Loop, authority: Authority) -> None:
    """Whatever OpenSSL has against it: nothing is raised by the call itself."""

    async def body(url: str) -> str:
        async with opened(url, ca_bundle=str(authority.bundle)) as sqs:
            await sqs.queue_url("q")
            (line,) = sqs.lines._idle
            assert line.tls is not None
            line.tls.goodbye()  # after which it may say no more
            return await sqs.queue_url("q")

    with Peer(OK, OK, tls=authority.server_context()) as peer:
        assert run(loop, body(peer.url)) == "http://sqs/1/q"
    assert peer.connections == 2


def test_idle_connections_are_closed_with_a_goodbye(loop: Loop, authority: Authority) -> None:
    """The server sees an end of TLS, not a connection that was cut off."""
    said: list[bytes] = []

    def listen(served: Served) -> None:
        served.send(OK)
        assert isinstance(served.sock, ssl.SSLSocket)
        served.sock.suppress_ragged_eofs = False  # then an end that was not said raises
        said.append(served.sock.recv(1))

    async def body(url: str) -> None:
        async with opened(url, ca_bundle=str(authority.bundle)) as sqs:
            await sqs.queue_url("q")

    with Peer(listen, tls=authority.server_context()) as peer:
        run(loop, body(peer.url))
        assert peer.hung_up.wait(LIMIT)
    assert said == [b""]


def test_a_poll_that_is_cancelled_closes_its_connection(loop: Loop, authority: Authority) -> None:
    """At once, and without a word: what was asked cannot be taken back otherwise."""

    async def body(peer: Peer) -> None:
        async with opened(peer.url, ca_bundle=str(authority.bundle)) as sqs:
            poll = sqs.receive(POLL)
            await until(lambda: len(peer.requests) == 1)
            poll.cancel()
            await until(peer.hung_up.is_set)

    with Peer(silence, tls=authority.server_context()) as peer:
        run(loop, body(peer))
