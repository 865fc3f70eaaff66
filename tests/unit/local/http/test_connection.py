from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Self

import pytest

from hadoken.local.faults import Faults
from hadoken.local.http import admin, protocol, replies
from hadoken.local.http import connection as local_http
from hadoken.local.http import server as local_server
from hadoken.local.state.messages import send_message
from hadoken.local.state.queues import Queues
from hadoken.local.state.requests import CreateQueue, SendMessage
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
        (request(kind=b"application/x-amz-json-1.1"), "UnknownOperationException"),
        (request(kind=b"application/x-amz-json-1.0x"), "UnknownOperationException"),
        (request(body=b'{"X":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "SerializationException"),
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


def test_a_poll_in_front_of_what_is_no_request_takes_no_message(server: Server, sock: socket.socket) -> None:
    """The refusal is the last answer on the connection, so the poll that waited there must take nothing any more."""
    url = json.dumps(f"{server.url}/000000000000/refused").encode()
    answers = Answers(sock)
    sock.sendall(request(b"CreateQueue", b'{"QueueName": "refused"}'))
    assert answers.next()[0] == 200
    sock.sendall(request(b"ReceiveMessage", b'{"QueueUrl": %s, "WaitTimeSeconds": 20}' % url))
    assert wait_until(lambda: server.get("state")["parked"] == 1)
    sock.sendall(b"not http at all\r\n\r\n")
    assert answers.next()[0] == 400
    with socket.create_connection(("127.0.0.1", server.port), timeout=GLOBAL) as other:
        other.sendall(request(b"SendMessage", b'{"QueueUrl": %s, "MessageBody": "x"}' % url))
        assert Answers(other).next()[0] == 200
    assert server.get("state")["queues"]["refused"]["visible"] == 1
    assert server.get("state")["parked"] == 0


@pytest.mark.parametrize(
    "endless",
    [b"X-Trailer: " + b"x" * 65_000 + b"\r\n", b"1;" + b"e" * 65_000 + b"\r\nx\r\n"],
    ids=["trailers", "extensions"],
)
def test_a_chunked_request_without_end_is_refused(sock: socket.socket, endless: bytes) -> None:
    """What comes beside the body of a request is bounded, however long it goes on."""
    end = b"0\r\n" if endless.startswith(b"X") else b""
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + end
    sock.sendall(head)
    for _ in range(2 * local_http.MAX_BODY // len(endless) + 2):
        sock.sendall(endless)
    assert Answers(sock).next()[0] == 413


def test_a_header_behind_the_body_counts_for_nothing(sock: socket.socket) -> None:
    """A header behind a body in chunks cannot change what the head said."""
    head = request(body=b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    sock.sendall(head + b"2\r\n{}\r\n0\r\nX-Amz-Target: AmazonSQS.Frobnicate\r\n\r\n")
    assert Answers(sock).next()[0] == 200


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


def test_a_client_of_the_query_protocol_is_told_in_xml_what_is_spoken(sock: socket.socket) -> None:
    """A client of the query protocol is told in XML what is spoken."""
    answers = Answers(sock)
    sock.sendall(request(kind=b"application/x-www-form-urlencoded; charset=utf-8", body=b"Action=ListQueues"))
    status, body = answers.next()
    assert status == 400
    assert b"<Code>UnknownOperationException</Code>" in body
    assert JSON in body
    sock.sendall(request())
    assert answers.next()[0] == 200


def test_an_announced_length_is_refused_before_it_comes(sock: socket.socket) -> None:
    """An announced length is refused before it comes, and what comes all the same does not hide the answer."""
    answers = Answers(sock)
    sock.sendall(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (local_http.MAX_BODY + 1))
    sock.sendall(b"x" * 1_000_000)
    status, body = answers.next()
    assert (status, shape(body)) == (413, "SerializationException")
    assert answers.ended()


class Impatient:
    """A server in this process that gives its clients a tenth of a second, and a connection to it."""

    def __init__(self) -> None:
        self.server = local_server.Server(Queues(), patience=0.1)

    async def __aenter__(self) -> Self:
        await self.server.listen("127.0.0.1", 0)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.server.close()

    async def connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A new connection."""
        return await asyncio.open_connection("127.0.0.1", self.server.port, limit=1 << 26)


def served(main: Callable[[Impatient], Awaitable[None]]) -> None:
    """Run a coroutine with an impatient server, bounded."""

    async def whole() -> None:
        async with Impatient() as impatient:
            await main(impatient)

    asyncio.run(asyncio.wait_for(whole(), GLOBAL))


@pytest.mark.parametrize("half", [b"P", b"POST / HTTP/1.1\r\nHost: x\r\n", request(body=b"{}")[:-1]])
def test_a_request_that_stalls_is_given_up(half: bytes) -> None:
    """A request that stalls is given up, and others are served meanwhile."""

    async def main(impatient: Impatient) -> None:
        reader, writer = await impatient.connection()
        writer.write(half)
        other, asks = await impatient.connection()
        asks.write(request())
        assert (await other.readline()).startswith(b"HTTP/1.1 200")
        assert (await reader.readline()).startswith(b"HTTP/1.1 408")
        assert shape((await reader.read()).partition(b"\r\n\r\n")[2]) == "SerializationException"
        writer.close()
        asks.close()

    served(main)


def test_a_request_that_is_complete_in_time_is_not_given_up_later() -> None:
    """A request that comes in two pieces ends its own time; the next one has its own."""

    async def main(impatient: Impatient) -> None:
        reader, writer = await impatient.connection()
        queue = b'{"QueueName": "a"}'
        whole = request(b"CreateQueue", queue)
        writer.write(whole[:50])
        await writer.drain()
        await asyncio.sleep(0)  # a turn of the loop, so that the halves are not read as one
        writer.write(whole[50:])
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        await reader.readuntil(b"}")
        url = f"{impatient.server.url}/000000000000/a".encode()
        writer.write(request(b"ReceiveMessage", b'{"QueueUrl": "%s", "WaitTimeSeconds": 1}' % url) + whole[:50])
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")  # after ten times the patience
        await reader.readuntil(b"{}")
        writer.write(whole[50:])
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()

    served(main)


def test_a_client_that_reads_nothing_is_dropped_and_costs_a_bounded_buffer() -> None:
    """A client that asks and asks and reads nothing is dropped; what it asked for then is not done."""

    async def main(impatient: Impatient) -> None:
        queues = impatient.server.sqs
        url = queues.create_queue(CreateQueue(queue_name="big"), "test").queue_url
        send_message(queues, SendMessage(queue_url=url, message_body="x" * 1_000_000), "test")
        body = json.dumps({"QueueUrl": url, "VisibilityTimeout": 0}).encode()
        loop = asyncio.get_running_loop()
        with socket.socket() as deaf:
            deaf.setblocking(False)
            await loop.sock_connect(deaf, ("127.0.0.1", impatient.server.port))
            await loop.sock_sendall(deaf, request(b"ReceiveMessage", body) * 60)
            while queues.counters.of("ReceiveMessage").requests == 0:  # noqa: ASYNC110 -- bounded by served
                await asyncio.sleep(0)
            (connection,) = impatient.server.connections
            await connection.ended
            assert queues.counters.of("ReceiveMessage").requests < 60

    served(main)


def test_an_operation_that_breaks_answers_internal_failure(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An operation that breaks answers InternalFailure without a traceback, which stands in the server's log."""

    def breaks(*_: object) -> None:
        raise RuntimeError("a secret of the server")

    async def main(impatient: Impatient) -> None:
        reader, writer = await impatient.connection()
        monkeypatch.setattr(protocol, "_decoded", breaks)
        writer.write(request(more=b"Connection: close\r\n"))
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 500")
        assert shape(body) == "InternalFailure"
        assert b"secret" not in body
        writer.close()
        reader, writer = await impatient.connection()
        monkeypatch.setattr(replies, "not_spoken", breaks)
        writer.write(request(more=b"Connection: close\r\n"))
        assert (await reader.read()).startswith(b"HTTP/1.1 500")
        writer.close()

    served(main)
    assert caplog.text.count("RuntimeError: a secret of the server") == 2


def test_what_changes_the_server_is_for_this_machine_only() -> None:
    """An admin call that changes something is refused to other machines and to web pages; looking is not."""
    queues = Queues()
    faults = Faults()
    desk = admin.Admin(queues, faults, connections=lambda: 0, parked=lambda: 0)

    def asked(method: bytes, host: str, **headers: bytes) -> int:
        there = {name.encode(): value for name, value in headers.items()}
        body = b'[{"code": "OverLimit"}]'
        return desk.answer(
            local_http.HTTPRequest(method, "/_hadoken/faults", "", "", there, body, keep_alive=True), host
        ).status

    assert [asked(b"POST", host) for host in ("127.0.0.1", "::1", "::ffff:127.0.0.1")] == [200] * 3
    assert len(faults) == 1
    for host in ("10.0.0.7", "::ffff:10.0.0.7", "fe80::1%eth0"):
        assert asked(b"GET", host) == 200
        assert asked(b"POST", host) == asked(b"DELETE", host) == 403
    assert asked(b"DELETE", "127.0.0.1", origin=b"http://evil.example") == 403
    assert len(faults) == 1
    assert asked(b"DELETE", "127.0.0.1") == 200
    assert len(faults) == 0
    assert asked(b"PUT", "127.0.0.1") == 404


def test_every_call_is_written_down(server: Server) -> None:
    """A request refused before it is an operation, and a poll whose client goes away, are calls in the log too."""

    def calls() -> list[dict[str, object]]:
        return [event for event in server.get(f"events?since={before}")["events"] if event["what"] == "call"]

    with socket.create_connection(("127.0.0.1", server.port), timeout=GLOBAL) as sock:
        answers = Answers(sock)
        sock.sendall(request(b"CreateQueue", b'{"QueueName":"told"}'))
        url = json.loads(answers.next()[1])["QueueUrl"]
        log = b'{"calls": true}'
        sock.sendall(b"POST /_hadoken/events HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(log), log))
        assert answers.next()[0] == 200
        before = server.get("events?since=0")["total"]
        sock.sendall(request(kind=b"text/plain"))
        status, _ = answers.next()
        poll = json.dumps({"QueueUrl": url, "WaitTimeSeconds": 20}).encode()
        sock.sendall(request(b"ReceiveMessage", poll))
        assert wait_until(lambda: server.get("state")["parked"] == 1)
    assert wait_until(lambda: len(calls()) == 2)
    refused, gone = calls()
    assert (refused["operation"], refused["status"]) == ("ListQueues", status)
    assert status >= 400
    assert refused["code"]
    assert (gone["operation"], gone["queue"], gone["status"]) == ("ReceiveMessage", "told", 0)
