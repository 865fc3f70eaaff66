"""The transport on the loop: what goes out, what comes back, and what a server that misbehaves costs."""

from __future__ import annotations

import asyncio
import gc
import random
import socket
import threading
import tracemalloc
import warnings
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from typing import Any

import msgspec
import pytest

from hadoken.clock import SYSTEM
from hadoken.errors import ConfigurationError, SQSDenied, SQSError, SQSUnavailable
from hadoken.sqs import answer as answers
from hadoken.sqs import wire
from hadoken.sqs.answer import MAX_HEAD
from hadoken.sqs.api import (
    NO_ANSWER,
    NO_CREDENTIALS,
    NOT_CONNECTED,
    Receive,
    SendBatch,
    SendEntry,
    may_be_applied,
)
from hadoken.sqs.credentials import Credentials, Keys
from hadoken.sqs.dialling import Dialler
from hadoken.sqs.fast import FastTransport
from hadoken.sqs.line import Line, Owner
from hadoken.sqs.settings import Settings
from hadoken.sqs.wire import UNREADABLE
from tests.support.on_loop import KEYS, LIMIT, LOOPS, Blocking, Loop, left, opened, run, timers, until
from tests.support.peer import (
    Action,
    HungUp,
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
EXPIRED = answer(b'{"__type":"com.amazon.coral.service#ExpiredTokenException","message":"old"}', status="403 Forbidden")
SHORT = 0.3  # seconds that a call may take where it is meant to fail
POLL = Receive("http://sqs/1/q", 1, 20, 30)


@pytest.fixture(params=list(LOOPS))
def loop(request: pytest.FixtureRequest) -> Loop:
    """Each kind of loop."""
    return LOOPS[request.param]


def skewed() -> bytes:
    """A refusal by a server whose clock is an hour ahead of ours."""
    body = b'{"__type":"com.amazon.coral.service#RequestTimeTooSkewed","message":"off"}'
    return answer(body, f"Date: {formatdate(SYSTEM.wall() + 3600, usegmt=True)}", status="400 Bad Request")


class Temporary:
    """Credentials that expire, as botocore has them.

    Attributes:
        loaded: how often they were asked for.
        threads: in which threads.
        broken: whether they are refused from now on.
        hold: waited for by each load but the first.
    """

    def __init__(self) -> None:
        self.loaded = 0
        self.threads: list[int] = []
        self.broken: Exception | None = None
        self.hold = threading.Event()
        self.hold.set()

    def __call__(self) -> Keys:
        """Load them."""
        self.loaded += 1
        self.threads.append(threading.get_ident())
        if self.loaded > 1:
            assert self.hold.wait(LIMIT)
            if self.broken is not None:
                raise self.broken
        return Keys(f"key{self.loaded}", "secret", "token")


# ---- requests and connections ----------------------------------------------------------------------------------------


def test_a_request_is_signed_json_and_its_answer_is_read(loop: Loop) -> None:
    """Target, signature and body are on the wire; calls one after the other share one connection."""

    async def body(url: str) -> list[str]:
        async with opened(url) as sqs:
            return [await sqs.queue_url("q") for _ in range(3)]

    with Peer(OK, OK, OK) as peer:
        assert run(loop, body(peer.url)) == ["http://sqs/1/q"] * 3
    assert (peer.connections, len(peer.requests)) == (1, 3)
    head, _, data = peer.requests[0].partition(b"\r\n\r\n")
    assert b"X-Amz-Target: AmazonSQS.GetQueueUrl" in head
    assert b"Credential=key/" in head
    assert msgspec.json.decode(data) == {"QueueName": "q"}


def test_calls_at_once_have_a_connection_each_and_start_no_thread(loop: Loop) -> None:
    """Two hundred polls are open together; the last used connection serves the next call."""
    together = threading.Semaphore(0)

    def wait_for_all(served: Served) -> None:
        together.release()
        assert served.peer.hung_up.wait(LIMIT)
        served.send(answer(b"{}"))

    async def body(peer: Peer) -> int:
        async with opened(peer.url) as sqs:
            await sqs.queue_url("q")
            before = threading.active_count() - len(peer._threads)
            polls = [sqs.receive(POLL) for _ in range(200)]
            await until(lambda: len(peer.requests) == 201)
            assert threading.active_count() - len(peer._threads) == before
            peer.hung_up.set()
            assert {len((await poll).messages) for poll in polls} == {0}
            assert len(sqs.lines._idle) == 200
            last = list(sqs.lines._idle)[-1]
            sqs.receive(POLL).cancel()
            await until(lambda: peer.connections == 200)
            return len(sqs.lines._idle) if last not in sqs.lines._idle else -1

    with Peer(OK, *[wait_for_all] * 201) as peer:
        assert run(loop, body(peer)) == 199
    assert peer.connections == 200


def test_connections_are_opened_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many requests wait, no more are on their way than may be; and no more than there are requests."""

    async def body(url: str) -> tuple[int, int]:
        async with opened(url) as sqs:
            calls = [sqs.queue_url("q") for _ in range(20)]
            many = len(sqs.lines._opening)
            await asyncio.gather(*calls)
            one = FastTransport(
                Settings(url, "us-east-1", Credentials.fixed(KEYS)),
                sqs.loop,
                resolve=lambda *_: lookup,
                offload=offload,
            )
            asked = one.queue_url("q")
            few = len(one.lines._opening)
            asked.cancel()
            one.close()
            await until(lambda: not left(one))
            return many, few

    monkeypatch.setattr("hadoken.sqs.lines.MAX_OPENING", 3)
    lookup: Any = None
    offload: Any = None
    with Peer(*[OK] * 20) as peer:
        assert run(asyncio.new_event_loop, body(peer.url)) == (3, 1)


def test_idle_connections_that_were_closed_cost_no_call(loop: Loop) -> None:
    """Closed while idle, at the next request, or broken off there: sent once more, and the caller sees none of it."""
    chance = random.Random(8)
    script: list[Action] = [OK]
    calls = 1
    while calls < 300:
        fault = chance.choice(("none", "none", "idle", "at the request", "broken off"))
        script += {
            "none": [OK],
            "idle": [then_hang_up(OK), OK],
            "at the request": [hang_up, OK],
            "broken off": [reset, OK],
        }[fault]
        calls += 2 if fault == "idle" else 1

    async def body(url: str) -> set[str]:
        async with opened(url) as sqs:
            return {await sqs.queue_url("q") for _ in range(calls)}

    with Peer(*script) as peer:
        assert run(loop, body(peer.url)) == {"http://sqs/1/q"}
    assert not peer.script
    assert 100 < peer.connections < 300


def test_an_idle_connection_that_is_closed_is_forgotten_at_once(loop: Loop) -> None:
    """It does not wait for a request to be found out."""

    async def body(url: str) -> int:
        async with opened(url) as sqs:
            await sqs.queue_url("q")
            await until(lambda: not sqs.lines._idle)
            return len(sqs.lines._deadlines)

    with Peer(then_hang_up(OK)) as peer:
        assert run(loop, body(peer.url)) == 0


@pytest.mark.parametrize("unasked", [b"x", OK], ids=["garbage", "an answer"])
def test_an_idle_connection_that_speaks_is_closed(loop: Loop, unasked: bytes) -> None:
    """What nobody asked for would be taken for the answer to the next request."""
    more = threading.Event()

    def speak(served: Served) -> None:
        served.send(OK)
        assert more.wait(LIMIT)
        served.send(unasked)
        served.wait_for_end()

    async def body(url: str) -> str:
        async with opened(url) as sqs:
            await sqs.queue_url("q")
            more.set()
            await until(lambda: not sqs.lines._idle)
            return await sqs.queue_url("r")

    with Peer(speak, answer(b'{"QueueUrl":"other"}')) as peer:
        assert run(loop, body(peer.url)) == "other"
    assert peer.connections == 2


@pytest.mark.parametrize("fault", [hang_up, reset], ids=["closed", "broken off"])
def test_a_new_connection_is_not_replaced(loop: Loop, fault: Action) -> None:
    """Sent once: who hangs up on everyone is not asked again by us. Nobody knows whether it was applied."""

    async def body(url: str) -> SQSUnavailable:
        async with opened(url) as sqs:
            await sqs.queue_url("q")
            with pytest.raises(SQSUnavailable, match="GetQueueUrl failed: the connection broke") as raised:
                await sqs.queue_url("q")
            assert await sqs.queue_url("q") == "http://sqs/1/q"
            return raised.value

    with Peer(OK, hang_up, fault, OK) as peer:
        error = run(loop, body(peer.url))
    assert len(peer.requests) == 4
    assert (error.code, error.operation, error.transient) == (NO_ANSWER, "GetQueueUrl", True)


def test_what_was_sent_once_never_counts_as_not_sent(loop: Loop) -> None:
    """A stale connection, and then no new one: SQS may have applied the request all the same."""

    def leave(served: Served) -> None:
        served.peer._listener.shutdown(socket.SHUT_RDWR)
        hang_up(served)

    async def body(url: str) -> SQSUnavailable:
        async with opened(url) as sqs:
            await sqs.queue_url("q")
            with pytest.raises(SQSUnavailable, match="no connection to localhost") as raised:
                await sqs.queue_url("q")
            return raised.value

    with Peer(OK, leave) as peer:
        assert run(loop, body(peer.url)).code == NO_ANSWER


@pytest.mark.parametrize("requests", [1, 0], ids=["wanted", "not wanted any more"])
def test_a_connection_that_closes_before_it_is_used_is_never_used(
    loop: Loop, requests: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end comes in the same turn in which it was opened: the request is told, and not sent to nobody."""
    opening = Dialler.open

    async def open_and_lose(self: Dialler, owner: Owner) -> Line:
        line = await opening(self, owner)
        line.close()
        return line

    async def body(url: str) -> None:
        async with opened(url) as sqs:
            monkeypatch.setattr(Dialler, "open", open_and_lose)
            asked = sqs.queue_url("q")
            if not requests:
                asked.cancel()
            await asyncio.wait({asked})
            await until(lambda: not left(sqs))
            if requests:
                error = asked.exception()
                assert isinstance(error, SQSUnavailable)
                assert error.code == NOT_CONNECTED
                assert "GetQueueUrl failed: the other side closed the connection at once" in str(error)
            monkeypatch.setattr(Dialler, "open", opening)
            assert await sqs.queue_url("q") == "http://sqs/1/q"

    with Peer(OK) as peer:
        run(loop, body(peer.url))
    assert len(peer.requests) == 1


@pytest.mark.parametrize("at", ["coming back", "being taken", "idle"])
def test_an_old_connection_is_not_used(loop: Loop, at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond its age it is replaced before anything is sent by it, and an idle one closes by its own deadline."""
    monkeypatch.setattr("hadoken.sqs.lines.MAX_IDLE", 0.01 if at == "idle" else LIMIT)
    if at == "coming back":
        monkeypatch.setattr("hadoken.sqs.dialling.MAX_AGE", -1.0)

    async def body(url: str) -> None:
        async with opened(url) as sqs:
            for _ in range(2):
                await sqs.queue_url("q")
                for line in sqs.lines._idle if at == "being taken" else ():
                    line.good_until = 0.0
                if at == "idle":
                    assert sqs.lines._idle
                    await until(lambda: not sqs.lines._idle)

    with Peer(OK, OK) as peer:
        run(loop, body(peer.url))
    assert (peer.connections, len(peer.requests)) == (2, 2)


def test_connections_close_when_the_server_says_so(loop: Loop) -> None:
    """`Connection: close`, and HTTP/1.0."""
    old = OK.replace(b"HTTP/1.1", b"HTTP/1.0")

    async def body(url: str) -> None:
        async with opened(url) as sqs:
            for _ in range(3):
                assert await sqs.queue_url("q") == "http://sqs/1/q"
                assert not sqs.lines._idle

    with Peer(answer(URL, "Connection: close"), old, then_hang_up(b"HTTP/1.1 200 OK\r\n\r\n" + URL)) as peer:
        run(loop, body(peer.url))
    assert peer.connections == 3


# ---- answers ---------------------------------------------------------------------------------------------------------

CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n" + URL[:5] + b"\r\n18\r\n" + URL[5:] + b"\r\n0\r\n\r\n"
)


@pytest.mark.parametrize(
    "whole",
    [OK, CHUNKED, b"HTTP/1.1 100 Continue\r\n\r\n" + OK],
    ids=["length", "chunked", "continued"],
)
def test_an_answer_in_two_pieces_is_whole(loop: Loop, whole: bytes) -> None:
    """Wherever it is parted, over one connection."""
    cuts = range(1, len(whole))

    async def body(url: str) -> set[str]:
        async with opened(url) as sqs:
            return {await sqs.queue_url("q") for _ in cuts}

    with Peer(*[split(whole, at) for at in cuts]) as peer:
        assert run(loop, body(peer.url)) == {"http://sqs/1/q"}
    assert peer.connections == 1


def test_an_answer_cut_anywhere_is_an_error_and_the_next_call_works(loop: Loop) -> None:
    """At every byte of an answer the connection may end, and be it one that was used before."""
    cuts = range(1, len(OK))
    script = [action for at in cuts for action in (OK, then_hang_up(OK[:at]))]

    async def body(url: str) -> None:
        async with opened(url) as sqs:
            for _ in cuts:
                assert await sqs.queue_url("q") == "http://sqs/1/q"
                with pytest.raises(SQSUnavailable, match=r"GetQueueUrl failed: .*in the middle"):
                    await sqs.queue_url("q")
                assert not sqs.lines._idle

    with Peer(*script) as peer:
        run(loop, body(peer.url))
    assert peer.connections == len(cuts)


FAULTS = [
    pytest.param(b"garbage\r\n\r\n", "no HTTP", id="garbage"),
    pytest.param(then_hang_up(OK[:-5]), "in the middle", id="half a body"),
    pytest.param(then_hang_up(answer(URL, "Content-Length: 99")), "HTTP|Length", id="two lengths"),
    pytest.param(then_hang_up(OK[:30]), "in the middle", id="half a head"),
    pytest.param(answer(URL[:-4]), "not what SQS sends|not from SQS", id="half a JSON"),
    pytest.param(
        answer(b"[]", "Content-Type: application/x-amz-json-1.0"), "not what SQS sends|not from SQS", id="another JSON"
    ),
    pytest.param(answer(b"<html>hello</html>", "Content-Type: text/html"), "not from SQS", id="a page"),
    pytest.param(answer(b"<html>oops</html>", status="502 Bad Gateway"), "oops", id="a page of a proxy"),
    pytest.param(answer(b"", "Location: http://elsewhere/", status="302 Found"), "redirect", id="a redirect"),
    pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 10_485_760, f"{MAX_HEAD}|[Hh]ead", id="ten MiB of a header"),
    pytest.param(
        endless(b"HTTP/1.1 200 OK\r\n", b"X-More: " + b"x" * 8000 + b"\r\n"), f"{MAX_HEAD}|[Hh]ead", id="endless head"
    ),
    pytest.param(endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 262_144), "above 1048576 bytes", id="endless body"),
    pytest.param(
        endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"40000\r\n" + b"x" * 262_144 + b"\r\n"),
        "above 1048576 bytes",
        id="endless chunks",
    ),
]


@pytest.mark.parametrize(("fault", "says"), FAULTS)
def test_what_is_no_answer_is_an_error_with_its_reason(
    loop: Loop, fault: Action, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Operation and reason are in the error, the connection closes, memory stays bounded, and the next call works."""
    monkeypatch.setattr(answers, "MAX_BODY", 1_048_576)

    async def body(url: str) -> SQSError:
        async with opened(url) as sqs:
            with pytest.raises(SQSUnavailable, match=says) as raised:
                await sqs.queue_url("q")
            assert await sqs.queue_url("q") == "http://sqs/1/q"
            return raised.value

    async def traced(url: str) -> tuple[SQSError, int]:
        tracemalloc.start()
        try:
            error = await body(url)
            return error, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    with Peer(fault, OK) as peer:
        error, peak = run(loop, traced(peer.url))
    assert (error.operation, error.code, error.transient) == ("GetQueueUrl", UNREADABLE, True)
    assert str(error).startswith("GetQueueUrl failed: ")
    assert peak < 4 * 1_048_576  # the bound of this test's bodies, the read buffer, and what the loop itself takes


@pytest.mark.parametrize(
    "fault",
    [silence, drip(OK[:20]), drip(b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n", pause=0.001)],
    ids=["silence", "dripping head", "dripping body"],
)
def test_a_call_ends_at_its_deadline(loop: Loop, fault: Action) -> None:
    """However the bytes of an answer are spread over time; the connection is given up."""

    async def body(peer: Peer) -> None:
        async with opened(peer.url, call_timeout=SHORT) as sqs:
            before = SYSTEM.lease()
            with pytest.raises(SQSUnavailable, match=r"no answer within 0.3 s \(localhost:\d+\)") as raised:
                await sqs.queue_url("q")
            assert SHORT - 0.01 <= SYSTEM.lease() - before < LIMIT
            assert raised.value.code == NO_ANSWER
            assert not left(sqs)
            await until(peer.hung_up.is_set)

    with Peer(fault) as peer:
        run(loop, body(peer))


def test_a_server_that_does_not_read_ends_a_large_request(loop: Loop) -> None:
    """Megabytes that nobody takes end by the deadline, too, and what was not sent is let go."""
    entry = SendEntry("x" * 1_000_000)

    async def body(url: str) -> None:
        async with opened(url, call_timeout=SHORT) as sqs:
            with pytest.raises(SQSUnavailable, match="SendMessageBatch failed: no answer within"):
                await sqs.send_batch(SendBatch("http://sqs/1/q", [entry] * 10))
            assert not left(sqs)

    with Peer(reads=False) as peer:
        run(loop, body(peer.url))


def test_a_large_request_arrives_whole(loop: Loop) -> None:
    """More than a socket takes at once is written on as it is read."""
    entry = SendEntry("x" * 1_000_000)
    done = answer(b'{"Successful":[{"Id":"0","MessageId":"m"}]}')

    async def body(url: str) -> dict[int, str]:
        async with opened(url) as sqs:
            sent = dict((await sqs.send_batch(SendBatch("http://sqs/1/q", [entry]))).sent)
            assert sqs.lines._idle
            return sent

    with Peer(done) as peer:
        assert run(loop, body(peer.url)) == {0: "m"}
    assert entry.body.encode() in peer.requests[0]


def test_a_connection_that_answers_before_it_has_read_is_not_used_again(loop: Loop) -> None:
    """The rest of the old request would come before the new one."""
    heard = threading.Event()

    def refuse(served: Served) -> None:
        served.send(answer(b'{"__type":"x#RequestTooLong","message":"long"}', status="413 Too Large"))
        assert heard.wait(LIMIT)

    class Hasty(Peer):
        """Answers the first connection as soon as it has read a byte."""

        def _serve(self, served: Served) -> None:
            served.sock.recv(1)
            with suppress(HungUp):
                super()._answer(served, refuse) if self.connections == 1 else super()._serve(served)

    async def body(url: str) -> str:
        async with opened(url) as sqs:
            with pytest.raises(SQSError, match="RequestTooLong"):
                await sqs.send_batch(SendBatch("http://sqs/1/q", [SendEntry("x" * 1_000_000)] * 10))
            assert not sqs.lines._idle
            heard.set()
            return await sqs.queue_url("q")

    with Hasty(OK) as peer:
        assert run(loop, body(peer.url)) == "http://sqs/1/q"


@pytest.mark.parametrize("good", [True, False], ids=["read", "refused"])
def test_a_large_answer_is_read_off_the_loop(loop: Loop, good: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says, and what is wrong with it, comes back all the same."""
    monkeypatch.setattr(wire, "LARGE", 10)

    async def body(url: str) -> None:
        blocking = Blocking()
        async with opened(url, blocking=blocking) as sqs:
            if good:
                assert await sqs.queue_url("q") == "http://sqs/1/q"
            else:
                with pytest.raises(SQSError, match="GetQueueUrl failed: Bad: words"):
                    await sqs.queue_url("q")
        assert len(blocking.done) == 1
        assert threading.get_ident() not in blocking.threads

    refusal = answer(b'{"__type":"x#Bad","message":"words"}', status="400 Bad Request")
    with Peer(OK if good else refusal) as peer:
        run(loop, body(peer.url))


@pytest.mark.parametrize("call", ["waits", "was given up"])
def test_reading_that_is_given_up_fails_the_call(loop: Loop, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads elsewhere may end before; a call that nobody wants any more stays as it is."""
    monkeypatch.setattr(wire, "LARGE", 10)

    async def body(url: str) -> None:
        async with opened(url) as sqs:
            reading: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            monkeypatch.setattr(sqs, "offload", lambda _: reading)
            asked = sqs.queue_url("q")
            await until(lambda: bool(sqs.lines._idle))
            if call == "waits":
                reading.cancel()
                with pytest.raises(SQSUnavailable, match="could not be read: CancelledError: given up"):
                    await asked
            else:
                asked.cancel()
                reading.set_exception(SQSUnavailable("late"))
                await asyncio.wait({asked})
                assert asked.cancelled()

    with Peer(OK) as peer:
        run(loop, body(peer.url))


def test_a_call_that_never_gets_a_connection_ends_in_time(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long others are served before it; certainly it was not sent."""
    monkeypatch.setattr("hadoken.sqs.lines.MAX_OPENING", 0)

    async def body(url: str) -> SQSUnavailable:
        async with opened(url, connect_timeout=0.1, call_timeout=0.1) as sqs:
            with pytest.raises(SQSUnavailable, match="no connection became free in time") as raised:
                await sqs.queue_url("q")
            return raised.value

    with Peer(OK) as peer:
        assert run(loop, body(peer.url)).code == NOT_CONNECTED
    assert peer.connections == 0


def test_a_bug_in_reading_hangs_nobody(loop: Loop, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """Whatever reading raises, the future fails with an SQSError, and the log has the traceback."""

    def buggy(*_: object) -> None:
        raise KeyError("bug")

    async def body(url: str) -> None:
        async with opened(url) as sqs:
            monkeypatch.setattr(sqs.wire, "read", buggy)
            with pytest.raises(SQSUnavailable, match="could not be read: KeyError: 'bug'"):
                await sqs.queue_url("q")

    with Peer(OK) as peer:
        run(loop, body(peer.url))
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_an_error_keeps_nothing_alive(loop: Loop) -> None:
    """It has no traceback and no context, so neither the answer nor a future hang on it."""

    async def body(url: str) -> None:
        async with opened(url) as sqs:
            for _ in range(2):
                asked = sqs.queue_url("q")
                await asyncio.wait({asked})
                error = asked.exception()
                assert error is not None
                assert (error.__traceback__, error.__context__, error.__cause__) == (None, None, None)
                assert not [one for one in gc.get_referrers(error) if type(one).__name__ == "frame" and one is not None]

    with Peer(answer(b"<html>"), answer(b'{"__type":"x#Bad"}', status="400 Bad Request")) as peer:
        run(loop, body(peer.url))


# ---- refusals that a second signature mends --------------------------------------------------------------------------


def test_expired_keys_are_renewed_off_the_loop_and_once_for_all(loop: Loop) -> None:
    """Polls that are refused together share one renewal, and each goes once more with the new key."""
    source = Temporary()
    source.hold.clear()

    async def body(peer: Peer) -> None:
        async with opened(peer.url, credentials=Credentials(source)) as sqs:
            calls = [sqs.queue_url("q") for _ in range(5)]
            await until(lambda: len(peer.requests) == 5 and sqs._renewing is not None)
            await until(lambda: len(sqs.lines._idle) == 5)
            source.hold.set()
            assert set(await asyncio.gather(*calls)) == {"http://sqs/1/q"}

    with Peer(*[EXPIRED] * 5, *[OK] * 5) as peer:
        run(loop, body(peer))
    keys = [b"Credential=key1/" in one for one in peer.requests], [b"Credential=key2/" in one for one in peer.requests]
    assert keys == ([True] * 5 + [False] * 5, [False] * 5 + [True] * 5)
    assert source.loaded == 2
    assert source.threads[1] != threading.get_ident()


def test_a_request_that_was_signed_before_a_renewal_needs_none(loop: Loop) -> None:
    """Its refusal comes late; the new keys are there already."""
    source = Temporary()
    late = threading.Event()

    def refuse_late(served: Served) -> None:
        assert late.wait(LIMIT)
        served.send(EXPIRED)

    async def body(peer: Peer) -> None:
        async with opened(peer.url, credentials=Credentials(source)) as sqs:
            slow = sqs.queue_url("q")
            await until(lambda: len(peer.requests) == 1)
            assert await sqs.queue_url("q") == "http://sqs/1/q"
            late.set()
            assert await slow == "http://sqs/1/q"

    with Peer(refuse_late, EXPIRED, OK, OK) as peer:
        run(loop, body(peer))
    assert (source.loaded, len(peer.requests)) == (2, 4)


@pytest.mark.parametrize(("refusal", "code"), [(EXPIRED, "ExpiredToken"), (None, "RequestTimeTooSkewed")])
def test_what_stays_refused_is_an_error(loop: Loop, refusal: bytes | None, code: str) -> None:
    """Two requests, not three."""
    refused = refusal or skewed()

    async def body(url: str) -> None:
        async with opened(url, credentials=Credentials(Temporary())) as sqs:
            with pytest.raises(SQSDenied, match=code):
                await sqs.queue_url("q")

    with Peer(refused, refused, OK) as peer:
        run(loop, body(peer.url))
    assert len(peer.requests) == 2


def test_a_clock_that_is_off_costs_one_request_once(loop: Loop) -> None:
    """The server's time is learnt from the refusal; the next call is right at once."""

    async def body(url: str) -> None:
        async with opened(url) as sqs:
            assert [await sqs.queue_url("q"), await sqs.queue_url("q")] == ["http://sqs/1/q"] * 2

    with Peer(skewed(), OK, OK) as peer:
        run(loop, body(peer.url))
    dates = [one.partition(b"X-Amz-Date: ")[2][:11] for one in peer.requests]
    assert len(peer.requests) == 3
    assert dates[0] != dates[1] == dates[2]


def test_both_reasons_may_come_one_after_the_other(loop: Loop) -> None:
    """Each mends once."""
    source = Temporary()

    async def body(url: str) -> str:
        async with opened(url, credentials=Credentials(source)) as sqs:
            return await sqs.queue_url("q")

    with Peer(skewed(), EXPIRED, OK) as peer:
        assert run(loop, body(peer.url)) == "http://sqs/1/q"
    assert (source.loaded, len(peer.requests)) == (2, 3)


def test_keys_that_cannot_be_renewed_are_an_error_that_says_so(loop: Loop) -> None:
    """The reason of the role is what the caller reads."""
    source = Temporary()
    source.broken = OSError("the role is gone")

    async def body(url: str) -> SQSDenied:
        async with opened(url, credentials=Credentials(source)) as sqs:
            with pytest.raises(SQSDenied, match="the role is gone") as raised:
                await sqs.queue_url("q")
            return raised.value

    with Peer(EXPIRED, OK) as peer:
        assert run(loop, body(peer.url)).transient
    assert len(peer.requests) == 1


@pytest.mark.parametrize("how", ["cannot", "fails", "cancelled"])
def test_an_offload_that_fails_is_an_error_of_the_request(
    loop: Loop, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It refuses at once, its work raises what nobody foresaw, or it is given up."""

    def offload(_: Callable[[], Any]) -> asyncio.Future[Any]:
        if how == "cannot":
            raise RuntimeError("ended")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.set_exception(RuntimeError("ended")) if how == "fails" else future.cancel()
        return future

    async def body(url: str) -> None:
        async with opened(url, credentials=Credentials(Temporary())) as sqs:
            monkeypatch.setattr(sqs, "_renew", offload)
            says = "ended" if how != "cancelled" else "could not be renewed"
            with pytest.raises(SQSUnavailable, match=says):
                await sqs.queue_url("q")

    with Peer(EXPIRED, OK) as peer:
        run(loop, body(peer.url))


def test_a_call_that_is_given_up_during_a_renewal_is_not_sent_again(loop: Loop) -> None:
    """And the renewal serves the next one."""
    source = Temporary()
    source.hold.clear()

    async def body(url: str) -> None:
        async with opened(url, credentials=Credentials(source)) as sqs:
            given_up = sqs.queue_url("q")
            await until(lambda: sqs._renewing is not None)
            given_up.cancel()
            source.hold.set()
            await until(lambda: sqs._renewing is None)
            assert await sqs.queue_url("q") == "http://sqs/1/q"

    with Peer(EXPIRED, OK) as peer:
        run(loop, body(peer.url))
    assert b"Credential=key2/" in peer.requests[1]


def test_what_is_done_elsewhere_has_a_deadline(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that hang, and a large answer that nobody reads: whoever waits is told, and the next call works."""
    monkeypatch.setattr(wire, "LARGE", 1_000)
    source = Temporary()
    source.hold.clear()

    async def body(url: str) -> None:
        blocking = Blocking()
        async with opened(url, credentials=Credentials(source), blocking=blocking, call_timeout=0.1) as sqs:
            with pytest.raises(SQSUnavailable, match=r"renewing the credentials took more than 0\.1 s") as raised:
                await sqs.queue_url("q")
            assert not may_be_applied(raised.value)
            with pytest.raises(SQSUnavailable, match=r"reading the answer took more than 0\.1 s") as raised:
                await sqs.queue_url("q")  # it stands behind the renewal
            assert may_be_applied(raised.value)
            source.hold.set()
            await until(lambda: sqs._renewing is None)
            assert await sqs.queue_url("q") == "http://sqs/1/q"

    large = answer(b'{"QueueUrl":"http://sqs/1/q"' + b" " * 1_000 + b"}")
    with Peer(EXPIRED, large, OK) as peer:
        run(loop, body(peer.url))


def test_a_connection_that_breaks_late_is_no_stale_one(loop: Loop) -> None:
    """What is left of the time limit would not do for another poll, and the engine asks anew."""
    dropped = threading.Event()

    def drop_late(served: Served) -> None:
        assert dropped.wait(LIMIT)
        hang_up(served)

    async def body(url: str) -> None:
        async with opened(url, connect_timeout=0.05) as sqs:
            assert await sqs.queue_url("q") == "http://sqs/1/q"
            asked = sqs.queue_url("q")
            await until(lambda: len(peer.requests) == 2)
            sent = asyncio.get_running_loop().time()
            await until(lambda: asyncio.get_running_loop().time() > sent + 0.1)
            dropped.set()
            with pytest.raises(SQSUnavailable, match="the connection broke") as raised:
                await asked
            assert may_be_applied(raised.value)

    with Peer(OK, drop_late) as peer:
        run(loop, body(peer.url))
    assert len(peer.requests) == 2


def test_without_credentials_nothing_is_sent(loop: Loop) -> None:
    """The future fails, as with any other error; the call itself raises nothing."""

    async def body(url: str) -> SQSDenied:
        async with opened(url, credentials=Credentials(lambda: None)) as sqs:
            asked = sqs.queue_url("q")
            with pytest.raises(SQSDenied) as raised:
                await asked
            return raised.value

    with Peer(OK) as peer:
        assert run(loop, body(peer.url)).code == NO_CREDENTIALS
    assert peer.connections == 0


# ---- giving up and ending --------------------------------------------------------------------------------------------


def test_a_call_that_is_cancelled_closes_its_connection(loop: Loop) -> None:
    """A poll that is open, by its future or by the awaiting task; the next call works."""

    async def body(peer: Peer) -> None:
        async with opened(peer.url) as sqs:
            poll = sqs.receive(POLL)
            await until(lambda: len(peer.requests) == 1)
            assert poll.cancel()
            assert not poll.cancel()
            await until(peer.hung_up.is_set)
            peer.hung_up.clear()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(sqs.receive(POLL), 0.01)
            await until(lambda: len(peer.requests) == 1 or peer.hung_up.is_set())
            assert not left(sqs)

    with Peer(silence, silence, OK) as peer:
        run(loop, body(peer))


def test_a_call_that_waits_for_a_connection_can_be_cancelled(loop: Loop) -> None:
    """It leaves the line, and the connection serves the next."""

    async def body(url: str) -> None:
        async with opened(url) as sqs:
            first, second = sqs.queue_url("q"), sqs.queue_url("q")
            first.cancel()
            assert await second == "http://sqs/1/q"

    with Peer(OK) as peer:
        run(loop, body(peer.url))
    assert len(peer.requests) == 1


def test_close_ends_what_is_idle_now_and_what_is_in_use_after_its_answer(loop: Loop) -> None:
    """An open poll gets its answer, a second one its deadline; then nothing is left, and nothing more is sent."""
    go_on = threading.Event()

    def answer_late(served: Served) -> None:
        assert go_on.wait(LIMIT)
        served.send(OK)
        served.wait_for_end()

    async def body(peer: Peer) -> None:
        async with opened(peer.url) as sqs:
            await asyncio.gather(sqs.queue_url("a"), sqs.queue_url("b"), sqs.queue_url("c"))
            late = sqs.queue_url("late")
            await until(lambda: len(peer.requests) == 4)
            assert len(sqs.lines._idle) == 2
            sqs.close()
            sqs.close()
            assert not sqs.lines._idle
            with pytest.raises(SQSUnavailable, match="the transport is closed") as raised:
                await sqs.queue_url("more")
            assert raised.value.code == NOT_CONNECTED
            go_on.set()
            assert await late == "http://sqs/1/q"
            assert not left(sqs)

    with Peer(OK, OK, OK, answer_late) as peer:
        run(loop, body(peer))
    assert len(peer.requests) == 4


def test_close_lets_no_poll_outlive_its_deadline(loop: Loop) -> None:
    """Polls that are open when it is closed end by themselves."""

    async def body(peer: Peer) -> None:
        async with opened(peer.url, call_timeout=SHORT) as sqs:
            polls = [sqs.queue_url("q") for _ in range(5)]
            await until(lambda: len(peer.requests) == 5)
            sqs.close()
            ended = await asyncio.gather(*polls, return_exceptions=True)
            assert {getattr(one, "code", None) for one in ended} == {NO_ANSWER}
            assert not left(sqs)

    with Peer(*[silence] * 5) as peer:
        run(loop, body(peer))


@pytest.mark.parametrize("stage", ["look-up", "request"])
def test_a_loop_that_ends_takes_what_is_open_with_it(loop: Loop, stage: str) -> None:
    """A worker at its stop deadline closes transport and loop: no socket and no task is left, and no warning."""
    blocking = Blocking()
    asked: list[asyncio.Future[Any]] = []

    async def body(peer: Peer) -> None:
        running = asyncio.get_running_loop()
        never = running.create_future()
        sqs = FastTransport(
            Settings(peer.url, "us-east-1", Credentials.fixed(KEYS)),
            running,
            resolve=blocking.resolve if stage == "request" else lambda *_: never,
            offload=blocking.offload,
        )
        asked.extend(sqs.receive(POLL) for _ in range(3))
        await until(lambda: len(peer.requests if stage == "request" else sqs.lines._opening) == 3)
        sqs.close()
        sqs.close()

    with Peer(*[silence] * 3) as peer:
        run(loop, body(peer))
        if stage == "request":
            assert peer.hung_up.wait(LIMIT)
        assert not any(one.done() for one in asked)
        asked.clear()
        gc.collect()
    blocking.close()


def test_no_timer_stays() -> None:
    """One for all deadlines while something is under way, none after close."""

    async def body(url: str) -> list[int]:
        found = [timers()]
        async with opened(url) as sqs:
            await asyncio.gather(*[sqs.queue_url("q") for _ in range(9)])
            await until(lambda: not sqs.lines._opening)
            found.append(timers())
        return [*found, timers()]

    with Peer(*[OK] * 9) as peer:
        assert run(asyncio.new_event_loop, body(peer.url)) == [1, 2, 1]


def test_a_loop_that_was_closed_under_it_harms_nobody() -> None:
    """Who closes the loop first may still call `close`, and what is offloaded may come late."""
    loop = asyncio.new_event_loop()
    blocking = Blocking()

    async def body(url: str) -> FastTransport:
        sqs = FastTransport(
            Settings(url, "us-east-1", Credentials.fixed(KEYS)),
            loop,
            resolve=blocking.resolve,
            offload=blocking.offload,
        )
        await sqs.queue_url("q")
        sqs.receive(POLL)
        return sqs

    with Peer(OK, silence) as peer:
        sqs = loop.run_until_complete(body(peer.url))
        loop.close()
        sqs.close()
        blocking.close()
        with warnings.catch_warnings(action="ignore", category=ResourceWarning):  # to whoever closed the loop
            del sqs
            gc.collect()


def test_an_endpoint_that_cannot_be_is_refused_at_once() -> None:
    """And so are certificates that are not there: the user's mistakes, found before anything is sent."""
    loop = asyncio.new_event_loop()
    nothing: Any = None
    try:
        for settings, says in (
            (Settings("https://sqs.test/", "us-east-1", Credentials.fixed(KEYS), ca_bundle="/nowhere"), "nowhere"),
            (Settings("http://sqs.test/", "us\neast", Credentials.fixed(KEYS)), "region"),
        ):
            with pytest.raises(ConfigurationError, match=says):
                FastTransport(settings, loop, resolve=nothing, offload=nothing)
    finally:
        loop.close()
