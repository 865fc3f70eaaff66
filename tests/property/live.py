"""Real workers for properties of threads: an app of random pools on a local SQS in process, and what it does."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field

from hypothesis import strategies as st

from hadoken import App, Worker
from hadoken.local.inprocess import LocalSQS
from hadoken.sqs import api
from hadoken.testing.leftovers import os_threads
from tests.support.signals import TestSignal
from tests.support.waiting import GRACE, wait_until

POLL = 0.02  # seconds of real time that a long poll lasts here


class Quick(LocalSQS):
    """A local SQS whose long polls end soon: its clock jumps over their wait."""

    def receive(self, request: api.Receive) -> asyncio.Future[api.Received]:
        """Long-poll, for `POLL` seconds of real time at the most."""
        future = super().receive(request)
        if not future.done():
            asyncio.get_running_loop().call_later(POLL, self.advance, float(request.wait_time))
        return future


@dataclass
class Life:
    """What one worker is to be.

    Attributes:
        pools: concurrency of each pool; each serves one queue.
        messages: sent to each queue before the start.
        failing: every n-th message fails; 0 for none.
    """

    pools: tuple[int, ...]
    messages: int
    failing: int


LIVES = st.builds(
    Life,
    pools=st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple),
    messages=st.integers(0, 30),
    failing=st.sampled_from((0, 2, 5)),
)


@dataclass
class Running:
    """A worker on its own local SQS.

    Attributes:
        handled: told of each start of a handler.
        gate: handlers wait for it; set by default.
    """

    life: Life
    drain_timeout: float = 10.0
    handled: TestSignal[str] = field(default_factory=lambda: TestSignal("handled"))
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        """Declare the app, create the queues, send the messages; start nothing."""
        self.gate.set()
        self.sqs = Quick()
        self.before = set(os_threads())
        app = App("properties")
        for number, concurrency in enumerate(self.life.pools):
            name = f"q{number}"
            app.pool(f"p{number}", concurrency=concurrency, queues={name: 1})
            url = self.sqs.create_queue(name, {"VisibilityTimeout": "43200"})
            self._declare(app, name, f"p{number}")
            for n in range(self.life.messages):
                self.sqs.execute(api.SendBatch(url, [api.SendEntry(str(n))]))
        self.worker = Worker(app, sqs=self.sqs, wait_time=1, drain_timeout=self.drain_timeout)

    def _declare(self, app: App, name: str, pool: str) -> None:
        @app.queue(name, str).handler(pool=pool, retry=[40_000])
        def handle(body: str) -> None:
            self.gate.wait(20)
            self.handled.emit(body)
            if self.life.failing and int(body) % self.life.failing == 0:
                raise ValueError(body)

    @property
    def total(self) -> int:
        """Messages sent in all."""
        return self.life.messages * len(self.life.pools)

    @property
    def ours(self) -> int:
        """OS threads there are now that were not there before, the caller's apart."""
        return len(set(os_threads()) - self.before)

    def gone(self) -> bool:
        """Whether the OS has none of them any more; it needs a moment after Python's own join."""
        return wait_until(lambda: self.ours == 0, GRACE)

    @property
    def budget(self) -> int:
        """How many of them there are to be: all but the main one."""
        return self.worker.threads.total - 1

    def in_flight(self) -> int:
        """Messages that SQS thinks somebody holds, those that wait for a late retry apart."""
        return sum(queue.in_flight for queue in self.sqs.queues)
