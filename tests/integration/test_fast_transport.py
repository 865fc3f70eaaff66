"""The transport on the loop against the local SQS in a process of its own, plain and over TLS, on both loops."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hadoken.errors import LeaseLost, SQSError
from hadoken.sqs import api
from hadoken.sqs.fast import FastTransport
from tests.support.authority import Authority
from tests.support.local_sqs import Server
from tests.support.on_loop import LOOPS, Blocking, Loop, opened, run, until

POLLS = 200
PAGE = os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(params=list(LOOPS))
def loop(request: pytest.FixtureRequest) -> Loop:
    """Each kind of loop."""
    return LOOPS[request.param]


@pytest.fixture(scope="module", params=["plain", "tls"])
def server(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Server]:
    """A local SQS of either kind."""
    with Server(0, *(authority.certificate().options if request.param == "tls" else ())) as running:
        yield running


@pytest.fixture
def bundle(authority: Authority) -> str:
    """Whom to trust."""
    return str(authority.bundle)


async def queue(sqs: FastTransport, name: str) -> str:
    """Create a queue and return its URL."""
    return str((await sqs.call("CreateQueue", {"QueueName": name}))["QueueUrl"])


def rss() -> int:
    """Bytes of memory that are resident."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def test_messages_go_round(loop: Loop, server: Server, bundle: str) -> None:
    """Sent, received, extended, deleted; what is wrong with one entry is said of that one."""

    async def body() -> None:
        async with opened(server.url, ca_bundle=bundle) as sqs:
            url = await queue(sqs, "round")
            assert await sqs.queue_url("round") == url
            entries = [api.SendEntry(f"ünïcode {n}", {"n": api.Attribute("Number", str(n))}) for n in range(10)]
            assert len((await sqs.send_batch(api.SendBatch(url, entries))).sent) == 10
            received = await sqs.receive(api.Receive(url, 10, 20, 30))
            assert sorted(one.body for one in received.messages) == [entry.body for entry in entries]
            assert received.server_time is not None
            handles = [one.receipt_handle for one in received.messages]
            changes = api.ChangeVisibilityBatch(url, [(handles[0], 60), ("garbage", 60)])
            assert set((await sqs.change_visibility_batch(changes)).failed) == {1}
            assert not (await sqs.delete_batch(api.DeleteBatch(url, handles))).failed
            assert (await sqs.queue_attributes(url))["ApproximateNumberOfMessages"] == "0"

    run(loop, body())


def test_refusals_are_those_of_sqs(loop: Loop, server: Server, bundle: str) -> None:
    """By class, code and operation, and the connection is kept."""

    async def body() -> None:
        async with opened(server.url, ca_bundle=bundle) as sqs:
            with pytest.raises(SQSError, match=r"GetQueueUrl failed: .*NonExistentQueue|QueueDoesNotExist") as raised:
                await sqs.queue_url("nowhere")
            assert api.fault_of(raised.value) is api.Fault.NO_QUEUE
            url = await queue(sqs, "refusals")
            with pytest.raises(LeaseLost):
                await sqs.call("DeleteMessage", {"QueueUrl": url, "ReceiptHandle": "garbage"})
            assert len(sqs.lines._idle) == 1

    run(loop, body())


def test_ten_mebibytes_in_one_answer_are_read_off_the_loop(loop: Loop, server: Server, bundle: str) -> None:
    """The largest receive that SQS gives; the loop goes on meanwhile."""

    async def body() -> None:
        blocking = Blocking()
        async with opened(server.url, ca_bundle=bundle, blocking=blocking) as sqs:
            url = await queue(sqs, "large")
            for n in range(10):
                await sqs.send_batch(api.SendBatch(url, [api.SendEntry(str(n) * 1_048_576)]))
            received = await sqs.receive(api.Receive(url, 10, 0, 30))
            assert {len(one.body) for one in received.messages} == {1_048_576}
            assert len(received.messages) == 10
            assert len(blocking.done) == 1
            await sqs.delete_batch(api.DeleteBatch(url, [one.receipt_handle for one in received.messages]))

    run(loop, body())


def test_two_hundred_idle_polls_cost_no_thread_and_little_memory(loop: Loop, server: Server, bundle: str) -> None:
    """At most 15 MiB more than one poll, one request each, and a message wakes the one that it is for."""

    async def body() -> None:
        async with opened(server.url, ca_bundle=bundle) as sqs:
            urls = [await queue(sqs, f"idle-{n}") for n in range(POLLS)]
            polls = [sqs.receive(api.Receive(urls[0], 1, 20, 30))]
            await sqs.queue_url("idle-0")
            gc.collect()
            before, threads = rss(), threading.active_count()
            asked = requests(server)
            polls += [sqs.receive(api.Receive(url, 1, 20, 30)) for url in urls[1:]]
            await until(lambda: not sqs.lines._opening and not sqs.lines._waiting)
            await sqs.queue_url("idle-0")
            assert requests(server) - asked == POLLS
            assert rss() - before <= 15 * 1_048_576
            assert threading.active_count() == threads
            await sqs.send_batch(api.SendBatch(urls[150], [api.SendEntry("wake")]))
            done, _ = await asyncio.wait(polls, return_when=asyncio.FIRST_COMPLETED)
            assert [poll.result().messages[0].body for poll in done] == ["wake"]
            assert done == {polls[150]}
            for poll in polls:
                poll.cancel()

    run(loop, body())


def requests(server: Server) -> int:
    """How many the server has had: each is counted when it comes."""
    return sum(count["requests"] for count in server.get("counters").values())


def test_a_server_that_goes_and_comes_back(loop: Loop) -> None:
    """Calls fail while it is away, and work again when it is there, over new connections."""

    async def body() -> None:
        server = Server(0)
        async with opened(server.url) as sqs:
            url = await queue(sqs, "comes-back")
            server.close()
            with pytest.raises(SQSError, match=r"GetQueueUrl failed: no connection to 127.0.0.1") as raised:
                await sqs.queue_url("comes-back")
            assert raised.value.transient
            with Server(server.port):
                assert await queue(sqs, "comes-back") == url

    run(loop, body())
