"""A real worker on each loop: uvloop's four resolver threads stay away, whatever names are looked up."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from hadoken.sqs.api import DeleteBatch, Receive, SendBatch, SendEntry
from hadoken.sqs.credentials import Credentials, Keys
from hadoken.sqs.dialling import addresses_of
from hadoken.sqs.fast import FastTransport
from hadoken.sqs.settings import Settings
from hadoken.testing import leftovers
from hadoken.worker import loops
from hadoken.worker.blocking import Resolver
from tests.support.authority import Authority
from tests.support.local_sqs import Server
from tests.support.processes import Child
from tests.support.waiting import GLOBAL, wait_until
from tests.support.worker import Bench

StartWorker = Callable[..., Child]


def by_name(url: str) -> str:
    """The same endpoint by a name that must be looked up."""
    return url.replace("127.0.0.1", "localhost")


@pytest.mark.parametrize("transport", ["botocore", "fast"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_names_are_resolved_without_a_thread_beyond_the_budget(
    bench: Bench, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch, loop: str, transport: str
) -> None:
    """After lookups, polls, deletes and a stop the kernel counts the threads of the banner, and knows each by name."""
    monkeypatch.setenv("HADOKEN_LOOP", loop)
    url = bench.queue({"VisibilityTimeout": 30})
    run = {"concurrency": 2, "wait_time": 1, "transport": transport}
    worker = start_worker(by_name(bench.url), url, run=run, journal=False)
    worker.wait_for_line(rf"Python [\d.]+  {loop}")
    budget = int(worker.wait_for_line(r"threads +(\d+) = ").group(1))
    polls = bench.requests("ReceiveMessage")
    bench.send_many(url, [f"ok:{n}" for n in range(20)])
    bench.wait_empty(url)
    assert wait_until(lambda: bench.requests("ReceiveMessage") >= polls + 3)
    found = leftovers.os_threads(worker.pid)
    assert len(found) == budget, found
    strangers = [name for name in found.values() if not re.match(r"hd-|python|pytest", name)]
    assert not strangers
    assert not maps_of(worker.pid) if loop == "asyncio" else maps_of(worker.pid)
    assert worker.terminate() == 0


def maps_of(pid: int) -> bool:
    """Whether uvloop is loaded in a process."""
    return "uvloop" in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")


POLLS = 50


@pytest.fixture
def resolver() -> Iterator[Resolver]:
    """The worker's own, in a thread of the test."""
    made = Resolver()
    thread = threading.Thread(target=made.run)
    thread.start()
    yield made
    made.stop()
    thread.join(GLOBAL)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_polls_of_the_loop_cost_no_thread(
    authority: Authority, resolver: Resolver, monkeypatch: pytest.MonkeyPatch, name: str, tls: bool
) -> None:
    """Fifty polls side by side to an endpoint given by name, then an orderly end, on each loop, with TLS or not."""
    monkeypatch.setenv("HADOKEN_LOOP", name)
    before = set(leftovers.os_threads())

    async def main(url: str) -> None:
        loop = asyncio.get_running_loop()
        settings = Settings(url, "us-east-1", Credentials.fixed(Keys("x", "x", None)), ca_bundle=str(authority.bundle))
        fast = FastTransport(
            settings,
            loop,
            resolve=lambda host, port: resolver.submit(
                partial(addresses_of, host, port), loop, unwanted=lambda _: None
            ),
            offload=lambda call: resolver.submit(call, loop, unwanted=lambda _: None),
        )
        await fast.call("CreateQueue", {"QueueName": "orders"})
        queue = await fast.queue_url("orders")
        polls = [fast.receive(Receive(queue, 1, 20, 30)) for _ in range(POLLS)]
        for n in range(0, POLLS, 10):
            sent = await fast.send_batch(SendBatch(queue, [SendEntry(f"{m}") for m in range(n, n + 10)]))
            assert len(sent.sent) == 10
        got = [message for answer in await asyncio.gather(*polls) for message in answer.messages]
        assert len({message.body for message in got}) == POLLS
        for n in range(0, POLLS, 10):
            batch = DeleteBatch(queue, [message.receipt_handle for message in got[n : n + 10]])
            assert not (await fast.delete_batch(batch)).failed
        assert set(leftovers.os_threads()) == before
        fast.close()

    options = authority.certificate().options if tls else ()
    with Server(0, *options) as sqs, asyncio.Runner(loop_factory=loops.chosen().make) as runner:
        runner.run(asyncio.wait_for(main(by_name(sqs.url)), GLOBAL))
        assert set(leftovers.os_threads()) == before
