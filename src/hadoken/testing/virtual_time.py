"""Time that moves only when a test says so, under the real engine on its own thread.

Rules of this file:
- The engine's loop goes by the virtual clock and turns only while a call of the test is under way: between two calls
  nothing happens, so what a test looks at does not change under it.
- Time moves on the engine's thread only, when the engine is at rest: nothing is ready on its loop and no handler runs,
  but those that wait for the test. It moves from one thing that is due to the next, so all happens in order.
"""

from __future__ import annotations

import asyncio
import math
import random
import selectors
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from hadoken.clock import SYSTEM, Wake

if TYPE_CHECKING:
    from hadoken.testing.fake_sqs import FakeSQS
    from hadoken.worker.engine import Engine
    from hadoken.worker.pool import Pool

# Seconds: far below what anything waits for, far above what is lost when seconds are added and taken off again.
TICK: Final = 1e-6
_LOOK: Final = 60.0  # seconds between looks at a gate that nobody opens; only so that the wait has a bound


class Longest(random.Random):
    """Draws the upper bound of each wait: nothing in a test is left to chance."""

    def uniform(self, a: float, b: float) -> float:
        """The greater one of two bounds."""
        return max(a, b)


class Drive:
    """One call of a test that lets the worker run.

    Attributes:
        until: asked whenever the engine is at rest: the lease clock up to which time may move; None: that was all.
        patience: real seconds of this drive after which a handler that has not returned counts as one that waits for
            the test. One that waited in the last drive may have been let go since, so it is counted anew; likewise one
            that has been told to end.
        since: what runs -> real time at which this drive first saw it.
        done: set when all of it has been done, or the engine has ended.
    """

    __slots__ = ("done", "patience", "since", "until")

    def __init__(self, until: Callable[[], float | None], patience: float) -> None:
        self.until = until
        self.patience = patience
        self.since: dict[_Running, float] = {}
        self.done = Wake()


class _Running(NamedTuple):
    """A handler that runs, and what it has been told."""

    pool: str
    ticket: int
    cancelled: bool
    lease_lost: bool


class Pace:
    """Decides, whenever the engine's loop has nothing to do, whether it waits, goes on, or moves the clock.

    Thread: `drive`, `give_up` and `let_go` are for tests; all else runs on the engine's thread.
    """

    def __init__(self, sqs: FakeSQS) -> None:
        self._sqs = sqs
        self._clock = sqs.clock
        self._drive: Drive | None = None
        self._open = threading.Event()
        self._timer = math.inf
        self.engine: Engine | None = None

    @property
    def busy(self) -> bool:
        """Whether a drive is under way. Thread: any."""
        return self._drive is not None

    # ---- for tests ---------------------------------------------------------------------------------------------------

    def drive(self, drive: Drive, timeout: float) -> bool:
        """Let the worker run until a drive is over, for at most `timeout` real seconds; say whether it came to that."""
        engine = self.engine
        if engine is None:
            raise RuntimeError("a drive before there is an engine")
        # What is due in SQS is looked at before the engine can see the drive and find that there is nothing to do; and
        # an engine that rested just before the drive was there is woken for it.
        engine.call(self._sqs.wake)
        self._open.set()
        self._drive = drive
        engine.call(self._sqs.wake)
        if engine.stopped.is_set():
            self.let_go()
        if drive.done.wait(timeout):
            return True
        self.give_up()
        return False

    def give_up(self) -> None:
        """Stop where it is, at the next rest."""
        self._open.clear()
        self._drive = None

    def let_go(self) -> None:
        """Let whoever waits for a drive go on: the engine has ended."""
        drive, self._drive = self._drive, None
        if drive is not None:
            drive.done.set()

    # ---- on the engine's thread --------------------------------------------------------------------------------------

    @property
    def next_due(self) -> float:
        """When, on the lease clock, something is due next if nothing else happens; infinity if never."""
        at = self._sqs.next_due()
        return min(self._timer, math.inf if at is None else at)

    def rest(self, timeout: float | None) -> float | None:
        """Say how long the loop, which has nothing to do, waits in real seconds; None: until it is woken.

        Args:
            timeout: seconds to its next timer; None: it has none.
        """
        drive = self._drive
        if drive is None:
            return None
        if self._takes_outcomes():
            return 0.0
        pause = self._pause(drive)
        if pause > 0:
            return None if pause == math.inf else pause
        now = self._clock.lease()
        self._timer = math.inf if timeout is None else now + timeout
        target = drive.until()
        due = self.next_due
        if target is None or (target <= now and due > target + TICK):
            self._finish(drive)
            return None
        at = due if due <= target + TICK else target
        if at == math.inf:
            return None
        self._clock.advance(max(at - now, 0.0) or TICK)
        self._sqs.wake()
        return 0.0

    def pass_gate(self) -> None:
        """Wait until a call of the test is under way."""
        while not self._open.wait(_LOOK):
            continue

    def _finish(self, drive: Drive) -> None:
        self._open.clear()
        self._drive = None
        drive.done.set()

    def _takes_outcomes(self) -> bool:
        """Have the engine take outcomes that came unannounced, if there are any, and say so; those to come call it.

        It leaves them to its next timer when that is near. But time does not move while one is not taken, for its
        message counts as one that a thread has in hand. So nobody would ever look at one that came after this look.
        """
        engine = self.engine
        if engine is None or engine.failure is not None:
            return False
        came = [pool.executor.want(1) and pool.executor.unannounced for pool in engine.pools]
        if not any(came):
            return False
        engine.wake()
        return True

    def _pause(self, drive: Drive) -> float:
        """Real seconds to wait for handlers; 0 when the engine is at rest."""
        engine = self.engine
        if engine is None:
            return 0.0
        now = SYSTEM.lease()
        running = {one for pool in engine.pools for one in _running(pool)}
        drive.since = {one: drive.since.get(one, now) for one in running}
        left = 0.0
        for pool in engine.pools:
            mine = [since for one, since in drive.since.items() if one.pool == pool.name]
            if pool.table.active > len(mine) < pool.concurrency:
                left = max(left, drive.patience)  # a thread is about to take it, or has just brought it back
            left = max([left, *(since + drive.patience - now for since in mine)])
        return left


def _running(pool: Pool) -> Iterator[_Running]:
    for slot in pool.executor.slots:
        running = slot.running
        if running is not None:
            ctx = running.ctx
            yield _Running(pool.name, running.ticket, ctx.cancelled, ctx.lease_lost)


class PacedSelector(selectors.DefaultSelector):
    """Waits for the pace instead of for time."""

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self._pace = pace

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Look at what is ready; with nothing to do, wait as the pace says."""
        if timeout is not None and timeout <= 0:
            return super().select(0)
        found = super().select(self._pace.rest(timeout))
        self._pace.pass_gate()
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is the virtual clock's."""

    def __init__(self, sqs: FakeSQS, pace: Pace) -> None:
        self._virtual = sqs.clock
        super().__init__(PacedSelector(pace))

    def time(self) -> float:
        """Seconds of the virtual lease clock."""
        return self._virtual.lease()
