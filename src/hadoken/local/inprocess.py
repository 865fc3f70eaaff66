"""The local SQS without a socket: `hadoken.sqs.api` from memory, under a virtual clock, failing as told.

Two doors. The engine's (`LocalSQS` itself) returns futures of the running loop; long polls wait in the parking and end
when `advance` moves the clock. The synchronous one (`execute`) needs no loop: a property test calls it and looks at the
state.
"""

from __future__ import annotations

import asyncio
import functools
import math
import threading
from typing import TYPE_CHECKING, Any, TypeVar, overload

from hadoken.clock import VirtualClock
from hadoken.errors import SQSError, SQSUnavailable
from hadoken.local import failing, translate
from hadoken.local.faults import SOUND, Fault, Faults
from hadoken.local.state import messages, requests
from hadoken.local.state.deadlines import Deadlines
from hadoken.local.state.eventlog import Call, What
from hadoken.local.state.house import MAX_IN_FLIGHT
from hadoken.local.state.parking import Parking
from hadoken.local.state.poll import Poll
from hadoken.local.state.profile import AWS, Profile
from hadoken.local.state.queues import Queues
from hadoken.local.state.refusals import Refusal
from hadoken.sqs import api

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hadoken.local.state import answers
    from hadoken.local.state.eventlog import EventLog

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
        lock: guards all state against `blocking`, for one operation, never while waiting; hold it to look at `queues`
            while another thread may call.

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
        self.faults = Faults() if faults is None else faults
        self.lock = threading.RLock()
        self._parking = Parking(self.queues)
        self._late: Deadlines[Callable[[], None]] = Deadlines()
        self._open: set[asyncio.Future[api.Received]] = set()
        self._hanging: set[asyncio.Future[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    @property
    def faults(self) -> Faults:
        """Which calls fail; a script that is put here counts its seconds from then."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        faults.bind(self.queues)
        self._faults = faults

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
        with self.lock:
            made = self._outcome("CreateQueue", Fault(), lambda: self.queues.create_queue(request, CLIENT))
        return _raised(made).queue_url

    # The engine's door.

    def receive(self, request: api.Receive) -> asyncio.Future[api.Received]:
        """Long-poll one queue; ends when something can be received or the virtual clock has moved by `wait_time`."""
        future: asyncio.Future[api.Received] = self._future()
        with self.lock:
            self._park(request, future)
            self._parking.flush()
        return future

    def delete_batch(self, request: api.DeleteBatch) -> asyncio.Future[api.BatchAnswer]:
        """Delete up to ten messages of one queue."""
        return self._batch(request)

    def change_visibility_batch(self, request: api.ChangeVisibilityBatch) -> asyncio.Future[api.BatchAnswer]:
        """Set how long up to ten messages of one queue stay invisible."""
        return self._batch(request)

    def send_batch(self, request: api.SendBatch) -> asyncio.Future[api.SentBatch]:
        """Send up to ten messages to one queue."""
        return self._batch(request)

    def queue_url(self, name: str) -> asyncio.Future[str]:
        """The URL of a queue given by name."""
        return self._later("GetQueueUrl", name, lambda _: self._url(name))

    def queue_attributes(self, queue_url: str) -> asyncio.Future[Mapping[str, str]]:
        """All attributes of a queue."""
        return self._later("GetQueueAttributes", queue_url, lambda _: self._attributes(queue_url))

    def close(self) -> None:
        """Refuse further calls; polls that still wait end with nothing, and calls made to hang with an error."""
        self._closed = True
        self.end_polls()
        for deliver in self._late.due(math.inf):
            deliver()  # what it answers is known since it was called, and no clock moves on to its time
        for call in tuple(self._hanging):
            _settle(call, SQSUnavailable("the local SQS is closed; it was made to give no answer", transient=True))

    def advance(self, seconds: float) -> None:
        """Move the clock, stopping at every time at which something happens, so that all happens in order.

        Args:
            seconds: >= 0.
        """
        end = self.clock.lease() + seconds
        while (at := self.next_due()) is not None and at <= end:
            self.clock.advance(max(0.0, at - self.clock.lease()))
            self.wake()
        self.clock.advance(max(0.0, end - self.clock.lease()))
        self.wake()

    def wake(self) -> None:
        """Do what is due; for whoever moves the clock himself."""
        now = self.clock.lease()
        with self.lock:
            self._parking.wake(now)
            for deliver in self._late.due(now):
                deliver()

    def next_due(self) -> float | None:
        """When something happens here next, on the lease clock; None if time alone changes nothing."""
        with self.lock:
            times = [at for at in (self._parking.next(), self._late.next()) if at is not None]
            return min(times, default=None)

    def next_answer(self) -> float | None:
        """When the next answer that a fault delays is given, on the lease clock; None if none is on its way."""
        with self.lock:
            return self._late.next()

    def tell_polls(self) -> None:
        """Let parked polls look at what was changed by other means than a call here. Thread: any."""
        with self.lock:
            if self._loop is None or self._loop.is_closed():
                self._parking.flush()
            else:  # perhaps another thread's call: futures are the loop's to settle
                self._loop.call_soon_threadsafe(self.wake)

    def end_polls(self) -> None:
        """Answer every open poll with nothing, as if its wait were over. Thread: that of the loop."""
        for future in tuple(self._open):
            _settle(future, api.Received([], self.clock.wall()))

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
                return self._receive_now(request, fault)
            return self._apply(request, fault)

        with self.lock:
            fault = self._judge(operation, _name(request.queue_url))
            outcome: Answer | SQSError = self._outcome(operation, fault, act)
            outcome = _lost(operation, fault) or outcome
            outcome = self._said(operation, _name(request.queue_url), _size(request), fault, outcome)
            self.tell_polls()
        if isinstance(outcome, SQSError):
            raise outcome
        return outcome

    # Ours.

    def _future(self) -> asyncio.Future[Any]:
        self._loop = asyncio.get_running_loop()
        return self._loop.create_future()

    def _outcome(self, operation: str, fault: Fault, act: Callable[[], T]) -> T | SQSError:
        """Do one call unless it is made to fail before it is applied; errors are values, so that they can come late."""
        count = self.queues.counters.of(operation)
        count.requests += 1
        if self._closed:
            return SQSUnavailable(f"{operation} failed: the local SQS is closed", operation=operation)
        if fault.fails and not fault.applied:
            return _failure(operation, fault)
        try:
            return act()
        except Refusal as refusal:
            count.refused += 1
            return api.sqs_error(operation, refusal.shape, refusal.message, status=refusal.status)

    def _judge(self, operation: str, queue: str) -> Fault:
        return self.faults.judge(operation, queue) if self.faults else SOUND

    def _batch(self, request: Batch) -> asyncio.Future[Any]:
        operation = _OPERATIONS[type(request)]
        return self._later(operation, request.queue_url, lambda fault: self._apply(request, fault), _size(request))

    def _later(self, operation: str, queue: str, act: Callable[[Fault], T], entries: int = 1) -> asyncio.Future[Any]:
        future = self._future()
        with self.lock:
            fault = self._judge(operation, _name(queue))
            outcome = self._outcome(operation, fault, lambda: act(fault))
            outcome = self._said(operation, _name(queue), entries, fault, _lost(operation, fault) or outcome)
            self._deliver(future, outcome, fault)
            self._parking.flush()
        return future

    def _deliver(self, future: asyncio.Future[Any], outcome: object, fault: Fault) -> None:
        if fault.answer == "hang":
            self._hanging.add(future)
            future.add_done_callback(self._hanging.discard)
        elif fault.delay <= 0:
            _settle(future, outcome)
        else:
            self._late.set(lambda: _settle(future, outcome), self.clock.lease() + fault.delay)

    def _park(self, request: api.Receive, future: asyncio.Future[api.Received]) -> None:
        operation, name = _OPERATIONS[api.Receive], _name(request.queue_url)
        fault = self._judge(operation, name)

        def answer(found: answers.ReceiveMessage) -> None:
            outcome = _lost(operation, fault) or self._brought(request, found, fault)
            self._deliver(future, self._said(operation, name, 1, fault, outcome), fault)

        def alive() -> bool:
            return fault.swallow or not future.done()

        parked = self._outcome(
            operation,
            fault,
            lambda: self._parking.receive(Poll(self.queues, translate.receive(request), CLIENT), answer, alive),
        )
        if isinstance(parked, SQSError):
            self._deliver(future, self._said(operation, name, 1, fault, _lost(operation, fault) or parked), fault)
        elif parked is not None:
            self._open.add(future)
            future.add_done_callback(self._open.discard)
            if not fault.swallow:
                future.add_done_callback(lambda _: self._parking.withdraw(parked))

    def _receive_now(self, request: api.Receive, fault: Fault) -> api.Received:
        poll = Poll(self.queues, translate.receive(request), CLIENT)
        poll.refuse_over_limit()
        found = poll.take()
        poll.count(found)
        return self._brought(request, found, fault)

    def _brought(self, request: api.Receive, found: answers.ReceiveMessage, fault: Fault) -> api.Received:
        if fault is not SOUND:
            found = failing.received(self.queues, request.queue_url, found, fault)
        return translate.received(found, self.clock.wall() + fault.clock_offset)

    def _apply(self, request: Batch, fault: Fault) -> BatchResult:
        """Do a batch without the entries that are made to fail."""
        if isinstance(request, api.SendBatch):
            sent = functools.partial(messages.send_message_batch, self.queues, client=CLIENT)
            return translate.sent(failing.without(translate.send_batch(request), fault, sent))
        if isinstance(request, api.DeleteBatch):
            deleted = functools.partial(messages.delete_message_batch, self.queues, client=CLIENT)
            return translate.batch(failing.without(translate.delete_batch(request), fault, deleted))
        changed = functools.partial(messages.change_message_visibility_batch, self.queues, client=CLIENT)
        return translate.batch(failing.without(translate.change_batch(request), fault, changed))

    def _said(self, operation: str, queue: str, entries: int, fault: Fault, outcome: T) -> T:
        """Write a call into the log, if it wants calls; its status is 0, 200 or, for any error, 400."""
        if self.queues.log.calls:
            failed = isinstance(outcome, SQSError)
            self.queues.log.write(
                Call(
                    at=self.clock.lease(),
                    what=What.CALL,
                    operation=operation,
                    queue=queue,
                    client=CLIENT,
                    status=0 if fault.silent else 400 if failed else 200,
                    code=outcome.code if isinstance(outcome, SQSError) else "",
                    entries=entries,
                    fault=fault.title,
                )
            )
        return outcome

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
        with self.lock:
            fault = self._judge("GetQueueUrl", name)
            outcome = self._outcome("GetQueueUrl", fault, lambda: self._url(name))
            outcome = _lost("GetQueueUrl", fault) or outcome
            return _raised(self._said("GetQueueUrl", name, 1, fault, outcome))


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


class AnyLoop:
    """`hadoken.sqs.api.LoopSQS` on a `LocalSQS`, for any loop: each call is done at once, on the loop that asks.

    Thread: that of the loop.
    """

    def __init__(self, blocking: BlockingLocalSQS) -> None:
        self._blocking = blocking

    def on_loop(self, _offload: api.Offload) -> AnyLoop:
        """See `api.ForLoops`."""
        return self

    def send_batch(self, request: api.SendBatch) -> asyncio.Future[api.SentBatch]:
        """Send up to ten messages to one queue."""
        return _done(lambda: self._blocking.send_batch(request))

    def queue_url(self, name: str) -> asyncio.Future[str]:
        """The URL of a queue given by name."""
        return _done(lambda: self._blocking.queue_url(name))

    def close(self) -> None:
        """Nothing is open."""


def _done(call: Callable[[], T]) -> asyncio.Future[T]:
    """A future of the running loop that has the outcome of a call."""
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    try:
        _settle(future, call())
    except SQSError as error:
        _settle(future, error)
    return future


def _name(queue: str) -> str:
    """The name of a queue, from its URL or as it is."""
    return queue.rpartition("/")[2]


def _size(request: api.Receive | Batch) -> int:
    if isinstance(request, api.Receive):
        return 1
    return len(request.handles if isinstance(request, api.DeleteBatch) else request.entries)


def _failure(operation: str, fault: Fault) -> SQSError:
    if fault.silent or fault.cut:
        said = "an answer that cannot be read" if fault.cut else "no answer"
        return SQSUnavailable(f"{operation} failed: {said}", operation=operation, transient=True)
    code, status = fault.error
    return api.sqs_error(operation, "" if fault.answer == "html" else code, failing.TEXT, status=status or 400)


def _lost(operation: str, fault: Fault) -> SQSError | None:
    """What comes in the place of an answer that gets lost; None if it does not."""
    return _failure(operation, fault) if fault.fails or fault.cut else None


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
