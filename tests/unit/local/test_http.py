from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from hadoken.local import http as local_http
from tests.support.local_sqs import Server
from tests.support.waiting import GLOBAL, wait_until

JSON = b"application/x-amz-json-1.0"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A local SQS in a child process."""
    with Server() as running:
        yield running


@pytest.fixture
def sock(server: Server) -> Iterator[socket.socket]:
    """A connection to it."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=GLOBAL) as connected:
        yield connected


def request(
    operation: bytes = b"ListQueues",
    body: bytes = b"{}",
    *,
    kind: bytes = JSON,
    verb: bytes = b"POST",
    more: bytes = b"",
) -> bytes:
    """The bytes of one request."""
    head = b"%s / HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nX-Amz-Target: AmazonSQS.%s\r\n" % (verb, kind, operation)
    return head + b"Content-Length: %d\r\n%s\r\n%s" % (len(body), more, body)


class Answers:
    """Reads the answers on a socket, one after the other."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._data = b""

    def next(self) -> tuple[int, bytes]:
        """Status and body of the next answer."""
        while b"\r\n\r\n" not in self._data:
            self._more()
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        lengths = [int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length")]
        length = lengths[0] if lengths else 0
        while len(self._data) < length:
            self._more()
        body, self._data = self._data[:length], self._data[length:]
        return int(lines[0].split()[1]), body

    def ended(self) -> bool:
        """Whether the server has closed the connection and nothing is left."""
        return not self._data and not self._sock.recv(1)

    def _more(self) -> None:
        chunk = self._sock.recv(1 << 20)
        assert chunk, f"the connection ended within an answer: {self._data!r}"
        self._data += chunk


def shape(body: bytes) -> str:
    """The name of an error."""
    found: str = json.loads(body)["__type"]
    return found.partition("#")[2]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (request(body=b"{"), "SerializationException"),
        (request(body=b'{"MaxResults": "ten"}'), "SerializationException"),
        (request(body=b"\xff\xfe"), "SerializationException"),
        (request(body=b'{"QueueNamePrefix": "\\ud800"}'), "SerializationException"),
        (request(b"Frobnicate"), "UnknownOperationException"),
        (request(kind=b"application/x-www-form-urlencoded"), "UnknownOperationException"),
        (request(verb=b"PUT"), "UnknownOperationException"),
        (request(b"DeleteQueue"), "MissingRequiredParameterException"),
    ],
)
def test_what_cannot_be_done_is_refused_and_the_connection_kept(
    sock: socket.socket, sent: bytes, expected: str
) -> None:
    """What cannot be done is refused and the connection kept."""
    answers = Answers(sock)
    sock.sendall(sent)
    status, body = answers.next()
    assert (status, shape(body)) == (400, expected)
    sock.sendall(request())
    assert answers.next()[0] == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"not http at all\r\n\r\n", 400),
        ((b"POST / HTTP/1.1\r\nX-Long: " + b"x" * local_http.MAX_HEAD)[: local_http.MAX_HEAD + 1], 431),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n" + b"x" * (local_http.MAX_BODY + 1), 413),
        (request(more=b"Connection: Upgrade\r\nUpgrade: websocket\r\n"), 400),
    ],
)
def test_what_is_no_request_is_answered_and_the_connection_closed(
    sock: socket.socket, sent: bytes, status: int
) -> None:
    """What is no request is answered and the connection closed."""
    answers = Answers(sock)
    sock.sendall(sent)  # not a byte beyond what the server reads: unread bytes would make the kernel drop its answer
    assert answers.next()[0] == status
    assert answers.ended()


def test_half_a_request_is_neither_done_nor_in_anybodys_way(server: Server, sock: socket.socket) -> None:
    """Half a request is neither done nor in anybody's way."""
    before = server.get("counters").get("ListQueues", {"requests": 0})["requests"]
    with socket.create_connection(("127.0.0.1", server.port), timeout=GLOBAL) as half:
        half.sendall(request()[:-1])
        sock.sendall(request())
        assert Answers(sock).next()[0] == 200
    assert server.get("counters")["ListQueues"]["requests"] == before + 1


def test_a_request_may_come_byte_by_byte(sock: socket.socket) -> None:
    """A request may come byte by byte."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for number in request():
        sock.send(bytes([number]))
    assert Answers(sock).next()[0] == 200


def test_pipelined_requests_are_answered_in_order_even_behind_a_long_poll(server: Server, sock: socket.socket) -> None:
    """Pipelined requests are answered in order even behind a long poll."""
    name = b"pipelined"
    nothing = {"requests": 0}
    before = server.get("counters").get("SendMessage", nothing)["requests"]
    url = json.dumps(f"{server.url}/000000000000/pipelined").encode()
    answers = Answers(sock)
    sock.sendall(
        request(b"CreateQueue", b'{"QueueName": "%s"}' % name)
        + request(b"ReceiveMessage", b'{"QueueUrl": %s, "WaitTimeSeconds": 20}' % url)
        + request(b"SendMessage", b'{"QueueUrl": %s, "MessageBody": "behind"}' % url)
        + request() * 100
    )
    assert json.loads(answers.next()[1]) == {"QueueUrl": json.loads(url)}
    assert wait_until(lambda: server.get("state")["parked"] == 1)
    assert server.get("state")["queues"]["pipelined"]["visible"] == 0  # the send stands behind the poll
    assert server.get("counters").get("SendMessage", nothing)["requests"] == before
    with socket.create_connection(("127.0.0.1", server.port), timeout=GLOBAL) as other:
        other.sendall(request(b"SendMessage", b'{"QueueUrl": %s, "MessageBody": "first"}' % url))
        assert json.loads(answers.next()[1])["Messages"][0]["Body"] == "first"
    assert "MessageId" in json.loads(answers.next()[1])
    assert [answers.next()[0] for _ in range(100)] == [200] * 100


def test_a_send_pipelined_behind_a_poll_that_ends_reaches_the_poll_of_another(
    server: Server, sock: socket.socket
) -> None:
    """A send pipelined behind a poll that ends reaches the poll of another, which is answered once."""
    url = json.dumps(f"{server.url}/000000000000/reentrant").encode()
    poll = b'{"QueueUrl": %s, "WaitTimeSeconds": 1}' % url
    sock.sendall(request(b"CreateQueue", b'{"QueueName": "reentrant"}'))
    mine = Answers(sock)
    assert mine.next()[0] == 200
    with socket.create_connection(("127.0.0.1", server.port), timeout=GLOBAL) as other:
        sock.sendall(request(b"ReceiveMessage", poll) + request(b"SendMessage", poll[:-1] + b', "MessageBody": "x"}'))
        assert wait_until(lambda: server.get("state")["parked"] == 1)
        other.sendall(request(b"ReceiveMessage", poll.replace(b" 1}", b" 20}")) + request())
        assert mine.next() == (200, b"{}")
        assert mine.next()[0] == 200
        theirs = Answers(other)
        assert json.loads(theirs.next()[1])["Messages"][0]["Body"] == "x"
        assert "QueueUrls" in json.loads(theirs.next()[1])


def test_a_client_that_wants_no_second_request_is_served_and_closed(sock: socket.socket) -> None:
    """A client that wants no second request is served and closed."""
    answers = Answers(sock)
    sock.sendall(request(more=b"Connection: close\r\n"))
    assert answers.next()[0] == 200
    assert answers.ended()


def test_a_client_that_asks_first_is_told_to_continue(sock: socket.socket) -> None:
    """A client that asks first is told to continue."""
    answers = Answers(sock)
    whole = request(more=b"Expect: 100-continue\r\n")
    sock.sendall(whole[:-2])
    assert answers.next() == (100, b"")
    sock.sendall(whole[-2:])
    assert answers.next()[0] == 200


def test_a_chunked_body_is_read(sock: socket.socket) -> None:
    """A chunked body is read."""
    head = b"POST / HTTP/1.1\r\nContent-Type: %s\r\nX-Amz-Target: AmazonSQS.ListQueues\r\n" % JSON
    sock.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n")
    assert Answers(sock).next()[0] == 200


def test_private_addresses_answer_and_others_do_not(server: Server, sock: socket.socket) -> None:
    """Private addresses answer and others do not."""
    assert set(server.get("state")) == {"connections", "parked", "queues"}
    first = server.get("events?since=0")
    assert server.get(f"events?since={first['total']}")["events"] == []
    sock.sendall(request(verb=b"GET"))
    assert Answers(sock).next()[0] == 404
