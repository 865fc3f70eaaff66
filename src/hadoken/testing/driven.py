"""The real engine and its handler threads on a local SQS in memory, driven by a test call by call."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import threading
from collections.abc import Callable, Generator, Iterable
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from hadoken.errors import ConfigurationError, DrainTimeout, LifecycleError
from hadoken.handler import Handler
from hadoken.local.rules import Rule
from hadoken.options import WorkerOptions
from hadoken.retry import seconds_of as plain_seconds_of
from hadoken.sqs.address import name_of
from hadoken.testing import hanging, looking
from hadoken.testing.fake_sqs import FakeSQS
from hadoken.testing.planted import Planted, rule_of
from hadoken.testing.runs import Observed, Run, Runs
from hadoken.testing.spans import seconds_of
from hadoken.testing.virtual_time import Drive, Longest, Pace, VirtualLoop
from hadoken.threads.spawn import Threads
from hadoken.worker.engine import Engine
from hadoken.worker.plan import plan

if TYPE_CHECKING:
    from hadoken.app import App
    from hadoken.message import Message
    from hadoken.queue import Queue
    from hadoken.sqs.api import SQS
    from hadoken.testing.looking import Sent
    from hadoken.worker.snapshot import Snapshot

log = logging.getLogger("hadoken.testing")

B = TypeVar("B")

TIMEOUT: Final = 5.0  # real seconds; far beyond what a test's handlers need
PATIENCE: Final = 0.2  # real seconds; see DrivenWorker
LAST_JOIN: Final = 1.0  # real seconds for threads that were told to end and have nothing to wait for
A_DAY: Final = 86_400.0  # virtual seconds: 4,320 long polls of each queue
FEW_QUEUES: Final = 5  # a day of which takes 0.35 s on a quiet machine; far below TIMEOUT on a busy one
MOST_AHEAD: Final = 3_600.0  # virtual seconds that a drain may spend on failing calls


class DrivenWorker:
    """A worker that runs while a method of it is called, and stands still between two calls.

    It is a context manager: at the end of the block it drains, raises what handlers raised since the last call, and
    ends its threads.

    Args:
        app: what to run; its queues are created on `sqs` where they are not there yet.
        sqs: where its messages come from, and where everything goes that the app sends meanwhile.
        concurrency, queues, drain_timeout: as for `hadoken.Worker`; the drain timeout is virtual.
        raise_errors: whether an exception of a handler is raised in the test, by the call during which it came up.
        timeout: real seconds that a call may take before it fails; `advance` as many more for each day, and yet more
            where there are more than five queues.
        patience: real seconds after which a handler that has not returned counts as one that waits for the test:
            `advance` then moves time under it. `drain` waits for every handler.

    Raises:
        ConfigurationError: the app or an option cannot work.

    Thread: that of the test. Every method blocks until the worker has come to rest.
    """

    def __init__(
        self,
        app: App,
        *,
        sqs: FakeSQS,
        concurrency: int | None = None,
        queues: Iterable[str] | None = None,
        drain_timeout: float | timedelta = 25,
        raise_errors: bool = True,
        timeout: float = TIMEOUT,
        patience: float = PATIENCE,
    ) -> None:
        _refuse_other_sqs(sqs)
        self.app = app
        self.sqs = sqs
        self.errors: list[BaseException] = []
        self._raise_errors = raise_errors
        self._timeout = timeout
        self._patience = patience
        self._expected: list[tuple[tuple[type[BaseException], ...], list[BaseException]]] = []
        options = WorkerOptions(
            concurrency=concurrency,
            queues=None if queues is None else tuple(queues),
            drain_timeout=plain_seconds_of(drain_timeout),
        )
        self._plan = plan(app, options, own_transport=True)
        self._runs = Runs()
        self._pace = Pace(sqs)
        self.engine = Engine(
            self._plan,
            self._connect,
            where=lambda: "the local SQS of this test",
            clock=sqs.clock,
            make_loop=lambda: VirtualLoop(sqs, self._pace),
            observe=lambda handler: Observed(handler, self._runs.add),
            randomness=Longest(),
        )
        self._pace.engine = self.engine
        self.engine.notice = self._pace.let_go
        self._threads = Threads({role: count for role, count in self._plan.budget.items() if role in self._roles()})
        self._open = contextlib.ExitStack()

    # ---- life --------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self.sqs.mover is not None:
            raise LifecycleError(
                "another worker runs on this local SQS",
                hint="give one worker all handlers, or end the first one's block before the second one's begins",
            )
        self.sqs.provide(self.app)
        self.sqs.mover = self.advance
        self._open.enter_context(self.app.sender.diverted(self.sqs.door, pause=_do_not_wait))
        self._open.callback(self._let_go_of_sqs)
        try:
            self._spawn_all()
            self._drive(self._until_booted, "the start")
            self._refuse_misconfiguration()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.drain()
        finally:
            self._end()
        self._tell_of_errors(error)

    # ---- driving -----------------------------------------------------------------------------------------------------

    def drain(self, *, timeout: float | None = None) -> list[Run]:
        """Let the worker run until nothing is left that it can do now.

        Time moves only for the worker's own calls (gathering outcomes for a batch, trying a failed request again),
        never for a message: what waits for a delay, a visibility timeout or a retry's back-off waits for `advance`.

        Args:
            timeout: real seconds that it may take; None: the worker's own.

        Returns:
            What handlers did since the last call, in the order in which they ended; may be empty.

        Raises:
            DrainTimeout: a handler does not return; names it, its message and its stack.
            LifecycleError: it does not come to an end, such as where a message is retried at once for ever.
            Exception: what a handler raised; an ExceptionGroup if several did.
        """
        last = self.sqs.clock.lease() + MOST_AHEAD
        self._drive(lambda: self._calls_due(last), "drain()", timeout=timeout)
        return self._done()

    def advance(self, span: str | float | timedelta) -> list[Run]:
        """Move time on, step by step from one thing that is due to the next, and let all of it be done.

        Everything goes by this time: delays, visibility, back-off, the keeper's extensions, time limits, long polls,
        retention, deduplication. A handler that has not returned after `patience` real seconds waits for the test, and
        time moves on under it. At the end outcomes are told to SQS as by `drain`, which takes a tenth of a second more.

        Args:
            span: seconds, a timedelta, or text such as "500ms", "31s", "1h30m", "4d".

        Returns, Raises: as `drain`; a handler that does not return is no error here.
        """
        seconds = seconds_of(span)
        end = self.sqs.clock.lease() + seconds
        last = end + MOST_AHEAD

        def until() -> float | None:
            return end if self.sqs.clock.lease() < end else self._calls_due(last)

        queues = max(len(self._plan.queues) / FEW_QUEUES, 1.0)
        within = self._timeout * (1 + queues * seconds / A_DAY)
        self._drive(until, f"advance({span!r})", patience=self._patience, timeout=within)
        return self._done()

    def redeliver(self) -> list[Run]:
        """Drain, then deliver each message that was handled once more, as SQS may, and drain again.

        Each message is delivered twice in all, however often this is called. Dead letters are not delivered again.

        Returns:
            What handlers did with the second deliveries. Raises: as `drain`.
        """
        self.drain()
        for queue, raw in self._runs.take_handled():
            self.sqs.deliver_again(name_of(self.app.queues[queue].address()), raw)
        runs = self.drain()
        self._runs.take_handled()
        return runs

    def faults(self, *rules: Rule, **rule: Any) -> Planted:  # noqa: ANN401 -- fields of a Rule, checked by it
        """Make calls fail from now on: `faults(operation="DeleteMessageBatch", code="ServiceUnavailable", times=1)`.

        Args:
            *rules: of `hadoken.testing.Rule`.
            **rule: the fields of one more.

        Returns:
            These rules at work: `fired` counts the calls that failed by them, `clear()` ends them and no others.

        Raises:
            InvalidOption: a rule has no such field.
            ConfigurationError: a rule could never fire: no such operation or queue, or nothing that would go wrong.
        """
        given = (*rules, *([rule_of(rule)] if rule else []))
        return Planted(self.sqs.faults, given, [queue.name for queue in self.sqs.queues])

    @contextlib.contextmanager
    def expect(self, *kinds: type[BaseException]) -> Generator[list[BaseException]]:
        """Let handlers raise exceptions of these classes in a block, and fail if none does.

        Yields:
            Those that came up, filled as the block goes on.

        Raises:
            AssertionError: no handler raised any of them.
        """
        found: list[BaseException] = []
        self._expected.append((kinds, found))
        try:
            yield found
        finally:
            self._expected.remove((kinds, found))
        if not found:
            names = " or ".join(kind.__name__ for kind in kinds)
            raise AssertionError(f"no handler raised {names}; call drain() or advance() inside the block")

    # ---- looking -----------------------------------------------------------------------------------------------------

    @property
    def runs(self) -> list[Run]:
        """All that handlers have done so far, in the order in which they ended."""
        return self._runs.all()

    def sent(self, where: Queue[B] | Handler[B, ..., Any] | str) -> list[Sent[B]]:
        """The messages sent so far to a queue or a handler, decoded, oldest first; those of handlers too.

        Raises:
            ConfigurationError: the app does not know the queue.
        """
        return looking.sent(self.app, self.sqs, where)

    def dead_letters(self, queue: Queue[B] | Handler[B, ..., Any] | str) -> list[Message[B]]:
        """What lies in the dead-letter queue of a queue, decoded, oldest first; it stays there.

        Raises:
            ConfigurationError: the app does not know the queue, or it has no dead-letter queue.
        """
        return looking.dead_letters(self.app, self.sqs, queue)

    def snapshot(self) -> Snapshot:
        """What the worker holds and has done, as plain data."""
        return self.engine.snapshot()  # it stands still, so nobody changes it meanwhile

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _roles(self) -> set[str]:
        return {"engine", *(f"pool {pool.name}" for pool in self._plan.pools)}

    def _connect(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[SQS]:
        ready: asyncio.Future[SQS] = loop.create_future()
        ready.set_result(self.sqs)
        return ready

    def _spawn_all(self) -> None:
        for name, executor in self.engine.executors.items():
            for slot in executor.slots:
                self._threads.spawn(
                    f"hadoken-{name}-{slot.number}",
                    partial(executor.run, slot),
                    role=f"pool {name}",
                    kernel_name=f"hd-{name[:7]}-{slot.number}",
                )
        self._threads.spawn("hadoken-engine", self.engine.run, role="engine")

    def _refuse_misconfiguration(self) -> None:
        if isinstance(self.engine.failure, ConfigurationError):
            raise self.engine.failure

    def _until_booted(self) -> float | None:
        return None if self.engine.booted.is_set() else math.inf

    def _calls_due(self, last: float) -> float | None:
        """When the worker has a call of its own to make next; None: never, so that it is at rest."""
        engine = self.engine
        if not engine.pools:
            at = self._pace.next_due
            return at if at <= last and engine.failure is None else None
        times = [flush for pool in engine.pools if (flush := pool.acknowledger.next_flush()) is not None]
        times.extend(
            again
            for pool in engine.pools
            for poller in pool.pollers
            if (again := poller.next_try()) is not None and self.sqs.receivable(poller.queue.url)
        )
        late = self.sqs.next_answer()
        if late is not None:
            times.append(late)
        at = min(times, default=math.inf)
        return at if at <= last else None

    def _drive(
        self,
        until: Callable[[], float | None],
        what: str,
        *,
        patience: float = math.inf,
        timeout: float | None = None,
    ) -> None:
        if self.engine.stopped.is_set() and self.engine.failure is None:
            raise LifecycleError(f"{what}: this worker has ended", hint="call it inside the block")
        if any(birth.thread is threading.current_thread() for birth in self._threads.alive()):
            raise LifecycleError(f"{what} in a handler: it would wait for itself", hint="call it in the test")
        if self._pace.busy:
            raise LifecycleError(f"{what} while another call is under way", hint="drive a worker from one thread")
        within = self._timeout if timeout is None else timeout
        if not self._pace.drive(Drive(until, patience), within):
            raise hanging.late(what, within, hanging.in_hand(self.engine), self._runs.all())
        failure = self.engine.failure
        if failure is not None and not isinstance(failure, ConfigurationError):
            raise LifecycleError(
                f"{what}: the engine failed: {failure!r}", hint="this is a bug of hadoken"
            ) from failure

    def _done(self) -> list[Run]:
        runs = self._runs.fresh()
        self._raise(run.error for run in runs if run.error is not None)
        return runs

    def _raise(self, errors: Iterable[BaseException]) -> None:
        """Raise what nobody expects."""
        unexpected: list[BaseException] = []
        for error in errors:
            found = next((found for kinds, found in reversed(self._expected) if isinstance(error, kinds)), None)
            (unexpected if found is None else found).append(error)
        self.errors.extend(unexpected)
        if not self._raise_errors or not unexpected:
            return
        if len(unexpected) == 1:
            raise unexpected[0]
        raise BaseExceptionGroup(f"{len(unexpected)} runs of handlers failed", unexpected)

    def _tell_of_errors(self, error: BaseException | None) -> None:
        """Raise what came up at the very end; or, where the block failed itself, note on that what handlers raised."""
        runs = self._runs.fresh()
        if error is None:
            self._raise(run.error for run in runs if run.error is not None)
            return
        for run in runs:
            if run.error is not None:
                error.add_note(f"meanwhile handler {run.handler} raised {run.error!r}")

    def _end(self) -> None:
        """End all threads; bounded: a handler that hangs is left behind, and named."""
        engine = self.engine
        if not engine.stopped.is_set():
            engine.quiet()
            engine.call(self.sqs.end_polls)
            engine.drain(self.sqs.clock.lease() + self._plan.options.drain_timeout)
            self._pace.drive(Drive(lambda: math.inf, self._patience), self._timeout)
        left = [birth.name for birth in self._threads.join(LAST_JOIN)]
        self._open.close()
        in_flight = () if engine.report is None else engine.report.in_flight
        if left or in_flight:
            raise DrainTimeout(
                f"the worker ended without {hanging.named(in_flight) or ', '.join(left)}",
                in_flight=in_flight,
                hint="let handlers return before the block ends",
            )

    def _let_go_of_sqs(self) -> None:
        self.sqs.mover = None


def _do_not_wait(_seconds: float) -> None:
    """Senders do not wait between tries: in virtual time nothing is gained by it."""


def _refuse_other_sqs(sqs: object) -> None:
    if not isinstance(sqs, FakeSQS):
        raise ConfigurationError(
            f"sqs is {type(sqs).__name__}; the kit drives a hadoken.testing.FakeSQS",
            hint="take the fixture fake_sqs, or leave sqs out",
        )
