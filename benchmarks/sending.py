"""What sending costs: CPU of the process per message, one by one and in the framework's own batches."""

from __future__ import annotations

import time
from dataclasses import dataclass

from benchmarks import proc
from benchmarks.child import Child
from benchmarks.contender import Contender
from benchmarks.programs.job import WARM, Job
from benchmarks.run import await_
from benchmarks.stock import Stock


@dataclass(frozen=True, slots=True)
class Sent:
    """What one run of sending cost.

    Attributes:
        cpu_ms: milliseconds of CPU per message, from the first call until the server has them all.
        per_second: messages sent per second.
    """

    messages: int
    cpu_ms: float
    per_second: float


def send(contender: Contender, stock: Stock, messages: int, *, many: bool) -> Sent:
    """Let a program send, one by one or in batches, after a few that are not counted.

    Raises:
        RuntimeError: it failed, or the server did not get them.
    """
    name, url = stock.queue()
    sqs = stock.sqs
    mode = "send many" if many else "send"
    job = Job(mode, stock.endpoint, [name], [url], messages, transport=contender.transport, ca=sqs.ca)
    before = sqs.sent()
    with Child(contender, job) as child:
        assert child.line() == {"ready": True}
        began, start = time.monotonic(), proc.look(child.pid)
        child.go()
        assert child.line() == {"sent": True}
        await_(lambda: sqs.sent() - before >= messages + WARM, f"{contender.name} did not send {messages} messages")
        took, end = time.monotonic() - began, proc.look(child.pid)
    if sqs.sent() - before != messages + WARM:
        raise RuntimeError(f"{contender.name} sent {sqs.sent() - before} messages instead of {messages + WARM}")
    return Sent(messages, (end.cpu - start.cpu) / messages * 1000, messages / took)
