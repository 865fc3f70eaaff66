"""The engine: one asyncio loop that owns all state of the worker.

Rules of this file:
- The methods of the first part may be called from any thread; all others run on the engine loop. There is no lock.
- A turn asks every pool what is to be done now, makes the calls, and sets one timer for the next known deadline.
  Nothing ticks: an idle worker sleeps until an answer comes.
- An answer is a callback on a future: no task for each request.
- An exception in a turn is a bug of ours. The engine then fails loudly: no more calls are made, leases lapse by
  themselves, and the worker exits 70.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from hadoken.clock import SYSTEM, Clock, Wake
from hadoken.errors import ConfigurationError, SQSError, SQSUnavailable
from hadoken.pipeline.acknowledger import Batch, Operation
from hadoken.pipeline.executor import Executor, Runs
from hadoken.pipeline.keeper import Extension
from hadoken.pipeline.poller import MOST_OPEN
from hadoken.sqs.api import NO_ANSWER
from hadoken.worker.lateness import Lateness
from hadoken.worker.lookup import look_up
from hadoken.worker.loops import chosen, rings_early
from hadoken.worker.pool import Call, Pool
from hadoken.worker.receipts import Poll
from hadoken.worker.snapshot import PoolSnapshot, Snapshot
from hadoken.worker.stop import Report, terminate, until

if TYPE_CHECKING:
    from hadoken.app import AnyHandler
    from hadoken.sqs.api import SQS
    from hadoken.worker.plan import Plan

log = logging.getLogger("hadoken.engine")

# Nobody answers it any more; unheard of, its receive would count as open for ever, and its queue would not be asked.
_GIVEN_UP = SQSUnavailable("the transport has given the request up", code=NO_ANSWER, transient=True)

Connect = Callable[[asyncio.AbstractEventLoop], "asyncio.Future[SQS]"]


class Engine:
    """The body of `hadoken-engine`.

    Args:
        plan: what to run.
        connect: makes the transport, on the loop it is given.
        where: region and endpoint in words, asked for once the transport is made.
        clock: all of its time; the loop's own, too, where `make_loop` makes one that goes by it.
        make_loop: makes the loop; None: see `loops.chosen`. `hadoken.testing` gives one that runs in virtual time.
        observe: puts something in the place of a handler, to see its runs; None leaves it as it is.
        randomness: of all waits between tries; None: one of each part's own.

    Attributes:
        executors: pool name -> executor, made here, so that handler threads can start before SQS is asked.
        booted: set when the queues are known, when SQS could not be asked (it is tried on), or when the boot failed.
        stopped: set when the loop has ended.
        failure: why the engine failed, or the boot; None while all is well.
        report: how the stop went; None before.
        broken: whether it stops because too many handlers hang or a thread of ours died.
        deadline: lease clock by which a drain must be over; None before one was asked for.
        notice: called when the engine has ended, in its thread.
        progress: set after every turn, for the terminator.
        state: "starting", "running", "quiet", "draining", "stopped" or "failed".
    """

    def __init__(
        self,
        plan: Plan,
        connect: Connect,
        *,
        where: Callable[[], str],
        clock: Clock = SYSTEM,
        make_loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
        observe: Callable[[AnyHandler], Runs] | None = None,
        randomness: random.Random | None = None,
    ) -> None:
        self._plan = plan
        self._connect = connect
        self._where = where
        self._make_loop = make_loop or chosen().make
        self._rings_early = 0.0
        self._randomness = randomness
        self.clock = clock
        self._lateness = Lateness(clock)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sqs: SQS | None = None
        self._connecting: asyncio.Future[SQS] | None = None
        self._timer: asyncio.Handle | None = None
        self._soon = False
        self._asked: deque[tuple[str, int, float]] = deque()
        self._finish: asyncio.Event | None = None
        self._wanted_stop = False
        self._wanted_quiet = False
        self._early: float | None = None
        self.notice: Callable[[], None] = _nobody
        self.pools: list[Pool] = []
        self.requests: Counter[str] = Counter()
        self.executors = {
            pool.name: Executor(
                {name: observe(handler) if observe else handler for name, handler in pool.handlers.items()},
                pool.concurrency,
                wake=self.wake,
                ask_extend=partial(self.ask, pool.name),
                clock=clock,
            )
            for pool in plan.pools
        }
        self.booted = Wake()
        self.stopped = Wake()
        self.failure: BaseException | None = None
        self.report: Report | None = None
        self.deadline: float | None = None
        self.progress = asyncio.Event()
        self.state = "starting"
        self.broken = False

    # ---- from any thread ---------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Live until stopped. Thread: `hadoken-engine`."""
        try:
            with asyncio.Runner(loop_factory=self._make_loop) as runner:
                runner.run(self._main())
        except BaseException as error:
            self.failure = self.failure or error
            raise
        finally:
            self.state = "stopped"
            self._loop = None
            self.booted.set()
            self.stopped.set()
            self.notice()

    def wake(self) -> None:
        """Make the engine take a turn soon. Thread: any; does not block."""
        self._lateness.woken()
        self.call(self._turn)

    def ask(self, pool: str, ticket: int, seconds: float) -> None:
        """Pass on a handler's wish for a longer lease. Thread: any; does not block."""
        self._asked.append((pool, ticket, seconds))
        self.wake()

    def call(self, what: Callable[[], object]) -> bool:
        """Have `what` run on the loop soon; False when there is no loop any more. Thread: any; does not block."""
        loop = self._loop
        if loop is None:
            return False
        try:
            loop.call_soon_threadsafe(what)
        except RuntimeError:  # closed between the two lines
            return False
        return True

    def drain(self, deadline: float) -> None:
        """Stop by `deadline` of the lease clock at the latest; a second call may only bring it forward. Thread: any."""
        self._early = deadline if self._early is None else min(deadline, self._early)

        def begin() -> None:
            self.deadline = deadline if self.deadline is None else min(deadline, self.deadline)
            self._wanted_stop = True
            self.progress.set()
            if self._finish is not None:
                self._finish.set()

        self.call(begin)

    def quiet(self) -> None:
        """Start no receive any more, but stay. Thread: any; does not block."""
        self._wanted_quiet = True
        self.call(self._be_quiet)

    # ---- on the loop -------------------------------------------------------------------------------------------------

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rings_early = rings_early(self._loop)
        self._finish = asyncio.Event()
        if self._early is not None:  # asked to stop before there was a loop
            self.drain(self._early)
        boot = asyncio.ensure_future(self._boot())
        stop = asyncio.ensure_future(self._finish.wait())
        await asyncio.wait({boot, stop}, return_when=asyncio.FIRST_COMPLETED)
        if not boot.done():
            boot.cancel()
        await asyncio.wait({boot})
        if not boot.cancelled() and boot.exception() is not None:
            self._fail(boot.exception())
        self.booted.set()
        await stop
        await self._end()

    async def _boot(self) -> None:
        loop = asyncio.get_running_loop()
        self._connecting = self._connect(loop)
        self._sqs = sqs = await asyncio.shield(self._connecting)
        queues = await look_up(
            sqs, self._plan, where=self._where(), on_trouble=self._in_trouble, randomness=self._randomness
        )
        for pool in self._plan.pools:
            infos = [queues[name] for name in pool.handlers]
            self.pools.append(
                Pool(
                    pool.name,
                    infos,
                    self.executors[pool.name],
                    # A poll of the botocore transport occupies a thread, and there is one for each queue.
                    most_open=1 if self._plan.sqs_threads else MOST_OPEN,
                    randomness=self._randomness,
                )
            )
        self.state = "running"
        if self._wanted_quiet:
            self._be_quiet()
        log.info("receiving from %s", ", ".join(queues))
        self._turn()

    def _be_quiet(self) -> None:
        if self.state in ("starting", "running"):
            self.state = "quiet"
        for pool in self.pools:
            pool.quiet()

    def _in_trouble(self, error: SQSError) -> None:
        log.warning("SQS cannot be asked for the queues, trying on: %s", error)
        self.booted.set()

    async def _end(self) -> None:
        try:
            if self.failure is None:
                self.state = "draining"
                self.report = await terminate(self)
        finally:
            if self._timer is not None:
                self._timer.cancel()
            for executor in self.executors.values():
                executor.stop()
            await self._close_transport()

    async def _close_transport(self) -> None:
        """Close the transport; one that is still being made, since the boot was cut short, when it is there."""
        making = self._connecting
        if making is None:
            return
        making.add_done_callback(lambda _: self.progress.set())
        await until(making.done, self, lambda: self.deadline or 0.0)  # a second signal may still bring it forward
        if making.done():
            _close(making)
        else:
            making.add_done_callback(_close)

    def _turn(self) -> None:
        """Do what is due and set the timer for what will be."""
        self._soon = False
        if self.failure is not None:
            return
        try:
            now = self.clock.lease()
            self._lateness.turned(now)
            while self._asked:
                name, ticket, seconds = self._asked.popleft()
                next(pool for pool in self.pools if pool.name == name).extend(ticket, seconds)
            for pool in self.pools:
                for call in pool.turn(now):
                    self._send(pool, call)
                self._look_at_hung(pool)
            self._set_timer(now)
        except Exception as error:  # noqa: BLE001 -- a bug of ours, see the rules
            self._fail(error)
        self.progress.set()

    def _turn_soon(self) -> None:
        if not self._soon and self._loop is not None:
            self._soon = True
            self._loop.call_soon(self._turn)

    def _set_timer(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = min((at for pool in self.pools if (at := pool.next_due()) is not None), default=None)
        if due is not None and self._loop is not None:
            due = max(due, now)
            self._timer = self._loop.call_later(due - now + self._rings_early, self._rang, due)

    def _rang(self, due: float) -> None:
        self._lateness.rang(due, self.clock.lease())
        self._turn()

    def _send(self, pool: Pool, call: Call) -> None:
        sqs = self._sqs
        if sqs is None:
            raise RuntimeError("a call before the transport was made")
        future: asyncio.Future[Any]
        if isinstance(call, Poll):
            name, future = "ReceiveMessage", sqs.receive(call.request)
        elif isinstance(call, Extension):
            name, future = "ChangeMessageVisibilityBatch", sqs.change_visibility_batch(call.request)
        else:
            name, future = self._acknowledge(sqs, call)
        self.requests[name] += 1
        future.add_done_callback(partial(self._answered, pool, call))

    @staticmethod
    def _acknowledge(sqs: SQS, batch: Batch) -> tuple[str, asyncio.Future[Any]]:
        request: Any = batch.request
        if batch.operation is Operation.DELETE:
            return "DeleteMessageBatch", sqs.delete_batch(request)
        if batch.operation is Operation.CHANGE:
            return "ChangeMessageVisibilityBatch", sqs.change_visibility_batch(request)
        return "SendMessageBatch", sqs.send_batch(request)

    def _answered(self, pool: Pool, call: Call, future: asyncio.Future[Any]) -> None:
        given_up = future.cancelled()
        if self.failure is not None or (given_up and self.report is not None):
            return
        try:
            error = _GIVEN_UP if given_up else future.exception()
            if error is None:
                pool.answered(call, future.result(), self.clock.lease())
            elif isinstance(error, SQSError):
                pool.failed(call, error, self.clock.lease())
            else:
                raise error  # noqa: TRY301 -- the seam promised to raise nothing else: a bug like any other here
        except Exception as bug:  # noqa: BLE001 -- a bug of ours, see the rules
            self._fail(bug)
        self._turn_soon()

    def _look_at_hung(self, pool: Pool) -> None:
        """A quarter of a pool hung, two threads at least, is beyond mending: drain, then exit 70."""
        if pool.hung >= max(2, pool.concurrency / 4) and not self._wanted_stop:
            log.critical("pool %s: %d of %d handlers hang; draining", pool.name, pool.hung, pool.concurrency)
            self.broken = True
            self.drain(self.clock.lease() + self._plan.options.drain_timeout)

    def _fail(self, error: BaseException | None) -> None:
        if self.failure is not None or error is None:
            return
        self.failure = error
        self.state = "failed"
        if not isinstance(error, ConfigurationError):
            log.critical("the engine failed; leases are left to lapse", exc_info=error)
        self.progress.set()
        self.booted.set()
        if self._finish is not None:
            self._finish.set()

    def snapshot(self) -> Snapshot:
        """What the engine holds, as plain data. Thread: engine loop; see `Worker.snapshot` for others."""
        return Snapshot(
            state=self.state,
            requests=dict(self.requests),
            pools={pool.name: PoolSnapshot.of(pool) for pool in self.pools},
            lateness=self._lateness.snapshot(),
        )


def _close(made: asyncio.Future[SQS]) -> None:
    if not made.cancelled() and made.exception() is None:  # else there is no transport, and the failure says why
        made.result().close()


def _nobody() -> None:
    """Nobody wants to be told."""
