"""From send to start: a message is sent at a steady rate to a worker that waits; when does its handler begin?"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from dataclasses import dataclass

from benchmarks.child import Child
from benchmarks.contender import Contender
from benchmarks.programs.job import Job
from benchmarks.run import await_
from benchmarks.stock import Stock
from benchmarks.wire import request

WARM = 20  # messages before the first that counts: connections are made, code is warm


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from the moment before the SendMessage request is written until the handler starts.

    Attributes:
        rate: messages a second that were asked for.
        sent: messages a second that were sent; less than `rate` when the sender itself could not keep up.
    """

    rate: float
    sent: float
    p50: float
    p99: float


def latency(contender: Contender, stock: Stock, rate: float, messages: int) -> Latency:
    """Send messages one by one to an idle worker with no-op handlers.

    Raises:
        RuntimeError: it failed, or did not handle them all.
    """
    entries = stock.originals(contender)
    name, url = stock.queue()
    sends = [request("SendMessage", QueueUrl=url, **entry) for entry in entries]
    whole = WARM + messages
    job = Job("work", stock.endpoint, [name], [url], whole, starts=True, transport=contender.transport, ca=stock.sqs.ca)
    with Child(contender, job) as child:
        await_(lambda: stock.sqs.parked() > 0, f"{contender.name} did not poll")
        sent: list[float] = []
        begin = time.monotonic()
        for number in range(whole):
            time.sleep(max(0.0, begin + number / rate - time.monotonic()))
            sent.append(time.monotonic())
            stock.sqs.wire.call(sends[number % len(sends)])
        assert child.line()["first"]
        starts = child.line()["starts"]
    waits = sorted(_waits(sent, starts, len(entries)))
    cuts = statistics.quantiles(waits, n=100)
    return Latency(rate, (whole - 1) / (sent[-1] - sent[0]), statistics.median(waits) * 1000, cuts[98] * 1000)


def _waits(sent: list[float], starts: list[tuple[int, float]], originals: int) -> list[float]:
    """Seconds of each message that counts; the copies of one original start in the order in which they were sent."""
    by_number: dict[int, list[float]] = defaultdict(list)
    for number, start in starts:
        by_number[number].append(start)
    for each in by_number.values():
        each.sort()
    return [by_number[at % originals][at // originals] - sent[at] for at in range(WARM, len(sent))]
