"""Opening connections on a loop: names, addresses, and what is said where there is none."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from hadoken.clock import SYSTEM
from hadoken.errors import SQSUnavailable
from hadoken.sqs.api import NOT_CONNECTED
from hadoken.sqs.dialling import Address
from tests.support.authority import Authority
from tests.support.on_loop import LIMIT, LOOPS, Loop, left, opened, run, until
from tests.support.peer import Peer, answer, silence, then_hang_up

URL = b'{"QueueUrl":"http://sqs/1/q"}'
OK = answer(URL)
SHORT = 0.5  # seconds for a connection that is meant to fail


@pytest.fixture(params=list(LOOPS))
def loop(request: pytest.FixtureRequest) -> Loop:
    """Each kind of loop."""
    return LOOPS[request.param]


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


class Names:
    """A resolver that knows these ports of loopback, in this order.

    Attributes:
        asked: how often.
        trouble: what it raises instead.
        hold: whether it does not answer until `free`.
    """

    def __init__(self, *ports: int, trouble: Exception | None = None, hold: bool = False) -> None:
        self.asked = 0
        self.trouble = trouble
        self.hold = hold
        self.ports = ports
        self._held: list[asyncio.Future[list[Address]]] = []

    def __call__(self, host: str, port: int) -> asyncio.Future[list[Address]]:
        """See `dialling.Resolve`."""
        self.asked += 1
        future: asyncio.Future[list[Address]] = asyncio.get_running_loop().create_future()
        if self.hold:
            self._held.append(future)
        elif self.trouble is not None:
            future.set_exception(self.trouble)
        else:
            future.set_result(self.found)
        return future

    @property
    def found(self) -> list[Address]:
        """What it knows."""
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in self.ports]

    def free(self) -> None:
        """Answer those who wait."""
        for one in self._held:
            one.set_result(self.found)


def test_the_next_address_is_tried(loop: Loop, refusing: int, silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that refuses, one that is silent, and one of a family that there may not be leave time for the good one."""
    monkeypatch.setattr("hadoken.sqs.dialling._LEAST_TRY", 0.1)

    async def body(url: str, names: Any) -> str:
        async with opened(url, resolve=names, connect_timeout=1.0) as sqs:
            return await sqs.queue_url("q")

    class Both(Names):
        """Knows an address of IPv6 too, with a port that nobody listens on."""

        @property
        def found(self) -> list[Address]:
            """What it knows."""
            six = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", refusing, 0, 0))
            return [six, *super().found]

    with Peer(OK) as peer:
        assert run(loop, body(peer.url, Both(refusing, silent, peer.port))) == "http://sqs/1/q"


def test_silent_addresses_share_one_time_limit(loop: Loop, silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty take no longer than one; and all who waited so long are told at once, not a few at a time."""
    monkeypatch.setattr("hadoken.sqs.dialling._LEAST_TRY", 0.1)
    monkeypatch.setattr("hadoken.sqs.lines.MAX_OPENING", 2)

    async def body() -> tuple[float, set[str]]:
        async with opened("http://sqs.invalid/", resolve=Names(*[silent] * 20), connect_timeout=SHORT) as sqs:
            before = SYSTEM.lease()
            ended = await asyncio.gather(*[sqs.queue_url("q") for _ in range(40)], return_exceptions=True)
            await until(lambda: not left(sqs))
            assert {getattr(one, "code", None) for one in ended} == {NOT_CONNECTED}
            return SYSTEM.lease() - before, {str(one) for one in ended}

    took, said = run(loop, body())
    assert SHORT - 0.01 <= took < 10 * SHORT
    assert said == {
        "GetQueueUrl failed: no connection in time: the connection to sqs.invalid:80 took more than 0.5 s (sqs.invalid)"
    }


@pytest.mark.parametrize(
    ("trouble", "says"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "sqs.invalid cannot be resolved: Name or"),
        (UnicodeError("label too long"), "no connection to sqs.invalid:80: UnicodeError: label too long"),
        (RuntimeError("ended"), "no connection to sqs.invalid:80: RuntimeError: ended"),
        (None, "no connection to sqs.invalid:80: the name has no address"),
    ],
    ids=["unknown", "no name", "no resolver", "no address"],
)
def test_a_name_without_an_address(loop: Loop, trouble: Exception | None, says: str) -> None:
    """Certainly nothing was sent, and the reason is said; the next call looks it up anew."""

    async def body() -> None:
        names = Names(trouble=trouble)
        async with opened("http://sqs.invalid/", resolve=names) as sqs:
            for times in (1, 2):
                with pytest.raises(SQSUnavailable, match=says) as raised:
                    await sqs.queue_url("q")
                assert (raised.value.code, raised.value.transient, names.asked) == (NOT_CONNECTED, True, times)

    run(loop, body())


def test_a_name_that_no_certificate_can_have(loop: Loop) -> None:
    """What TLS itself refuses is an error with its reason, and the socket is closed."""

    async def body(peer: Peer) -> None:
        async with opened(f"https://.sqs.invalid:{peer.port}/", resolve=Names(peer.port)) as sqs:
            with pytest.raises(SQSUnavailable, match=r"no connection to .sqs.invalid:\d+: UnicodeError") as raised:
                await sqs.queue_url("q")
            assert raised.value.code == NOT_CONNECTED

    with Peer() as peer:
        run(loop, body(peer))


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_connection_that_is_given_up_at_any_moment_leaves_nothing(
    loop: Loop, authority: Authority, tls: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Cancelled after each number of turns of the loop, until one is quick enough to be made."""

    async def body(peer: Peer) -> int:
        for turns in range(100):
            async with opened(peer.url, resolve=Names(peer.port), ca_bundle=str(authority.bundle)) as sqs:
                asked = sqs.queue_url("q")
                for _ in range(turns):
                    await asyncio.sleep(0)
                asked.cancel()
                sqs.close()
                if turns > 5 and peer.requests:
                    return turns
        return 0

    with Peer(*[silence] * 100, tls=authority.server_context() if tls else None) as peer:
        assert run(loop, body(peer))
        assert not caplog.records


def test_nobody_there(loop: Loop, refusing: int) -> None:
    """A host that refuses fails each request once, at once."""

    async def body() -> None:
        async with opened(f"http://127.0.0.1:{refusing}/") as sqs:
            asked = [sqs.queue_url("q") for _ in range(30)]
            for one in asked:
                with pytest.raises(SQSUnavailable, match=r"no connection to 127.0.0.1:\d+: Connection refused"):
                    await one

    run(loop, body())


def test_a_slow_look_up_fails_who_waits_for_it_and_serves_who_comes_later(loop: Loop) -> None:
    """It is asked for once, however many connections need it and give up."""

    async def body(peer: Peer) -> None:
        names = Names(peer.port, hold=True)
        async with opened("http://sqs.invalid/", resolve=names, connect_timeout=2 * SHORT) as sqs:
            ended = await asyncio.gather(*[sqs.queue_url("q") for _ in range(3)], return_exceptions=True)
            assert {str(one).partition(" took")[0] for one in ended} == {
                "GetQueueUrl failed: no connection in time: the look-up of sqs.invalid"
            }
            later = sqs.queue_url("q")
            names.free()
            assert await later == "http://sqs/1/q"
            assert names.asked == 1

    with Peer(OK) as peer:
        run(loop, body(peer))


def test_a_move_of_the_endpoint_is_followed(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections opened together share a look-up; a later one makes its own, and so does one after a failure."""

    async def body(old: Peer, new: Peer) -> int:
        names = Names(old.port)
        async with opened("http://sqs.invalid/", resolve=names) as sqs:
            await asyncio.gather(sqs.queue_url("q"), sqs.queue_url("q"))
            assert names.asked == 1
            await until(lambda: not sqs.lines._idle)
            names.ports = (new.port,)
            await sqs.queue_url("q")
            assert (names.asked, new.connections) == (1, 0)
            monkeypatch.setattr("hadoken.sqs.dialling._KNOWN_FOR", 0.0)
            sqs.lines._dialler._known_until = 0.0
            await until(lambda: not sqs.lines._idle)
            await sqs.queue_url("q")
            return names.asked

    with Peer(*[then_hang_up(OK)] * 3) as old, Peer(OK) as new:
        assert run(loop, body(old, new)) == 2
        assert (old.connections, new.connections) == (3, 1)


def test_an_address_that_refuses_is_looked_up_again(loop: Loop, refusing: int) -> None:
    """What is known of a name is forgotten with the first failure."""

    async def body(peer: Peer) -> None:
        names = Names(refusing)
        async with opened("http://sqs.invalid/", resolve=names) as sqs:
            with pytest.raises(SQSUnavailable, match="refused"):
                await sqs.queue_url("q")
            names.ports = (peer.port,)
            assert await sqs.queue_url("q") == "http://sqs/1/q"
            assert names.asked == 2

    with Peer(OK) as peer:
        run(loop, body(peer))


def test_a_number_is_no_name(loop: Loop) -> None:
    """An address goes to no resolver."""

    async def body(port: int) -> int:
        names = Names()
        async with opened(f"http://127.0.0.1:{port}/", resolve=names) as sqs:
            await sqs.queue_url("q")
        return names.asked

    with Peer(OK) as peer:
        assert run(loop, body(peer.port)) == 0


def test_connections_are_probed_and_send_at_once(loop: Loop) -> None:
    """No router forgets a silent poll, and no request waits for the acknowledgement of the one before."""

    async def body(url: str) -> list[int]:
        async with opened(url) as sqs:
            await sqs.queue_url("q")
            (line,) = sqs.lines._idle
            sock = line._transport.get_extra_info("socket")
            return [
                sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
                sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY),
            ]

    with Peer(OK) as peer:
        assert run(loop, body(peer.url)) == [1, 30, 1]


@pytest.mark.parametrize("stage", ["look-up", "connection", "request"])
def test_close_gives_up_what_nobody_waits_for(loop: Loop, stage: str, silent: int) -> None:
    """At whatever stage a connection is when its request is cancelled and the transport closed, nothing is left."""

    async def body(peer: Peer) -> None:
        names = Names(silent if stage == "connection" else peer.port, hold=stage == "look-up")
        async with opened("http://sqs.invalid/", resolve=names) as sqs:
            asked = sqs.queue_url("q")
            await asyncio.sleep(0)
            if stage == "request":
                await until(lambda: len(peer.requests) == 1)
            before = SYSTEM.lease()
            asked.cancel()
            sqs.close()
            await until(lambda: not left(sqs))
            assert SYSTEM.lease() - before < LIMIT / 2

    with Peer(silence) as peer:
        run(loop, body(peer))
