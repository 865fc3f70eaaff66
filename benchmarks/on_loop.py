"""What a request costs on a loop, transport by transport and on both kinds of loop, and two hundred polls that wait.

Run by `python -m benchmarks.on_loop`; about a minute. CPU is that of this process with all its threads; the server is a
process of its own. All take turns within a round.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import uvloop

from benchmarks import machine, proc
from benchmarks.local_sqs import LocalSQS
from benchmarks.production import secured
from benchmarks.verdict import Line, publish
from hadoken.sqs import api
from hadoken.sqs.boto import BotoClient, BotoTransport
from hadoken.sqs.connection import Connection
from hadoken.sqs.credentials import NOBODY, Credentials
from hadoken.sqs.dialling import addresses_of
from hadoken.sqs.fast import FastTransport
from hadoken.sqs.settings import Settings
from hadoken.worker.blocking import Resolver

ROUNDS = 7
CALLS = 200  # of each operation in a round
WARM = 10
BODY = "x" * 200  # bytes
POLLS = 200
WATCHED = 20.0  # seconds in which they wait: one long poll each
MIB = 1_048_576
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
LIMITS = {"HTTP": 120.0, "TLS": 200.0}  # CPU us of a receive of ten
BOTOCORES = 3_000.0  # us; only so that a slip of the benchmark is seen


@contextmanager
def blocking() -> Iterator[Resolver]:
    """The thread behind a transport that may block."""
    resolver = Resolver()
    thread = threading.Thread(target=resolver.run)
    thread.start()
    yield resolver
    resolver.stop()
    thread.join()


def fast(sqs: LocalSQS, resolver: Resolver, loop: asyncio.AbstractEventLoop) -> FastTransport:
    def offload(call: Callable[[], Any]) -> asyncio.Future[Any]:
        return resolver.submit(call, loop, unwanted=lambda _: None)

    settings = Settings(sqs.url, "us-east-1", Credentials.fixed(NOBODY), ca_bundle=sqs.ca or None)
    return FastTransport(
        settings, loop, resolve=lambda host, port: offload(partial(addresses_of, host, port)), offload=offload
    )


def botocore(sqs: LocalSQS, _: Resolver, loop: asyncio.AbstractEventLoop) -> BotoTransport:
    client = BotoClient(Connection(region="us-east-1", endpoint_url=sqs.url, anonymous=True))
    threads: list[threading.Thread] = []

    def spawn(name: str, body: Callable[[], None]) -> None:
        threads.append(threading.Thread(target=body, name=name))
        threads[-1].start()

    return BotoTransport(client, loop, spawn, 3)


async def calls(make: Callable[..., Any], sqs: LocalSQS, resolver: Resolver, url: str) -> tuple[float, float]:
    """CPU us of a receive of ten and of their delete."""
    receive = api.Receive(url, 10, 0, 600)
    with closing(make(sqs, resolver, asyncio.get_running_loop())) as transport:
        for _ in range(WARM):
            await transport.receive(receive)
        began = time.process_time()
        received = [await transport.receive(receive) for _ in range(CALLS)]
        middle = time.process_time()
        batches = [api.DeleteBatch(url, [one.receipt_handle for one in each.messages]) for each in received]
        before = time.process_time()
        for batch in batches:
            assert len(batch.handles) == 10
            assert not (await transport.delete_batch(batch)).failed
        ended = time.process_time()
    return (middle - began) / CALLS * 1e6, (ended - before) / CALLS * 1e6


def measure_calls(sqs: LocalSQS, clothes: str, resolver: Resolver) -> list[Line]:
    lines: list[Line] = []
    ways = [(f"fast, {name}", fast, make) for name, make in LOOPS.items()] + [("botocore", botocore, LOOPS["asyncio"])]
    for name, _, _ in ways:
        limit = BOTOCORES if name == "botocore" else LIMITS[clothes]
        lines += [Line(f"{operation}, {clothes}, {name}: CPU", [], limit, "us") for operation in ("receive", "delete")]
    for number in range(ROUNDS):
        for at, (_, transport, make_loop) in enumerate(ways):
            url = sqs.create(f"{clothes}-{number}-{at}")
            sqs.fill(url, [{"MessageBody": BODY}] * 10, (WARM + CALLS) * 10)
            with asyncio.Runner(loop_factory=make_loop) as runner:
                for line, cost in zip(lines[2 * at :], runner.run(calls(transport, sqs, resolver, url)), strict=False):
                    line.values.append(cost)
    return lines


async def parked(sqs: LocalSQS, count: int) -> None:
    while sqs.parked() < count:  # noqa: ASYNC110 -- only the server knows
        await asyncio.sleep(0.02)


async def wait(sqs: LocalSQS, resolver: Resolver, urls: list[str]) -> list[float]:
    """MiB, threads and CPU ms that all polls but the first take until they wait, and requests a second of them all."""
    receives = [api.Receive(url, 1, 20, 30) for url in urls]
    with closing(fast(sqs, resolver, asyncio.get_running_loop())) as transport:
        polls = [transport.receive(receives[0])]
        await parked(sqs, 1)
        gc.collect()
        memory, threads = proc.rss_bytes(os.getpid()), proc.threads(os.getpid())
        began = time.process_time()
        polls += map(transport.receive, receives[1:])
        await parked(sqs, len(urls))
        spent = time.process_time() - began
        taken = proc.rss_bytes(os.getpid()) - memory
        more = proc.threads(os.getpid()) - threads
        asked, since = sum(sqs.requests().values()), time.monotonic()
        await asyncio.gather(*polls)
        polls = [transport.receive(receive) for receive in receives]
        await asyncio.sleep(max(0.0, since + WATCHED - time.monotonic()))
        rate = (sum(sqs.requests().values()) - asked) / (time.monotonic() - since)
        for poll in polls:
            poll.cancel()
    await asyncio.sleep(0)
    return [taken / MIB, float(more), spent * 1000, rate]


def poll(name: str) -> None:
    """Print what `wait` gives, on a loop of this name; in a process of its own, whose memory nobody has used before."""
    with secured() as sqs, blocking() as resolver, asyncio.Runner(loop_factory=LOOPS[name]) as runner:
        urls = [sqs.create(f"idle-{number}") for number in range(POLLS)]
        print(json.dumps(runner.run(wait(sqs, resolver, urls))))


def measure_polls() -> list[Line]:
    lines: list[Line] = []
    for name in LOOPS:
        words = [sys.executable, "-m", "benchmarks.on_loop", name]
        said = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 -- ours
        mib, threads, cpu, rate = json.loads(said.stdout)
        what = f"{POLLS} polls over TLS, {name}"
        lines += [
            Line(f"{what}: memory more than one", [mib], 15, "MiB"),
            Line(f"{what}: threads more than one", [threads], 0, "threads"),
            Line(f"{what}: CPU until they wait", [cpu], 700, "ms"),
            Line(f"{what}: requests a second", [rate], 10.5, "/s"),
        ]
    return lines


def main() -> int:
    load = os.getloadavg()[0]
    lines = measure_polls()
    with blocking() as resolver, LocalSQS() as plain, secured() as secure:
        lines += measure_calls(plain, "HTTP", resolver)
        os.environ["AWS_CA_BUNDLE"] = secure.ca  # where botocore looks
        lines += measure_calls(secure, "TLS", resolver)
    return publish("on-loop", "A request on a loop", lines, machine.look(load))


if __name__ == "__main__":
    sys.exit(main() if len(sys.argv) == 1 else poll(sys.argv[1]))
