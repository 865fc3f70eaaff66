"""Requests that botocore signs and we send: what goes out, what comes back, and what happens to connections."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore import exceptions as errors
from botocore.awsrequest import AWSPreparedRequest, HeadersDict

from hadoken.errors import SQSUnavailable
from hadoken.sqs import exchange as module
from hadoken.sqs import kept
from hadoken.sqs.api import DeleteBatch
from hadoken.sqs.boto import BotoClient
from hadoken.sqs.connection import Connection
from hadoken.sqs.exchange import Exchange, is_way_clear
from hadoken.sqs.target import target_of
from tests.support.peer import LIMIT, Action, Peer, answer, hang_up, silence, then_hang_up

CERTIFICATE = Path(__file__).with_name("localhost.pem")  # with its key; for "localhost", made for this file
OK = answer(b"{}", "x-amzn-RequestId: 7")
CLOSING = answer(b"{}", "Connection: close")
TRUST = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
TRUST.load_cert_chain(CERTIFICATE)


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    """An exchange that trusts the peer's certificate, and waits half a second for an answer."""
    made = Exchange(connect_timeout=LIMIT, read_timeout=0.5, ca_bundle=str(CERTIFICATE))
    yield made
    made.close()


def request(url: str, **headers: str | bytes) -> AWSPreparedRequest:
    """A request as botocore hands it over."""
    return AWSPreparedRequest(
        "POST", url, HeadersDict({"Content-Length": "5", **headers}), b"hello", stream_output=False
    )


def test_a_request_goes_out_as_it_was_signed_and_its_answer_comes_back(exchange: Exchange) -> None:
    """Method, path, query, Host and headers are on the wire; status, headers and body are in botocore's answer."""
    with Peer(OK) as peer:
        answer = exchange(request(peer.url + "a?b=c", **{"X-Amz-Target": b"AmazonSQS.SendMessage", "X-Text": "1"}))
    head = peer.requests[0].split(b"\r\n")
    assert head[0] == b"POST /a?b=c HTTP/1.1"
    assert f"Host: {peer.url[7:-1]}".encode() in head
    assert {b"X-Amz-Target: AmazonSQS.SendMessage", b"X-Text: 1", b"Content-Length: 5"} <= set(head)
    assert (answer.status_code, answer.content, answer.headers["X-AMZN-REQUESTID"]) == (200, b"{}", "7")


@pytest.mark.parametrize(
    "wire",
    [
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{"\r\n5\r\na": 1\r\n1\r\n}\r\n0\r\n\r\n',
        b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{"a": 1}',
    ],
    ids=["chunked", "continue"],
)
def test_an_answer_is_read_to_its_end(exchange: Exchange, wire: bytes) -> None:
    """Chunks are joined, and a 100 is not taken for the answer."""
    with Peer(wire) as peer:
        assert exchange(request(peer.url)).content == b'{"a": 1}'


def test_a_status_of_failure_is_an_answer(exchange: Exchange) -> None:
    """Whatever the status, botocore gets it to make its own error of."""
    with Peer(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n") as peer:
        answer = exchange(request(peer.url))
    assert (answer.status_code, answer.content) == (503, b"")


def test_a_connection_is_used_again(exchange: Exchange) -> None:
    """Three calls, one connection."""
    with Peer(OK, OK, OK) as peer:
        for _ in range(3):
            exchange(request(peer.url))
    assert (peer.connections, len(peer.requests)) == (1, 3)


def test_a_connection_that_is_announced_to_close_is_not_used_again(exchange: Exchange) -> None:
    """After `Connection: close` the next call opens another."""
    with Peer(CLOSING, OK) as peer:
        exchange(request(peer.url))
        exchange(request(peer.url))
    assert peer.connections == 2


def test_an_idle_connection_that_was_closed_is_replaced(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the other side closed while it was idle costs no call."""
    monkeypatch.setattr(kept, "LOOK_AFTER", 0.0)
    with Peer(then_hang_up(OK), OK) as peer:
        exchange(request(peer.url))
        assert peer.hung_up.wait(LIMIT)
        exchange(request(peer.url))
    assert peer.connections == 2


def test_a_connection_closed_just_now_costs_no_call(exchange: Exchange) -> None:
    """A kept connection that proves to be closed only when it is used is replaced, once."""
    with Peer(OK, hang_up, OK) as peer:
        exchange(request(peer.url))
        assert exchange(request(peer.url)).content == b"{}"
    assert (peer.connections, len(peer.requests)) == (2, 3)


def test_a_new_connection_that_is_closed_is_a_failure(exchange: Exchange) -> None:
    """Only a kept connection is worth a second one: a server that hangs up on everyone is not asked for ever."""
    with Peer(OK, hang_up, hang_up) as peer:
        exchange(request(peer.url))
        with pytest.raises(errors.ConnectionClosedError):
            exchange(request(peer.url))
    assert len(peer.requests) == 3


def test_an_answer_may_end_with_its_connection(exchange: Exchange) -> None:
    """One that announces no length is whole when the connection ends, and the connection is not used again."""
    with Peer(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", OK) as peer:
        assert exchange(request(peer.url)).content == b"{}"
        assert exchange(request(peer.url)).content == b"{}"
    assert peer.connections == 2


def test_no_answer_in_time_is_a_read_timeout(exchange: Exchange) -> None:
    """A peer that says nothing costs the read time-out, and its connection is not used again."""
    with Peer(silence, OK) as peer:
        with pytest.raises(errors.ReadTimeoutError):
            exchange(request(peer.url))
        exchange(request(peer.url))
    assert peer.connections == 2


@pytest.mark.parametrize(
    "wire", [hang_up, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n{}", b"junk\r\n\r\n"]
)
def test_an_answer_cut_short_is_a_closed_connection(exchange: Exchange, wire: Action) -> None:
    """Nothing, half an answer and no HTTP at all are the same error; nothing is sent twice."""
    with Peer(wire) as peer, pytest.raises(errors.ConnectionClosedError):
        exchange(request(peer.url))
    assert len(peer.requests) == 1


def test_nobody_there_is_an_endpoint_that_cannot_be_connected_to(exchange: Exchange) -> None:
    """A refused connection is botocore's EndpointConnectionError, which the seam calls transient."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    with pytest.raises(errors.EndpointConnectionError):
        exchange(request(url))
    client = BotoClient(Connection(endpoint_url=url, anonymous=True))
    with pytest.raises(SQSUnavailable, match="DeleteMessageBatch failed") as raised:
        client.delete_batch(DeleteBatch(url, ["handle"]))
    assert raised.value.transient
    client.close()


def test_tls_is_spoken_with_whom_we_trust(exchange: Exchange) -> None:
    """An https endpoint whose certificate is in the bundle answers as any other."""
    with Peer(OK, OK, tls=TRUST) as peer:
        exchange(request(peer.url))
        assert exchange(request(peer.url)).content == b"{}"
    assert peer.connections == 1


@pytest.mark.parametrize("trusts", [True, False], ids=["other name", "other authority"])
def test_tls_is_refused_with_others(trusts: bool) -> None:
    """A certificate for another name, or of nobody we know, is an SSLError, and nothing is sent."""
    stranger = Exchange(connect_timeout=LIMIT, read_timeout=LIMIT, ca_bundle=str(CERTIFICATE) if trusts else None)
    with Peer(OK, tls=TRUST) as peer:
        url = peer.url.replace("localhost", "127.0.0.1") if trusts else peer.url
        with pytest.raises(errors.SSLError):
            stranger(request(url))
    assert not peer.requests


def test_a_header_cannot_start_a_second_one(exchange: Exchange) -> None:
    """A line break in a header is refused before anything is sent."""
    with pytest.raises(ValueError, match="X-Bad holds a line break"):
        exchange(request("http://localhost:1/", **{"X-Bad": "a\r\nX-Evil: b"}))


def test_after_close_no_connection_is_kept(exchange: Exchange) -> None:
    """Idle connections are closed at once, one in use as soon as its answer is there."""
    with Peer(OK, OK) as peer:
        exchange(request(peer.url))
        exchange.close()
        exchange(request(peer.url))
    assert peer.connections == 2


def test_an_exchange_that_is_dropped_closes_its_connections() -> None:
    """Nobody has to close a client: the other side sees the end of the connection when the exchange is gone."""
    dropped = Exchange(connect_timeout=LIMIT, read_timeout=LIMIT)
    with Peer(OK, OK) as peer:
        dropped(request(peer.url))
        del dropped
        assert peer.hung_up.wait(LIMIT)


def test_a_proxy_or_another_answerer_has_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way is botocore's where a proxy is on the way, or where a library answers in the place of AWS."""
    url = "http://sqs.example/"
    assert is_way_clear(url)
    with monkeypatch.context() as patch:
        patch.setattr(module, "BUILTIN_HANDLERS", [("before-send", print)])
        assert not is_way_clear(url)
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    assert not is_way_clear(url)
    monkeypatch.setenv("no_proxy", "sqs.example")
    assert is_way_clear(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "https://sqs.eu-west-1.amazonaws.com/",
            (True, "sqs.eu-west-1.amazonaws.com", 443, "sqs.eu-west-1.amazonaws.com", "/"),
        ),
        ("http://localhost:80", (False, "localhost", 80, "localhost", "/")),
        ("http://[::1]:9324/1/q?x=y", (False, "::1", 9324, "[::1]:9324", "/1/q?x=y")),
    ],
)
def test_a_url_is_taken_apart_as_it_was_signed(url: str, expected: tuple[object, ...]) -> None:
    """The Host header is what the signature covers: the usual port left out, IPv6 in brackets."""
    assert target_of(url) == expected
    assert re.sub(r"^\w+://|/.*$", "", url).removesuffix(":80") == target_of(url).name
