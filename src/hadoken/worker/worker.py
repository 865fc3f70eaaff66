"""The worker: threads started to a plan, an engine, an orderly end."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Final, Never, Self, TypeVar, cast

import msgspec

from hadoken.clock import SYSTEM, Wake
from hadoken.errors import ConfigurationError, DrainTimeout, LifecycleError
from hadoken.options import WorkerOptions
from hadoken.retry import seconds_of
from hadoken.sending.background import background
from hadoken.sqs.connection import Connection, Transport
from hadoken.threads.spawn import Birth, Threads
from hadoken.threads.watch import Watch
from hadoken.worker.banner import transport_line
from hadoken.worker.blocking import Credentials, Resolver
from hadoken.worker.engine import Engine
from hadoken.worker.greenlets import refuse_greenlets
from hadoken.worker.plan import FLUSH, plan
from hadoken.worker.snapshot import TransportSnapshot
from hadoken.worker.switching import SwitchInterval

if TYPE_CHECKING:
    from hadoken.app import App
    from hadoken.sqs.api import SQS
    from hadoken.sqs.opening import Opening
    from hadoken.sqs.settings import Settings
    from hadoken.worker.snapshot import Snapshot

log = logging.getLogger("hadoken.worker")

T = TypeVar("T")

# Exit codes: 0 drained; sysexits(3) for the others.
DRAINED: Final = 0
FAILED: Final = 70  # EX_SOFTWARE: the engine failed, or too many handlers hang
FORCED: Final = 75  # EX_TEMPFAIL: handlers were still running at the drain deadline
MISCONFIGURED: Final = 78  # EX_CONFIG

START = 5.0  # seconds; a thread that takes longer to begin is reported by what it does not do
LAST_JOIN = 1.0  # seconds for threads that were told to end and have nothing to wait for


class Worker:
    """Processes the messages of an app's queues.

    `with Worker(app) as worker:` runs it beside other code: no signal handler is touched, and at the end of the block
    it drains. `hadoken.run(app)` makes it the whole program.

    Args:
        app: what to run.
        concurrency, queues, drain_timeout, wait_time, region, endpoint_url, transport, max_sqs_threads: see
            `WorkerOptions`.
        switch_interval: see `WorkerOptions`; None leaves the interpreter as it is.
        sqs: a transport of your own, such as the local SQS in process; its calls are made on the engine loop.
        connection: how to reach SQS, instead of region and endpoint_url.
        client: a client for SQS of botocore or boto3, instead of these three: its settings count, and its hooks.

    Attributes:
        choice: the transport taken, and why; None with `sqs`.

    Raises:
        ConfigurationError: the app or an option cannot work. Found here, before any thread.
    """

    def __init__(
        self,
        app: App,
        *,
        concurrency: int | None = None,
        queues: Iterable[str] | None = None,
        drain_timeout: float | timedelta = 25,
        wait_time: int = 20,
        region: str | None = None,
        endpoint_url: str | None = None,
        transport: Transport = "auto",
        max_sqs_threads: int = 64,
        switch_interval: float | None = None,
        sqs: SQS | None = None,
        connection: Connection | None = None,
        client: object | None = None,
        **unknown: Never,
    ) -> None:
        self.options = WorkerOptions(
            concurrency=concurrency,
            queues=None if queues is None else tuple(queues),
            drain_timeout=seconds_of(drain_timeout),
            wait_time=wait_time,
            region=region,
            endpoint_url=endpoint_url,
            transport=transport,
            max_sqs_threads=max_sqs_threads,
            switch_interval=switch_interval,
            **unknown,
        )
        self._connection = _connection(self.options, connection, client)
        self._sqs = sqs
        self.plan = plan(app, self.options, own_transport=True)
        self._opening = self._open()  # before any thread: their number depends on what it chooses
        self.choice = self._opening.choice if self._opening else None
        if self._opening and not self._opening.is_fast:
            self.plan = plan(app, self.options, longest_wait=self._opening.longest_wait)
        self.engine = Engine(self.plan, self._connect, where=lambda: self._where)
        self.threads = Threads(self.plan.budget, on_death=self._thread_died)
        self._watch = Watch(budget=lambda: self.threads.total, in_hand=self.in_hand)
        self._resolver = Resolver()
        self._credentials = Credentials()
        self._switch_interval = SwitchInterval(switch_interval)
        self._endpoint_url = self._opening.endpoint_url if self._opening else ""
        self._where = self._opening.where if self._opening else self.transport
        self._deadline = math.inf
        self._life = threading.Lock()  # guards the next two; never held while calling out
        self._started = False
        self._ended = False
        self.stopped = Wake()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.stop()
        except DrainTimeout:
            if error is None:
                raise
            log.exception("the drain was forced while an exception left the worker's block")

    # ---- life --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start all threads and find the queues. A second call while it runs does nothing.

        Returns when the queues are known, or when SQS cannot be reached: then it is tried on, and the worker begins
        when it can.

        Raises:
            QueueNotFound: names every missing queue.
            ConfigurationError: a queue's settings cannot work, or no region is known.
            LifecycleError: it was stopped; a worker is started once.

        Thread: any. Blocks for the first requests to SQS.
        """
        self.begin()
        while not self.engine.booted.wait(60.0):
            log.warning("the queues are still being looked up")
        self.refuse_misconfiguration()

    def begin(self) -> None:
        """Start all threads and return: `start` without its wait for the queues.

        Raises:
            LifecycleError: it was stopped; a worker is started once.
            ConfigurationError: gevent or eventlet has put greenlets in the place of threads.

        Thread: any. Does not block.
        """
        refuse_greenlets()
        with self._life:
            if self._ended:
                raise LifecycleError("this worker was stopped", hint="make a new Worker to start again")
            first, self._started = not self._started, True
        if not first:
            return
        if self._sqs is None:
            self.plan.app.connect(self._connection)  # what handlers send goes where their messages come from
        self._switch_interval.begin()
        self._spawn_all()
        background().lend(self._resolver.take)  # so that `asend` in a handler starts no thread beside the budget

    def refuse_misconfiguration(self) -> None:
        """Raise what the boot found wrong, and end; do nothing while all is well.

        Raises:
            ConfigurationError: a queue is missing, its settings cannot work, or no region is known.

        Thread: any.
        """
        failure = self.engine.failure
        if isinstance(failure, ConfigurationError):
            with self._life:
                self._ended = True
            self._end()
            raise failure

    def stop(self) -> None:
        """Drain and end. Returns when it is over; a second call waits for the first, one before `start` does nothing.

        Raises:
            DrainTimeout: handlers were still running at the drain deadline; their messages were given back.

        Thread: any but the worker's own. Blocks for at most `drain_timeout` + 5 s.
        """
        with self._life:
            first, self._ended = not self._ended, True
        if not self._started:
            return
        if not first:
            self.stopped.wait(self.options.drain_timeout + 2 * FLUSH)
            return
        self.drain()
        self.engine.stopped.wait(max(0.0, self._deadline + FLUSH - SYSTEM.lease()))
        self._end()
        report = self.engine.report
        if report is not None and report.in_flight:
            raise DrainTimeout(
                f"{len(report.in_flight)} handlers were still running after {self.options.drain_timeout:g} s",
                in_flight=report.in_flight,
                hint="raise drain_timeout, or let long handlers look at ctx.cancelled",
            )

    def drain(self, timeout: float | None = None) -> None:
        """Begin to stop: no new receives, what runs may finish within `timeout` s (default: `drain_timeout`).

        A second call can only bring the end nearer. Thread: any. Does not block; `stop` waits for the end.
        """
        seconds = self.options.drain_timeout if timeout is None else timeout
        self._deadline = min(self._deadline, SYSTEM.lease() + seconds)
        self.engine.drain(self._deadline)

    @property
    def overdue(self) -> bool:
        """Whether the engine should have ended by now, after a drain, and has not: nobody needs to wait for it."""
        return SYSTEM.lease() > self._deadline + FLUSH

    def quiet(self) -> None:
        """Start no receive any more, and stay. Thread: any. Does not block."""
        self.engine.quiet()

    @property
    def exit_code(self) -> int:
        """What the process should exit with once the worker has ended."""
        if self.engine.failure is not None:
            return MISCONFIGURED if isinstance(self.engine.failure, ConfigurationError) else FAILED
        if self.engine.broken:
            return FAILED
        report = self.engine.report
        if report is None:
            return FAILED if self._started else DRAINED
        return DRAINED if report.clean else FORCED

    # ---- looking in --------------------------------------------------------------------------------------------------

    def snapshot(self, timeout: float = 10.0) -> Snapshot:
        """What the worker holds and has done, as plain data.

        Thread: any but the engine's. Blocks until the engine's next turn, for at most `timeout` seconds.

        Raises:
            LifecycleError: the engine did not answer in time.
        """
        answer: concurrent.futures.Future[Snapshot] = concurrent.futures.Future()
        if not self.engine.call(lambda: answer.set_result(self.engine.snapshot())):
            answer.set_result(self.engine.snapshot())  # it has ended, so nobody changes it any more
        try:
            snapshot = answer.result(timeout)
        except TimeoutError as error:
            raise LifecycleError(f"the engine did not answer within {timeout:g} s") from error
        return msgspec.structs.replace(snapshot, transport=self._way())

    def _way(self) -> TransportSnapshot:
        choice = self.choice
        if choice is None:
            return TransportSnapshot(type(self._sqs).__name__)
        blind = choice.tracers if choice.name == "fast" else ()
        return TransportSnapshot(choice.name, choice.reason, self._endpoint_url, self.plan.sqs_threads, blind)

    def in_hand(self) -> Mapping[str, str]:
        """Thread name -> the message it handles, in words. Thread: any."""
        now = SYSTEM.lease()
        return {
            f"hadoken-{name}-{one.slot}": f"{one.message_id} of {one.queue} for {now - one.since:.1f} s"
            for name, executor in self.engine.executors.items()
            for one in executor.in_hand()
        }

    def report_threads(self) -> None:
        """Write the table of threads to standard error soon. Thread: any. Does not block."""
        self._watch.report()

    @property
    def transport(self) -> str:
        """How SQS is reached, in words, for the banner."""
        if self.choice is None:
            return f"{type(self._sqs).__name__}, in process"
        return transport_line(self.choice, self._endpoint_url, self.plan.sqs_threads)

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _spawn_all(self) -> None:
        """Start every thread there will ever be, but botocore's, which the engine starts when it connects."""
        spawn = self.threads.spawn
        spawn("hadoken-watch", self._watch.run, role="watch")
        self._watch.started.wait(START)
        spawn("hadoken-resolver", self._resolver.run, role="resolver")
        spawn("hadoken-credentials", self._credentials.run, role="credentials")
        for name, executor in self.engine.executors.items():
            for slot in executor.slots:
                kernel = f"hd-{name[:7]}-{slot.number}"
                spawn(
                    f"hadoken-{name}-{slot.number}",
                    partial(executor.run, slot),
                    role=f"pool {name}",
                    kernel_name=kernel,
                )
        spawn("hadoken-engine", self.engine.run, role="engine")

    def _open(self) -> Opening | None:
        """Look at the connection; imports botocore, unless a transport was given. Sends nothing."""
        if self._sqs is not None:
            return None
        from hadoken.sqs.opening import Opening  # noqa: PLC0415 -- only a worker that needs it loads botocore

        return Opening(self._connection)

    def _connect(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[SQS]:
        """Make the transport, on the resolver thread: credentials may have to be asked for. Thread: engine loop."""
        if self._sqs is not None:
            ready: asyncio.Future[SQS] = loop.create_future()
            ready.set_result(self._sqs)
            return ready
        return self._resolver.submit(partial(self._make_transport, loop), loop, unwanted=lambda sqs: sqs.close())

    def _make_transport(self, loop: asyncio.AbstractEventLoop) -> SQS:
        opening, self._opening = self._opening, None  # it holds a client of botocore that nobody needs any more
        if opening is None:
            raise LifecycleError("a worker connects once")
        if opening.is_fast:
            return self._make_fast(opening.settings(), loop)
        from hadoken.sqs.boto import BotoTransport  # noqa: PLC0415 -- only a worker that needs it loads botocore

        threads = self.plan.sqs_threads
        client = opening.boto(wait_time=self.plan.wait_time, connections=threads)
        self._credentials.watch(client.refresh_credentials)
        return BotoTransport(client, loop, partial(self.threads.spawn, role="sqs"), threads)

    def _make_fast(self, settings: Settings, loop: asyncio.AbstractEventLoop) -> SQS:
        """Make our own transport: what would block its loop is done by the threads that are there anyway."""
        from hadoken.sqs.dialling import addresses_of  # noqa: PLC0415 -- a worker on another transport does without
        from hadoken.sqs.fast import FastTransport  # noqa: PLC0415 -- the same

        def offload(call: Callable[[], T]) -> asyncio.Future[T]:
            return self._resolver.submit(call, loop, unwanted=_nobody)

        def renew(call: Callable[[], T]) -> asyncio.Future[T]:
            return self._credentials.submit(call, loop, unwanted=_nobody)

        self._credentials.watch(settings.credentials.refresh)
        return FastTransport(
            settings,
            loop,
            resolve=lambda host, port: offload(partial(addresses_of, host, port)),
            offload=offload,
            renew=renew,
        )

    def _thread_died(self, name: str) -> None:
        """A thread of ours ended by an exception: nothing can be promised any more, so stop. Thread: the dying one."""
        if name != "hadoken-engine":
            self.engine.broken = True
            self.drain()

    def _end(self) -> None:
        """End what is left; bounded: a hung handler or an open botocore poll is left behind."""
        self.drain(0.0)
        self.engine.stopped.wait(LAST_JOIN)
        self._watch.stop()
        self._credentials.stop()
        background().take_back(self._resolver.take)
        self._resolver.stop()
        self._report_left(self.threads.join(LAST_JOIN))
        self._switch_interval.end()
        self.stopped.set()

    def _report_left(self, left: Sequence[Birth]) -> None:
        """Name the threads that are still there; one that is in a poll that was cut off ends by itself."""
        report = self.engine.report
        polling = [birth for birth in left if birth.role == "sqs"] if report is not None and report.open_polls else []
        others = [birth.name for birth in left if birth not in polling]
        if polling:
            log.info("%d threads end with the polls that were cut off, within %d s", len(polling), self.plan.wait_time)
        if others:
            log.warning("threads left behind: %s", ", ".join(others))


def _nobody(_: object) -> None:
    """Take what came when nobody waited any more."""


def _connection(options: WorkerOptions, given: Connection | None, client: object) -> Connection:
    """How to reach SQS, of all that was said of it.

    Raises:
        ConfigurationError: a connection and a client were given.
    """
    transport = cast("Transport", options.transport)
    if given is None:
        return Connection(options.region, options.endpoint_url, transport=transport, client=client)
    if client is not None:
        raise ConfigurationError("connection and client name two places; give one of them")
    return given if transport == "auto" else msgspec.structs.replace(given, transport=transport)
