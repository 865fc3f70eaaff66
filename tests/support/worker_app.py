"""The app of a worker under test in a process of its own: its handler does what the body of the message says.

Started as `python -m tests.support.worker_app '<settings as JSON>'`.
"""

from __future__ import annotations

import gc
import logging
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec

import hadoken
from hadoken.clock import SYSTEM
from hadoken.message import Message
from tests.support.journal import Journal
from tests.support.waiting import wait_until

FOREVER = 3_600.0  # seconds; far beyond any test


class Settings(msgspec.Struct, kw_only=True):
    """What a test asks of the worker.

    Attributes:
        url: of the local SQS.
        queues: names of the queues served.
        folder: where `journal`, the gate and `held` are.
        options: for the handlers.
        run: for `hadoken.run`.
        log: level of the log.
        journal: whether handlers write their lines.
    """

    url: str
    queues: list[str]
    folder: str
    options: dict[str, Any] = {}
    run: dict[str, Any] = {}
    log: str = "INFO"
    journal: bool = True


class Held(msgspec.Struct):
    """What a worker held at one moment; read from inside.

    Attributes:
        messages: live `Message` objects.
        in_flight, leases, groups: of all pools, from the worker's snapshot.
        state: of the worker.
        overrun, failed, acked: counts over all queues.
    """

    messages: int
    in_flight: int
    leases: int
    groups: int
    state: str
    overrun: int
    failed: int
    acked: int


class Deeds:
    """The handler, one verb a message; what follows a colon in the body is only there to tell messages apart."""

    def __init__(self, settings: Settings) -> None:
        self._folder = Path(settings.folder)
        self._journal = Journal(self._folder / "journal") if settings.journal else None

    def handle(self, body: str, ctx: hadoken.Context) -> None:
        """Do what the body says, with a line before and after."""
        if self._journal is None:
            self.do(body, ctx)
            return
        with self._journal.run(ctx):
            self.do(body, ctx)

    def do(self, body: str, ctx: hadoken.Context) -> None:
        """Do what the body says."""
        verb = body.partition(":")[0]
        again = ctx.message.receive_count > 1
        if verb == "gate":
            assert wait_until((self._folder / "gate").exists, FOREVER)
        elif verb == "hang":
            threading.Event().wait()
        elif verb == "fail" and not again:
            raise RuntimeError(body)
        elif verb == "overrun" and not again:
            assert wait_until(lambda: ctx.cancelled, FOREVER)
            raise RuntimeError(body)
        elif verb == "spend":
            threading.Event().wait(0.005)  # the work of a handler: it stands for a call to somewhere
        elif verb == "compute":
            compute(int(body.split(":")[1]) / 1_000)
        elif verb == "report":
            self.report()

    def report(self) -> None:
        """Write what the worker holds to the file `held`, whole or not at all."""
        part = self._folder / "held.part"
        part.write_bytes(msgspec.json.encode(held()))
        part.rename(self._folder / "held")


def compute(seconds: float) -> int:
    """Compute in Python, for so many seconds of this thread's CPU."""
    end = time.thread_time() + seconds
    found = 1
    while time.thread_time() < end:
        for n in range(1_000):
            found = (found * 31 + n) % 1_000_003
    return found


def held() -> Held:
    """Look at the worker of this process from inside."""
    gc.collect()
    everything = gc.get_objects()
    (worker,) = (thing for thing in everything if type(thing) is hadoken.Worker)
    snapshot = worker.snapshot()
    pools, counts = snapshot.pools.values(), snapshot.counts.values()
    return Held(
        messages=sum(type(thing) is Message for thing in everything),
        in_flight=snapshot.in_flight,
        leases=sum(pool.leases for pool in pools),
        groups=sum(pool.groups for pool in pools),
        state=snapshot.state,
        overrun=sum(each["overrun"] for each in counts),
        failed=sum(each["failed"] for each in counts),
        acked=sum(each["acked"] for each in counts),
    )


def app_of(settings: Settings, deeds: Deeds) -> hadoken.App:
    """Declare the app."""
    app = hadoken.App("under-test")
    for name in settings.queues:
        app.queue(name, str).handler(**settings.options)(deeds.handle)
    return app


def main(text: str) -> None:
    """Run the worker until a signal ends it, then write what is left in it."""
    settings = msgspec.json.decode(text, type=Settings)
    logging.basicConfig(level=settings.log, format="%(levelname)s %(name)s %(message)s", stream=sys.stderr)
    deeds = Deeds(settings)
    connection = hadoken.Connection(region="us-east-1", endpoint_url=settings.url, anonymous=True)
    began = SYSTEM.lease()
    try:
        hadoken.run(app_of(settings, deeds), connection=connection, **settings.run)
    finally:
        sys.stderr.write(f"under test: ended after {SYSTEM.lease() - began:.1f} s\n")
        if not settings.journal:
            deeds.report()


if __name__ == "__main__":
    main(sys.argv[1])
