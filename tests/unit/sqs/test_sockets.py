"""The blocking client of our own: what goes out, what comes back, and what a server that misbehaves costs."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hadoken.clock import SYSTEM
from hadoken.errors import ConfigurationError, SQSDenied, SQSError, SQSUnavailable
from hadoken.sqs import kept
from hadoken.sqs.answer import MAX_BODY, MAX_HEAD
from hadoken.sqs.api import NO_ANSWER, NO_CREDENTIALS, NOT_CONNECTED, SendBatch, SendEntry
from hadoken.sqs.credentials import Credentials, Keys
from hadoken.sqs.settings import Settings
from hadoken.sqs.sockets import FastClient
from hadoken.sqs.wire import UNREADABLE
from tests.support.authority import WRONG, Authority, Kind
from tests.support.peer import (
    LIMIT,
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

KEYS = Keys("key", "secret", None)
URL = b'{"QueueUrl":"http://sqs/1/q"}'
OK = answer(URL)
EXPIRED = answer(b'{"__type":"com.amazon.coral.service#ExpiredTokenException","message":"old"}', status="403 Forbidden")
SHORT = 0.3  # seconds that a call may take where it is meant to fail

Client = Callable[..., FastClient]


@pytest.fixture
def client() -> Iterator[Client]:
    """Makes clients; a call may take ten seconds unless said otherwise."""
    made: list[FastClient] = []

    def make(url: str, **settings: Any) -> FastClient:
        given = {"credentials": Credentials.fixed(KEYS), "call_timeout": LIMIT, "connect_timeout": LIMIT} | settings
        one = FastClient(Settings(url, "us-east-1", **given))
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority of this file."""
    return Authority(tmp_path_factory.mktemp("authority"))


class Temporary:
    """Credentials that expire, as botocore has them; counts how often they were asked for, and in which thread."""

    def __init__(self) -> None:
        self.asked = 0
        self.loaded = 0
        self.threads: set[int] = set()
        self.broken = False

    def __call__(self) -> Temporary:
        """Be found."""
        self.loaded += 1
        self.threads.add(threading.get_ident())
        return self

    def refresh_needed(self) -> bool:
        """Mark them as such."""
        return False

    def get_frozen_credentials(self) -> Keys:
        """Give the keys of now."""
        self.asked += 1
        if self.broken:
            raise OSError("the role is gone")
        return Keys(f"key{self.loaded}", "secret", "token")


# ---- connections -----------------------------------------------------------------------------------------------------


def test_a_request_is_signed_json_and_its_answer_is_read(client: Client) -> None:
    """Target, signature and body are on the wire; calls share one connection."""
    with Peer(OK, OK, OK) as peer:
        mine = client(peer.url)
        assert [mine.queue_url("q") for _ in range(3)] == ["http://sqs/1/q"] * 3
    assert (peer.connections, len(peer.requests)) == (1, 3)
    head, _, body = peer.requests[0].partition(b"\r\n\r\n")
    assert b"X-Amz-Target: AmazonSQS.GetQueueUrl" in head
    assert b"Credential=key/" in head
    assert msgspec.json.decode(body) == {"QueueName": "q"}


def test_a_connection_that_was_closed_costs_no_call(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed while idle, closed or broken off at the next request: reopened once, and the caller sees nothing of it."""
    with Peer(then_hang_up(OK), OK, hang_up, OK, reset, OK) as peer:
        mine = client(peer.url)
        mine.queue_url("q")
        assert peer.hung_up.wait(LIMIT)
        monkeypatch.setattr(kept, "LOOK_AFTER", 0.0)
        mine.queue_url("q")
        monkeypatch.setattr(kept, "LOOK_AFTER", LIMIT)
        mine.queue_url("q")
        mine.queue_url("q")
    assert (peer.connections, len(peer.requests)) == (4, 6)


@pytest.mark.parametrize("fault", [hang_up, reset], ids=["closed", "broken off"])
def test_a_new_connection_is_not_replaced(client: Client, fault: Action) -> None:
    """Sent once: who hangs up on everyone is not asked again by us. Nobody knows whether it was applied."""
    with Peer(OK, hang_up, fault, OK) as peer:
        mine = client(peer.url)
        mine.queue_url("q")
        with pytest.raises(SQSUnavailable, match="GetQueueUrl failed: the connection broke") as raised:
            mine.queue_url("q")
        assert mine.queue_url("q") == "http://sqs/1/q"
    assert len(peer.requests) == 4
    assert (raised.value.code, raised.value.operation, raised.value.transient) == (NO_ANSWER, "GetQueueUrl", True)


@pytest.mark.parametrize("name", ["MAX_AGE", "MAX_IDLE"])
def test_an_old_or_forgotten_connection_is_not_used(client: Client, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond its age, or its time without use, a connection is replaced before anything is sent by it."""
    monkeypatch.setattr(kept, name, -1.0)
    with Peer(OK, OK, OK) as peer:
        mine = client(peer.url)
        for _ in range(3):
            mine.queue_url("q")
    assert (peer.connections, len(peer.requests)) == (3, 3)


def test_few_connections_are_kept(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight threads at once have one each; two are kept, and the others are closed as their answers are read."""
    monkeypatch.setattr(kept, "MAX_KEPT", 2)
    together = threading.Barrier(8)
    closed: list[bool] = []

    def meet(served: Served) -> None:
        together.wait(LIMIT)
        served.send(OK)
        closed.append(not served.request())

    with Peer(*[meet] * 8) as peer:
        mine = client(peer.url)
        threads = [threading.Thread(target=mine.queue_url, args=("q",)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT)
        assert len(mine._lines._idle) == 2
        mine.close()
    assert (peer.connections, closed) == (8, [True] * 8)


def test_after_close_no_connection_is_kept(client: Client) -> None:
    """Idle connections are closed at once; one that is opened by a later call, as soon as its answer is there."""
    with Peer(OK, OK) as peer:
        mine = client(peer.url)
        mine.queue_url("q")
        mine.close()
        assert peer.hung_up.wait(LIMIT)
        mine.queue_url("q")
        assert not mine._lines._idle
    assert peer.connections == 2


def test_after_a_fork_the_parents_connections_are_closed_unused(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process id means a copy of the parent's sockets: nothing is sent by them."""
    with Peer(OK, OK, OK) as peer:
        mine = client(peer.url)
        mine.queue_url("q")
        monkeypatch.setattr(kept.os, "getpid", lambda: 1)
        mine.queue_url("q")
        mine.queue_url("q")
    assert (peer.connections, len(peer.requests)) == (2, 3)


# ---- addresses -------------------------------------------------------------------------------------------------------


def addresses(*ports: int) -> Callable[..., list[Any]]:
    """A resolver that knows these addresses, in this order."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]
    return lambda *_, **__: found


@pytest.fixture
def refusing() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def silent() -> Iterator[int]:
    """A port whose connections are never made: its backlog is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        yield int(listener.getsockname()[1])
        for each in waiting:
            each.close()


def test_the_next_address_is_tried(client: Client, refusing: int, silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that refuses, and one that is silent, leave time for the one that answers."""
    monkeypatch.setattr(kept, "_LEAST_TRY", 0.1)
    with Peer(OK) as peer:
        monkeypatch.setattr(kept.socket, "getaddrinfo", addresses(refusing, silent, peer.port))
        assert client(peer.url, connect_timeout=1.0).queue_url("q") == "http://sqs/1/q"


def test_all_addresses_share_one_time_limit(client: Client, silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty silent addresses take no longer than one."""
    monkeypatch.setattr(kept.socket, "getaddrinfo", addresses(*[silent] * 20))
    monkeypatch.setattr(kept, "_LEAST_TRY", 0.1)
    mine = client("http://sqs.invalid/", connect_timeout=SHORT)
    before = SYSTEM.lease()
    with pytest.raises(SQSUnavailable, match=r"no connection in time \(sqs.invalid\)") as raised:
        mine.queue_url("q")
    assert SYSTEM.lease() - before < LIMIT
    assert raised.value.code == NOT_CONNECTED


@pytest.mark.parametrize(
    ("resolve", "says"),
    [
        (OSError("no such name"), "no connection: no such name"),
        (UnicodeError("label too long"), "no connection: label too long"),
        (None, "no connection: .*refused"),
    ],
    ids=["unknown", "no name", "refused"],
)
def test_nobody_there(
    client: Client, refusing: int, resolve: Exception | None, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that is none, and a host that refuses: certainly nothing was sent, and the reason is said."""

    def fail(*_: object, **__: object) -> list[Any]:
        assert resolve is not None
        raise resolve

    mine = client(f"http://127.0.0.1:{refusing}/")
    if resolve is not None:
        monkeypatch.setattr(kept.socket, "getaddrinfo", fail)
    with pytest.raises(SQSUnavailable, match=says) as raised:
        mine.queue_url("q")
    assert (raised.value.code, raised.value.transient) == (NOT_CONNECTED, True)


# ---- answers that are none -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "code", "says"),
    [
        pytest.param(b"garbage\r\n\r\n", UNREADABLE, "no HTTP", id="garbage"),
        pytest.param(then_hang_up(OK[:-5]), UNREADABLE, "in the middle", id="half a body"),
        pytest.param(then_hang_up(answer(URL, "Content-Length: 99")), UNREADABLE, "HTTP|Length", id="two lengths"),
        pytest.param(then_hang_up(OK[:30]), UNREADABLE, "in the middle", id="half a head"),
        pytest.param(answer(b"<html>hello</html>", "Content-Type: text/html"), UNREADABLE, "not from SQS", id="a page"),
        pytest.param(
            answer(b"<html>oops</html>", "Content-Type: text/html", status="502 Bad Gateway"),
            UNREADABLE,
            "oops",
            id="a page of a proxy",
        ),
        pytest.param(
            answer(b"", "Location: http://elsewhere/", status="302 Found"), UNREADABLE, "redirect", id="a redirect"
        ),
        pytest.param(
            endless(b"HTTP/1.1 200 OK\r\n", b"X-More: " + b"x" * 8000 + b"\r\n"),
            UNREADABLE,
            f"{MAX_HEAD}|[Hh]ead",
            id="endless head",
        ),
        pytest.param(
            endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1_000_000), UNREADABLE, f"{MAX_BODY}", id="endless body"
        ),
    ],
)
def test_what_is_no_answer_is_an_error_with_its_reason(client: Client, fault: Action, code: str, says: str) -> None:
    """The operation and the reason are in the error, and the next call works."""
    with Peer(fault, OK) as peer:
        mine = client(peer.url)
        with pytest.raises(SQSUnavailable, match=says) as raised:
            mine.queue_url("q")
        assert mine.queue_url("q") == "http://sqs/1/q"
    assert (raised.value.operation, raised.value.code, raised.value.transient) == ("GetQueueUrl", code, True)


def test_an_answer_cut_anywhere_is_an_error_and_the_next_call_works(client: Client) -> None:
    """At every byte of an answer the connection may end."""
    script: list[Action] = []
    for at in range(1, len(OK)):
        script += [then_hang_up(OK[:at]), OK, hang_up]
    with Peer(*script) as peer:
        for _ in range(1, len(OK)):
            mine = client(peer.url)
            with pytest.raises(SQSUnavailable, match="GetQueueUrl failed"):
                mine.queue_url("q")
            assert mine.queue_url("q") == "http://sqs/1/q"
            mine.close()
            peer.script.pop(0)


def test_an_answer_in_two_pieces_is_whole(client: Client) -> None:
    """Wherever it is parted."""
    with Peer(*[split(OK, at) for at in range(1, len(OK))]) as peer:
        mine = client(peer.url)
        assert {mine.queue_url("q") for _ in range(1, len(OK))} == {"http://sqs/1/q"}
    assert peer.connections == 1


@pytest.mark.parametrize(
    "fault",
    [silence, drip(OK[:20]), drip(b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n", pause=0.001)],
    ids=["silence", "dripping head", "dripping body"],
)
def test_a_call_ends_at_its_deadline(client: Client, fault: Action) -> None:
    """However the bytes of an answer are spread over time; the connection is given up."""
    with Peer(fault) as peer:
        mine = client(peer.url, call_timeout=SHORT)
        before = SYSTEM.lease()
        with pytest.raises(SQSUnavailable, match=r"no answer within 0.3 s \(localhost:\d+\)") as raised:
            mine.queue_url("q")
        assert SHORT <= SYSTEM.lease() - before < LIMIT
        assert raised.value.code == NO_ANSWER
        assert not mine._lines._idle
        assert peer.hung_up.wait(LIMIT)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_server_that_does_not_read_ends_a_large_request(client: Client, authority: Authority, tls: bool) -> None:
    """Ten megabytes that nobody takes end by the deadline, too."""
    entry = SendEntry("x" * 1_000_000)
    context = authority.server_context() if tls else None
    with Peer(tls=context, reads=False) as peer:
        mine = client(peer.url, call_timeout=SHORT, ca_bundle=str(authority.bundle))
        with pytest.raises(SQSUnavailable, match="SendMessageBatch failed: no answer within"):
            mine.send_batch(SendBatch("http://sqs/1/q", [entry] * 10))


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_large_request_arrives_whole(client: Client, authority: Authority, tls: bool) -> None:
    """More than a socket takes at once is written on as it is read."""
    entry = SendEntry("x" * 1_000_000)
    done = answer(b'{"Successful":[{"Id":"0","MessageId":"m"}]}')
    with Peer(done, tls=authority.server_context() if tls else None) as peer:
        sent = client(peer.url, ca_bundle=str(authority.bundle)).send_batch(SendBatch("http://sqs/1/q", [entry]))
    assert sent.sent == {0: "m"}
    assert entry.body.encode() in peer.requests[0]


# ---- refusals that a second signature mends --------------------------------------------------------------------------


def test_expired_keys_are_renewed_in_the_calling_thread(client: Client) -> None:
    """Then the same request goes once more, with the new key; no thread is started."""
    source = Temporary()
    threads = threading.active_count()
    with Peer(EXPIRED, OK) as peer:
        mine = client(peer.url, credentials=Credentials(source))
        threads = threading.active_count() - threads
        assert mine.queue_url("q") == "http://sqs/1/q"
    assert [f"Credential=key{n}/".encode() in one for n, one in enumerate(peer.requests, 1)] == [True, True]
    assert (source.loaded, source.threads) == (2, {threading.get_ident()})


def test_keys_that_stay_expired_are_an_error(client: Client) -> None:
    """Two requests, not three."""
    with Peer(EXPIRED, EXPIRED, OK) as peer:
        mine = client(peer.url, credentials=Credentials(Temporary()))
        with pytest.raises(SQSDenied, match="ExpiredToken"):
            mine.queue_url("q")
    assert len(peer.requests) == 2


def test_keys_that_cannot_be_renewed_are_an_error_that_says_so(client: Client) -> None:
    """The reason of the role is what the caller reads."""
    source = Temporary()
    credentials = Credentials(source)

    def break_off(served: Served) -> None:
        source.broken = True
        served.send(EXPIRED)

    with Peer(break_off, OK) as peer, pytest.raises(SQSDenied, match="the role is gone") as raised:
        client(peer.url, credentials=credentials).queue_url("q")
    assert raised.value.transient
    assert len(peer.requests) == 1


def test_keys_that_are_about_to_expire_are_looked_at_before_each_request(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """Where that fails, those that are there are used, and the failure is logged."""
    source = Temporary()
    with Peer(OK, OK, OK) as peer:
        mine = client(peer.url, credentials=Credentials(source))
        asked = source.asked
        mine.queue_url("q")
        mine.queue_url("q")
        assert source.asked == asked + 2
        source.broken = True
        with caplog.at_level(logging.WARNING, "hadoken.sqs"):
            mine.queue_url("q")
    assert "the role is gone" in caplog.text
    assert len(peer.requests) == 3


def test_without_credentials_nothing_is_opened(client: Client) -> None:
    """The error names what is missing."""
    with Peer() as peer, pytest.raises(SQSDenied, match="no AWS credentials") as raised:
        client(peer.url, credentials=Credentials(lambda: None)).queue_url("q")
    assert (raised.value.code, peer.connections) == (NO_CREDENTIALS, 0)


@pytest.mark.parametrize("ahead", [3600, -3600])
def test_a_clock_that_is_off_is_set_by_the_servers(client: Client, ahead: int) -> None:
    """A request that is refused for its time goes once more, signed with the server's; so do later ones at once."""
    date = f"Date: {formatdate(SYSTEM.wall() + ahead, usegmt=True)}"
    body = b'{"__type":"com.amazonaws.sqs#RequestTimeTooSkewed","message":"off"}'
    skewed = answer(body, date, status="403 Forbidden")
    with Peer(skewed, OK, OK, skewed, skewed, OK) as peer:
        mine = client(peer.url)
        assert [mine.queue_url("q"), mine.queue_url("q")] == ["http://sqs/1/q"] * 2
        with pytest.raises(SQSDenied, match="RequestTimeTooSkewed"):
            mine.queue_url("q")
    first, *others = [one.split(b"X-Amz-Date: ")[1][:11] for one in peer.requests]
    assert len(others) == 4
    assert first not in others


def test_other_refusals_are_sent_once(client: Client) -> None:
    """A throttled request is the retry policy's, which lives above."""
    refusal = answer(b'{"__type":"com.amazonaws.sqs#RequestThrottled","message":"slow"}', status="403 Forbidden")
    with Peer(refusal, OK) as peer, pytest.raises(SQSError, match="RequestThrottled"):
        client(peer.url).queue_url("q")
    assert len(peer.requests) == 1


# ---- TLS -------------------------------------------------------------------------------------------------------------


def test_tls_is_spoken_with_whom_we_trust(client: Client, authority: Authority) -> None:
    """By name and by number; a kept connection is used again."""
    with Peer(OK, OK, OK, tls=authority.server_context()) as peer:
        mine = client(peer.url, ca_bundle=str(authority.bundle))
        assert [mine.queue_url("q") for _ in range(2)] == ["http://sqs/1/q"] * 2
        client(peer.url.replace("localhost", "127.0.0.1"), ca_bundle=str(authority.bundle)).queue_url("q")
    assert peer.connections == 2


@pytest.mark.parametrize("kind", WRONG)
def test_tls_is_refused_with_others(client: Client, authority: Authority, kind: Kind) -> None:
    """Nothing is sent, and the error says which host it was and what was wrong with its certificate."""
    with (
        Peer(OK, tls=authority.server_context(kind)) as peer,
        pytest.raises(SQSUnavailable, match=r"certificate is refused: .+ \(localhost:\d+\)") as raised,
    ):
        client(peer.url, ca_bundle=str(authority.bundle)).queue_url("q")
    assert (raised.value.code, peer.requests) == (NOT_CONNECTED, [])


def test_tls_is_not_verified_where_the_settings_say_so(client: Client, authority: Authority) -> None:
    """`verify=False` of botocore's client counts here, too."""
    with Peer(OK, tls=authority.server_context("self-signed")) as peer:
        assert client(peer.url, verify=False).queue_url("q") == "http://sqs/1/q"


def test_a_bundle_that_is_missing_is_named(client: Client, tmp_path: Path) -> None:
    """It is the user's mistake, found before any request, as for a client on a loop; nothing goes out unverified."""
    with pytest.raises(ConfigurationError, match=r"cannot be read from .*gone.pem"):
        client("https://sqs.invalid/", ca_bundle=str(tmp_path / "gone.pem"))


def test_tls_with_a_plain_server_is_an_error(client: Client, authority: Authority) -> None:
    """It answers a handshake with an HTTP answer."""

    def plain(served: Served) -> None:
        served.send(answer(b"", status="400 Bad Request"))

    class Blunt(Peer):
        def _serve(self, served: Served) -> None:
            served.sock.recv(1)
            plain(served)

    with Blunt() as peer, pytest.raises(SQSUnavailable, match="no connection"):
        client(peer.url.replace("http", "https"), ca_bundle=str(authority.bundle)).queue_url("q")


def test_plain_with_a_tls_server_is_an_error(client: Client, authority: Authority) -> None:
    """It hangs up on what is no handshake."""
    with Peer(OK, tls=authority.server_context()) as peer, pytest.raises(SQSUnavailable):
        client(peer.url.replace("https", "http")).queue_url("q")


def test_a_handshake_ends_at_its_deadline(client: Client, authority: Authority) -> None:
    """A server that says nothing in the handshake costs the connect time-out."""
    with Peer(reads=False) as peer:
        mine = client(peer.url.replace("http", "https"), ca_bundle=str(authority.bundle), connect_timeout=SHORT)
        before = SYSTEM.lease()
        with pytest.raises(SQSUnavailable, match="no connection in time"):
            mine.queue_url("q")
        assert SYSTEM.lease() - before < LIMIT


def test_a_kept_tls_connection_that_was_closed_costs_no_call(client: Client, authority: Authority) -> None:
    """The end of TLS, orderly or not, is the end of a kept connection."""
    with Peer(OK, hang_up, OK, reset, OK, tls=authority.server_context()) as peer:
        mine = client(peer.url, ca_bundle=str(authority.bundle))
        for _ in range(3):
            mine.queue_url("q")
    assert (peer.connections, len(peer.requests)) == (3, 5)


def test_a_client_that_is_dropped_closes_its_connections() -> None:
    """Nobody has to close a client: the other side sees the end when it is gone."""
    with Peer(OK) as peer:
        dropped = FastClient(Settings(peer.url, "us-east-1", Credentials.fixed(KEYS)))
        dropped.queue_url("q")
        del dropped
        assert peer.hung_up.wait(LIMIT)
