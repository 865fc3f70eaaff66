"""The executor: hands messages to the handler threads of a pool and brings their outcomes back.

Rules of this file:
- `hand` and the methods marked so are called on the engine loop; `run` is the body of a handler thread.
- What crosses is plain data: a `Handed` one way, a `Finished` the other. Single operations on both queues are atomic;
  there is no lock here.
- A thread wakes the engine when its outcome is wanted: enough have gathered, or it is about to park, or the engine has
  not been looking. Missing a wake is impossible: the engine looks again a linger time after it last saw outcomes.
- A thread keeps nothing of a message when it parks (I8).
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple, Protocol

import msgspec

from hadoken import failure
from hadoken.clock import SYSTEM, Clock
from hadoken.message import Context
from hadoken.outcome import Kind, Verdict
from hadoken.pipeline.handover import Bed, Handover
from hadoken.sqs.api import ReceivedMessage

log = logging.getLogger("hadoken.executor")


class Runs(Protocol):
    """What the executor needs of a handler."""

    @property
    def name(self) -> str:
        """Dotted name, for reports."""
        ...

    def run(self, raw: ReceivedMessage, ctx: Context, clock: Clock) -> Verdict:
        """Handle one message from decoding to verdict; never raises."""
        ...


class Handed(msgspec.Struct, frozen=True, gc=False):
    """One message to be handled: what the engine tells a handler thread."""

    ticket: int
    queue: str
    message: ReceivedMessage
    attempt: int
    is_last_attempt: bool
    lease_end: float


class Finished(msgspec.Struct, frozen=True, gc=False):
    """What a handler thread tells the engine.

    Attributes:
        verdict: None for a message withdrawn before its start.
        took: seconds that the run took.
    """

    ticket: int
    verdict: Verdict | None
    took: float = 0.0


class InHand(msgspec.Struct, frozen=True):
    """What one handler thread is doing, as plain data. `since` is the lease clock at the handler's start."""

    slot: int
    ticket: int
    queue: str
    message_id: str
    handler: str
    since: float


class Running(NamedTuple):
    """A run of a handler, without its message: that ends with the run (I8). `since` is the lease clock at its start."""

    ticket: int
    queue: str
    message_id: str
    ctx: Context
    since: float


class Slot:
    """The place of one handler thread: written by that thread, read by the engine and by reports.

    Attributes:
        running: what it runs, set and read in one step; None while idle.
        bed: where it sleeps.
    """

    __slots__ = ("_handlers", "bed", "number", "running", "thread_id")

    def __init__(self, number: int, handlers: Mapping[str, Runs]) -> None:
        self.number = number
        self.thread_id = 0
        self.running: Running | None = None
        self.bed = Bed()
        self._handlers = handlers

    @property
    def in_hand(self) -> InHand | None:
        """The message in hand; None while idle."""
        running = self.running
        if running is None:
            return None
        name = self._handlers[running.queue].name
        return InHand(self.number, running.ticket, running.queue, running.message_id, name, running.since)


class Executor:
    """The handler threads of one pool.

    Args:
        handlers: logical queue name -> handler.
        concurrency: how many threads will call `run`.
        wake: makes the engine look at `outcomes` soon; may be called from any thread, must not block.
        ask_extend: passes on (ticket, seconds) of `Context.extend` to the engine; likewise.
    """

    def __init__(
        self,
        handlers: Mapping[str, Runs],
        concurrency: int,
        *,
        wake: Callable[[], None],
        ask_extend: Callable[[int, float], None],
        clock: Clock = SYSTEM,
    ) -> None:
        self._handlers = handlers
        self._handed: Handover[Handed | None] = Handover()
        self._outcomes: deque[Finished] = deque()
        self._withdrawn: set[int] = set()
        self.slots = [Slot(number, handlers) for number in range(1, concurrency + 1)]
        self._wake = wake
        self._ask_extend = ask_extend
        self._clock = clock
        self._signalled = False
        self._wanted = 1

    # On the engine loop.

    def hand(self, handed: Handed) -> None:
        """Give a message to the next free thread."""
        self._handed.put(handed)

    def outcomes(self) -> list[Finished]:
        """Take all outcomes that have come back; may be empty."""
        self._signalled = False
        finished: list[Finished] = []
        while self._outcomes:
            finished.append(self._outcomes.popleft())
        if self._withdrawn:
            self._withdrawn.difference_update(one.ticket for one in finished)
        return finished

    @property
    def unannounced(self) -> bool:
        """Whether outcomes have come back for which the engine was not woken, since it will look soon anyway."""
        return bool(self._outcomes) and not self._signalled

    def want(self, count: int) -> bool:
        """Ask to be woken at `count` outcomes (1..10); 1 when nothing else makes the engine look soon.

        Returns:
            Whether so many have come already, unannounced: then take them now, for nobody will call.
        """
        self._wanted = count
        return len(self._outcomes) >= count

    def tell(self, ticket: int, *, lease_lost: bool = False, cancelled: bool = False, lease_end: float = 0.0) -> None:
        """Set the flags of the context that runs this message; does nothing if no thread runs it."""
        for slot in self.slots:
            running = slot.running
            if running is not None and running.ticket == ticket:
                ctx = running.ctx
                ctx.lease_lost |= lease_lost
                ctx.cancelled |= cancelled
                if lease_end:
                    ctx.lease_moved(lease_end)

    def withdraw(self, ticket: int) -> None:
        """Keep a message that was handed over from being started, if it can; it then comes back without a verdict.

        To be called before `tell`: a thread says what it has in hand before it looks whether that was withdrawn, so one
        of the two reaches it.
        """
        self._withdrawn.add(ticket)

    def withdraw_unstarted(self, tickets: Collection[int]) -> list[InHand]:
        """Withdraw what no thread has begun yet, although one may have taken it; returns what threads have begun."""
        self._withdrawn.update(tickets)
        begun = [in_hand for in_hand in self.in_hand() if in_hand.ticket in self._withdrawn]
        self._withdrawn.difference_update(in_hand.ticket for in_hand in begun)
        return begun

    def take_back(self) -> list[int]:
        """Take back all that no thread has taken yet; returns their tickets in the order they were handed over."""
        taken: list[int] = []
        ends = 0
        while self._handed:
            handed = self._handed.get_nowait()
            if handed is None:
                ends += 1
            else:
                taken.append(handed.ticket)
                self._withdrawn.discard(handed.ticket)
        for _ in range(ends):
            self._handed.put(None)
        return taken

    def in_hand(self) -> list[InHand]:
        """What the threads are doing; idle ones are left out."""
        return [in_hand for slot in self.slots if (in_hand := slot.in_hand) is not None]

    def stop(self) -> None:
        """Let each thread end once it has nothing in hand."""
        for _ in self.slots:
            self._handed.put(None)

    # In a handler thread.

    def run(self, slot: Slot) -> None:
        """Handle messages until told to stop. Blocks in the handlers, and while there is no message."""
        slot.thread_id = threading.get_ident()
        while (handed := self.take(slot)) is not None:
            finished = self._handle(handed, slot)
            del handed
            self._bring_back(finished)

    def take(self, slot: Slot) -> Handed | None:
        """Wait for the next message; None means: end."""
        return self._handed.get(slot.bed)

    def _handle(self, handed: Handed, slot: Slot) -> Finished:
        handler = self._handlers[handed.queue]
        ticket = handed.ticket
        clock = self._clock
        ctx = Context(
            attempt=handed.attempt,
            is_last_attempt=handed.is_last_attempt,
            lease_end=handed.lease_end,
            ask_extend=self._ask_extend,
            ticket=ticket,
            clock=clock,
        )
        started = clock.lease()
        slot.running = Running(ticket, handed.queue, handed.message.message_id, ctx, started)
        try:
            if ticket in self._withdrawn:
                return Finished(ticket, None)
            verdict = handler.run(handed.message, ctx, clock)
        except BaseException as error:  # noqa: BLE001 -- the thread must live, whatever user code has raised
            # `run` promises not to raise; if it does, the message goes the way of any failure. It is logged as text: a
            # record that kept the exception would keep the message with it (I8).
            verdict = Verdict(Kind.RETRY, after=5.0, reason=failure.reason_of(error), failed=True)
            log.error("handler %s: could not be run\n%s", handler.name, failure.describe(error))  # noqa: TRY400 -- as said
            failure.forget(error)
        finally:
            slot.running = None
        return Finished(ticket, verdict, clock.lease() - started)

    def _bring_back(self, finished: Finished) -> None:
        self._outcomes.append(finished)
        if not self._signalled and (len(self._outcomes) >= self._wanted or not self._handed):
            self._signalled = True
            self._wake()
