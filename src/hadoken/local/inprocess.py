"""The local SQS without a socket: `hadoken.sqs.api` from memory, under a virtual clock, failing as told.

Two doors. The engine's (`LocalSQS` itself) returns futures of the running loop; long polls wait in the parking and end
when `advance` moves the clock. The synchronous one (`execute`) needs no loop: a property test calls it and looks at the
state.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeVar, overload

from hadoken.clock import VirtualClock
from hadoken.errors import SQSError, SQSUnavailable
from hadoken.local import messages, requests, translate
from hadoken.local.deadlines import Deadlines
from hadoken.local.faults import Fault, Faults
from hadoken.local.parking import Parking
from hadoken.local.poll import Poll
from hadoken.local.profile import AWS, Profile
from hadoken.local.queue import MAX_IN_FLIGHT
from hadoken.local.queues import Queues
from hadoken.local.refusals import Refusal
from hadoken.sqs import api

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hadoken.local import answers
    from hadoken.local.eventlog import EventLog

T = TypeVar("T")
Batch = api.DeleteBatch | api.ChangeVisibilityBatch | api.SendBatch
BatchResult = api.BatchAnswer | api.SentBatch
Answer = api.Received | BatchResult

URL = "http://sqs.local"
CLIENT = "in process"
_OPERATIONS: Mapping[type, str] = {
    api.Receive: "ReceiveMessage",
    api.DeleteBatch: "DeleteMessageBatch",
    api.ChangeVisibilityBatch: "ChangeMessageVisibilityBatch",
    api.SendBatch: "SendMessageBatch",
}


class LocalSQS:
    """`hadoken.sqs.api.SQS` in memory.

    Attributes:
        clock: the time of everything in it; move it with `advance`.
        queues: the state: queues, event log, counters.
        faults: which calls fail.

    Args:
        clock: a new one by default; share it with the engine under test.
        faults: none by default.
        log: where events go.
        profile: how kind it is.
        seed: of everything that is left to chance.
        max_in_flight: messages in flight that each queue allows.

    Thread: that of the loop, `blocking` excepted. Blocks on nothing.
    """

    def __init__(
        self,
        *,
        clock: VirtualClock | None = None,
        faults: Faults | None = None,
        log: EventLog | None = None,
        profile: Profile = AWS,
        seed: int = 0,
        max_in_flight: int = MAX_IN_FLIGHT,
    ) -> None:
        self.clock = clock or VirtualClock()
        self.queues = Queues(
            url=URL, clock=self.clock, log=log, profile=profile, seed=seed, max_in_flight=max_in_flight
        )
        self.faults = faults or Faults()
        # Guards all state against `blocking`; held for one operation, never while waiting.
        self._lock = threading.RLock()
        self._parking = Parking(self.queues)
        self._late: Deadlines[Callable[[], None]] = Deadlines()
        self._open: set[asyncio.Future[api.Received]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    @property
    def parked(self) -> int:
        """How many long polls wait."""
        return len(self._parking)

    @property
    def blocking(self) -> BlockingLocalSQS:
        """The sender's door to the same state."""
        return BlockingLocalSQS(self)

    def create_queue(self, name: str, attributes: Mapping[str, str] | None = None) -> str:
        """Create a queue and give back its URL; never made to fail.

        Args:
            name: ending in `.fifo` for a FIFO queue; the attribute FifoQueue is set accordingly.
            attributes: as of CreateQueue, values as SQS's strings.

        Raises:
            SQSError: what SQS refuses.
        """
        fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        request = requests.CreateQueue(queue_name=name, attributes={**fifo, **(attributes or {})})
        with self._lock:
            made = self._outcome("CreateQueue", Fault(), lambda: self.queues.create_queue(request, CLIENT))
        return _raised(made).queue_url

    # The engine's door.

    def receive(self, request: api.Receive) -> asyncio.Future[api.Received]:
        """Long-poll one queue; ends when something can be received or the virtual clock has moved by `wait_time`."""
        future: asyncio.Future[api.Received] = self._future()
        with self._lock:
            self._park(request, future)
            self._parking.flush()
        return future

    def delete_batch(self, request: api.DeleteBatch) -> asyncio.Future[api.BatchAnswer]:
        """Delete up to ten messages of one queue."""
        return self._later(_OPERATIONS[type(request)], request.queue_url, lambda fault: self._apply(request, fault))

    def change_visibility_batch(self, request: api.ChangeVisibilityBatch) -> asyncio.Future[api.BatchAnswer]:
        """Set how long up to ten messages of one queue stay invisible."""
        return self._later(_OPERATIONS[type(request)], request.queue_url, lambda fault: self._apply(request, fault))

    def send_batch(self, request: api.SendBatch) -> asyncio.Future[api.SentBatch]:
        """Send up to ten messages to one queue."""
        return self._later(_OPERATIONS[type(request)], request.queue_url, lambda fault: self._apply(request, fault))

    def queue_url(self, name: str) -> asyncio.Future[str]:
        """The URL of a queue given by name."""
        return self._later("GetQueueUrl", name, lambda _: self._url(name))

    def queue_attributes(self, queue_url: str) -> asyncio.Future[Mapping[str, str]]:
        """All attributes of a queue."""
        return self._later("GetQueueAttributes", queue_url, lambda _: self._attributes(queue_url))

    def close(self) -> None:
        """Refuse further calls; polls that still wait end with nothing."""
        self._closed = True
        for future in tuple(self._open):
            _settle(future, api.Received([], self.clock.wall()))

    def advance(self, seconds: float) -> None:
        """Move the clock, stopping at every time at which something happens, so that all happens in order.

        Args:
            seconds: >= 0.
        """
        end = self.clock.lease() + seconds
        while (at := self._next()) is not None and at <= end:
            self.clock.advance(max(0.0, at - self.clock.lease()))
            self.wake()
        self.clock.advance(max(0.0, end - self.clock.lease()))
        self.wake()

    def wake(self) -> None:
        """Do what is due; for whoever moves the clock himself."""
        now = self.clock.lease()
        with self._lock:
            self._parking.wake(now)
            for deliver in self._late.due(now):
                deliver()

    # The synchronous door.

    @overload
    def execute(self, request: api.Receive, now: float | None = None) -> api.Received: ...
    @overload
    def execute(self, request: api.SendBatch, now: float | None = None) -> api.SentBatch: ...
    @overload
    def execute(
        self, request: api.DeleteBatch | api.ChangeVisibilityBatch, now: float | None = None
    ) -> api.BatchAnswer: ...
    def execute(self, request: api.Receive | Batch, now: float | None = None) -> Answer:
        """Do one request at once; a receive does not wait, whatever its `wait_time`, and a fault's delay is left out.

        Args:
            request: of `hadoken.sqs.api`.
            now: the time of the lease clock, not before its present one; None leaves the clock alone.

        Raises:
            SQSError: SQS refused it, or the fault script failed it.
        """
        if now is not None:
            self.advance(now - self.clock.lease())
        operation = _OPERATIONS[type(request)]

        def act() -> Answer:
            if isinstance(request, api.Receive):
                return self._receive_now(request)
            return self._apply(request, fault)

        with self._lock:
            fault = self.faults.judge(operation, _name(request.queue_url))
            outcome: Answer | SQSError = self._outcome(operation, fault, act)
            outcome = _lost(operation, fault) or outcome
            if self._loop is None or self._loop.is_closed():
                self._parking.flush()
            else:  # perhaps another thread's call: futures are the loop's to settle
                self._loop.call_soon_threadsafe(self.wake)
        if isinstance(outcome, SQSError):
            raise outcome
        return outcome

    # Ours.

    def _future(self) -> asyncio.Future[Any]:
        self._loop = asyncio.get_running_loop()
        return self._loop.create_future()

    def _next(self) -> float | None:
        times = [at for at in (self._parking.next(), self._late.next()) if at is not None]
        return min(times, default=None)

    def _outcome(self, operation: str, fault: Fault, act: Callable[[], T]) -> T | SQSError:
        """Do one call unless it is made to fail before it is applied; errors are values, so that they can come late."""
        count = self.queues.counters.of(operation)
        count.requests += 1
        if self._closed:
            return SQSUnavailable(f"{operation} failed: the local SQS is closed", operation=operation)
        if fault.code is not None and not fault.applied:
            return _failure(operation, fault)
        try:
            return act()
        except Refusal as refusal:
            count.refused += 1
            return api.sqs_error(operation, refusal.shape, refusal.message, status=refusal.status)

    def _later(self, operation: str, queue: str, act: Callable[[Fault], T]) -> asyncio.Future[Any]:
        future = self._future()
        with self._lock:
            fault = self.faults.judge(operation, _name(queue))
            outcome = self._outcome(operation, fault, lambda: act(fault))
            outcome = _lost(operation, fault) or outcome
            self._deliver(future, outcome, fault.delay)
            self._parking.flush()
        return future

    def _deliver(self, future: asyncio.Future[Any], outcome: object, delay: float) -> None:
        if delay <= 0:
            _settle(future, outcome)
        else:
            self._late.set(lambda: _settle(future, outcome), self.clock.lease() + delay)

    def _park(self, request: api.Receive, future: asyncio.Future[api.Received]) -> None:
        operation = _OPERATIONS[api.Receive]
        fault = self.faults.judge(operation, _name(request.queue_url))

        def answer(found: answers.ReceiveMessage) -> None:
            outcome = _lost(operation, fault) or translate.received(found, self.clock.wall())
            self._deliver(future, outcome, fault.delay)

        parked = self._outcome(
            operation,
            fault,
            lambda: self._parking.receive(
                Poll(self.queues, translate.receive(request), CLIENT), answer, lambda: not future.done()
            ),
        )
        if isinstance(parked, SQSError):
            self._deliver(future, parked, fault.delay)
        elif parked is not None:
            self._open.add(future)
            future.add_done_callback(lambda _: self._parking.withdraw(parked))
            future.add_done_callback(self._open.discard)

    def _receive_now(self, request: api.Receive) -> api.Received:
        poll = Poll(self.queues, translate.receive(request), CLIENT)
        poll.refuse_over_limit()
        found = poll.take()
        poll.count(found)
        return translate.received(found, self.clock.wall())

    def _apply(self, request: Batch, fault: Fault) -> BatchResult:
        """Do a batch without the entries that are made to fail."""
        size = len(request.handles if isinstance(request, api.DeleteBatch) else request.entries)
        failed = {
            position: api.EntryFailure(fault.entry_code, "made to fail", sender_fault=False)
            for position in fault.entries
            if position < size
        }
        kept = set(range(size)) - set(failed)
        if failed and not kept:
            return api.SentBatch({}, failed) if isinstance(request, api.SendBatch) else api.BatchAnswer(failed)
        if isinstance(request, api.SendBatch):
            sent = messages.send_message_batch(self.queues, translate.send_batch(request, kept), CLIENT)
            return translate.sent(sent, failed)
        if isinstance(request, api.DeleteBatch):
            done = messages.delete_message_batch(self.queues, translate.delete_batch(request, kept), CLIENT)
        else:
            done = messages.change_message_visibility_batch(self.queues, translate.change_batch(request, kept), CLIENT)
        return translate.batch(done, failed)

    def _url(self, name: str) -> str:
        return self.queues.get_queue_url(requests.GetQueueUrl(queue_name=name), CLIENT).queue_url

    def _attributes(self, queue_url: str) -> Mapping[str, str]:
        request = requests.GetQueueAttributes(queue_url=queue_url, attribute_names=["All"])
        return self.queues.get_queue_attributes(request, CLIENT).attributes

    def url_now(self, name: str) -> str:
        """The URL of a queue, at once.

        Raises:
            SQSError: there is none, or the fault script failed the call.
        """
        with self._lock:
            fault = self.faults.judge("GetQueueUrl", name)
            outcome = self._outcome("GetQueueUrl", fault, lambda: self._url(name))
            return _raised(_lost("GetQueueUrl", fault) or outcome)


class BlockingLocalSQS:
    """`hadoken.sqs.api.BlockingSQS` on a `LocalSQS`; polls that wait are woken by the loop of theirs.

    Thread: any, several at once.
    """

    def __init__(self, local: LocalSQS) -> None:
        self._local = local

    def send_batch(self, request: api.SendBatch) -> api.SentBatch:
        """Send up to ten messages to one queue."""
        return self._local.execute(request)

    def queue_url(self, name: str) -> str:
        """The URL of a queue given by name."""
        return self._local.url_now(name)


def _name(queue: str) -> str:
    """The name of a queue, from its URL or as it is."""
    return queue.rpartition("/")[2]


def _failure(operation: str, fault: Fault) -> SQSError:
    if fault.code:
        return api.sqs_error(operation, fault.code, "made to fail")
    return SQSUnavailable(f"{operation} failed: no answer", operation=operation, transient=True)


def _lost(operation: str, fault: Fault) -> SQSError | None:
    """What comes in the place of an answer that gets lost; None if it does not."""
    return None if fault.code is None else _failure(operation, fault)


def _raised(outcome: T | SQSError) -> T:
    if isinstance(outcome, SQSError):
        raise outcome
    return outcome


def _settle(future: asyncio.Future[Any], outcome: object) -> None:
    """Settle a future, unless its owner has given it up."""
    if future.done():
        return
    if isinstance(outcome, SQSError):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
