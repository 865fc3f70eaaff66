"""The terminator: the order in which a worker stops, on one screen.

1. Quiet: no new receive.
2. Open polls and running handlers are waited for side by side. What a poll brings, and what was received and not
   started, is started while threads are idle, else given back.
3. At the deadline: handlers are told, their messages released (FIFO: the lease is left), and named in the report.
4. What finished is told to SQS, with retries, for at most `FLUSH` seconds more. A poll that is still open may bring
   back what was just released: it is waited for as long, and what it brings given back. The keeper extends to the end.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hadoken.errors import InFlight
from hadoken.threads.census import stack
from hadoken.worker.plan import FLUSH

if TYPE_CHECKING:
    from collections.abc import Callable

    from hadoken.pipeline.executor import InHand
    from hadoken.worker.engine import Engine
    from hadoken.worker.pool import Pool

log = logging.getLogger("hadoken.stop")


@dataclass(frozen=True, slots=True)
class Report:
    """How a stop went.

    Attributes:
        in_flight: handlers that were still running at the deadline, and their messages; empty after a clean drain.
        unsettled: messages whose outcome SQS had not confirmed at the end.
        open_polls: receives that were cut off unanswered: what they bring stays invisible until its timeout.
    """

    in_flight: tuple[InFlight, ...]
    unsettled: int
    open_polls: int = 0

    @property
    def clean(self) -> bool:
        """Whether everything that was held is accounted for."""
        return not self.in_flight and not self.unsettled and not self.open_polls


async def terminate(engine: Engine) -> Report:
    """Stop the pools of an engine by its deadline, which may still be brought forward while this runs."""
    pools = engine.pools
    for pool in pools:
        pool.drain()
    engine.wake()
    _say_what_is_awaited(engine)
    left: list[InFlight] = []
    if not await until(lambda: all(pool.idle for pool in pools), engine, lambda: engine.deadline or 0.0):
        holding = [pool for pool in pools if len(pool.table)]
        left = [named for pool in pools for named in _abandon(pool, engine.clock.lease())]
        for named in left:
            log.error(
                "drain deadline: %s still runs message %s of %s in %s after %.1f s\n%s",
                named.handler, named.message_id, named.queue, named.thread, named.age, named.stack,
            )  # fmt: skip
        engine.wake()
        flushed_by = engine.clock.lease() + FLUSH
        # Idle, not merely empty: an open poll of ours brings back what was just released, to be given back again.
        await until(lambda: all(pool.idle for pool in holding), engine, lambda: flushed_by)
    return Report(
        tuple(left),
        sum(len(pool.table) for pool in pools),
        sum(poller.granted > 0 for pool in pools for poller in pool.pollers),
    )


def _say_what_is_awaited(engine: Engine) -> None:
    """Whoever stops a worker and sees it go on wants to know what for."""
    running = sum(len(pool.executor.in_hand()) for pool in engine.pools)
    polls = [poller for pool in engine.pools for poller in pool.pollers if poller.granted]
    if running or polls:
        longest = max((poller.queue.wait_time for poller in polls), default=0)
        log.info(
            "waiting for %d running handlers and %d open polls (each ends within %d s); a second signal does not wait",
            running,
            len(polls),
            longest,
        )


async def until(true: Callable[[], bool], engine: Engine, deadline: Callable[[], float]) -> bool:
    """Wait, turn by turn, until something is true; False when the deadline passed or the engine failed."""
    while not true():
        left = deadline() - engine.clock.lease()
        if left <= 0 or engine.failure is not None:
            return False
        engine.progress.clear()
        try:
            async with asyncio.timeout(left):
                await engine.progress.wait()
        except TimeoutError:
            continue
    return True


def _abandon(pool: Pool, now: float) -> list[InFlight]:
    threads = {slot.number: slot.thread_id for slot in pool.executor.slots}
    return [_named(pool, in_hand, now, threads[in_hand.slot]) for in_hand in pool.abandon(now)]


def _named(pool: Pool, in_hand: InHand, now: float, ident: int) -> InFlight:
    return InFlight(
        message_id=in_hand.message_id,
        queue=in_hand.queue,
        handler=in_hand.handler,
        thread=f"hadoken-{pool.name}-{in_hand.slot}",
        age=now - in_hand.since,
        stack=stack(ident),
    )
