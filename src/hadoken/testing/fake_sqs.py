"""The local SQS of a test: in this process, under a virtual clock, with the queues of an app made on demand."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, overload

import msgspec

from hadoken.clock import VirtualClock
from hadoken.errors import ConfigurationError
from hadoken.local import provision
from hadoken.local.faults import Faults
from hadoken.local.inprocess import AnyLoop, BlockingLocalSQS, LocalSQS
from hadoken.local.state import messages, requests
from hadoken.local.state.eventlog import What
from hadoken.local.state.profile import AWS, Profile
from hadoken.local.state.refusals import Refusal
from hadoken.local.state.requests import AttributeValue, GetQueueAttributes
from hadoken.local.state.stored import Stored
from hadoken.sqs import api
from hadoken.sqs.address import name_of, url_of

if TYPE_CHECKING:
    from hadoken.app import App
    from hadoken.local.state.counters import Count
    from hadoken.local.state.eventlog import Event
    from hadoken.sending.routes import Door

_CLIENT = "test"


class SentEntry(NamedTuple):
    """One message that a sender sent, as it went out."""

    queue: str
    message_id: str
    entry: api.SendEntry


class Held(NamedTuple):
    """How many messages a queue holds, by what becomes of them next."""

    visible: int
    in_flight: int
    delayed: int


class FakeSQS(LocalSQS):
    """A strict SQS in memory, for one test.

    `hadoken.testing.worker(app, sqs=...)` runs on it. By itself it is a place to send to: `app.connect(fake_sqs.door)`.

    Attributes:
        clock: its virtual time, from 2026-01-01; `advance` moves it.
        faults: which calls fail.
        queues: its state: queues, event log, counters of calls.

    Thread: any, while no worker runs on it; else as `DrivenWorker` says.
    """

    def __init__(
        self,
        *,
        clock: VirtualClock | None = None,
        faults: Faults | None = None,
        profile: Profile = AWS,
        seed: int = 0,
    ) -> None:
        super().__init__(clock=clock, faults=faults, profile=profile, seed=seed)
        self.sent: list[SentEntry] = []
        self.mover: Callable[[float], object] | None = None

    @property
    def door(self) -> Door:
        """What `app.connect` takes, for a test that only sends."""
        return _Door(self)

    def provide(self, app: App, *, max_receives: int = provision.MAX_RECEIVES) -> list[str]:
        """Create the queues of an app that are not there yet, each with a dead-letter queue: `orders`, `orders-dlq`.

        A worker does it by itself. A queue that is there already is left as it is, so one with attributes of its own is
        made first, by `create_queue`. One that the environment maps to a URL or an ARN is made with the name in it, and
        found by that address: no test leads to AWS, wherever it runs.

        Args:
            app: its declared queues are made, those without a handler, and those that a worker leaves out, too.
            max_receives: after how many receives a message goes to the dead-letter queue.

        Returns:
            The names of the queues that were created, without their dead-letter queues; may be empty.

        Raises:
            ConfigurationError: the environment maps two queues to URLs or ARNs with the same name in them.
        """
        _refuse_same_name(app)
        return provision.create(app, _Maker(self), max_receives=max_receives, name_of=self._name_of)

    @overload
    def execute(self, request: api.Receive, now: float | None = None) -> api.Received: ...
    @overload
    def execute(self, request: api.SendBatch, now: float | None = None) -> api.SentBatch: ...
    @overload
    def execute(
        self, request: api.DeleteBatch | api.ChangeVisibilityBatch, now: float | None = None
    ) -> api.BatchAnswer: ...
    def execute(
        self,
        request: api.Receive | api.DeleteBatch | api.ChangeVisibilityBatch | api.SendBatch,
        now: float | None = None,
    ) -> api.Received | api.BatchAnswer | api.SentBatch:
        """Do one request at once, as `LocalSQS.execute` does, and note what is sent."""
        answer: api.Received | api.BatchAnswer | api.SentBatch = super().execute(request, now)
        if isinstance(request, api.SendBatch) and isinstance(answer, api.SentBatch):
            queue = request.queue_url.rpartition("/")[2]
            self.sent.extend(
                SentEntry(queue, message_id, request.entries[position])
                for position, message_id in sorted(answer.sent.items())
            )
        return answer

    def send(
        self,
        queue: str,
        *bodies: str,
        attributes: Mapping[str, str] | None = None,
        message_group_id: str | None = None,
    ) -> list[str]:
        """Send texts as some other program would: as they are, to any queue; no fault is applied.

        Args:
            queue: name.
            *bodies: one message each.
            attributes: of each message, as String.
            message_group_id: of each message; a FIFO queue wants one, and no body counts there as a repeat.

        Returns:
            The message ids, in the order of the bodies. `DrivenWorker.sent` leaves these messages out.

        Raises:
            SQSError: what SQS refuses.
        """
        values = {name: AttributeValue("String", text) for name, text in (attributes or {}).items()}
        with self.lock:
            ids = [self._send(queue, body, values, message_group_id) for body in bodies]
            self.tell_polls()
        return ids

    def events(self, queue: str, *what: str) -> list[Event]:
        """What happened to the messages of a queue, in order: all of it, or only "sent", "received", "deleted"...

        Args:
            queue: name.
            *what: values of `hadoken.local.state.eventlog.What`.
        """
        with self.lock:
            return [one for one in self.queues.log.since() if one.queue == queue and (not what or one.what in what)]

    def receives(self, queue: str) -> Counter[str]:
        """Message id -> how often it was received from a queue; without those that never were."""
        return Counter(event.id for event in self.events(queue, What.RECEIVED))

    def deleted(self, queue: str) -> list[str]:
        """The ids of messages that were really deleted from a queue, in order; one that is there twice came back."""
        return [event.id for event in self.events(queue, What.DELETED) if event.found]

    def held(self, queue: str) -> Held:
        """How many messages a queue holds."""
        with self.lock:
            found = self.queues.named(queue)
            return Held(found.visible, found.in_flight, found.delayed)

    def calls(self, operation: str) -> Count:
        """How often an operation such as "DeleteMessageBatch" was called so far, with how many entries: what AWS bills.

        Attributes of the copy that this returns: `requests`, `entries`, `refused`, `failed`, `empty`.
        """
        with self.lock:
            return msgspec.structs.replace(self.queues.counters.of(operation))

    def advance(self, seconds: float) -> None:
        """Move the clock; with a worker running on it, that worker does all that becomes due."""
        if self.mover is not None:
            self.mover(seconds)
        else:
            super().advance(seconds)

    def receivable(self, queue_url: str) -> bool:
        """Whether a queue holds something that can be received now; False for a queue that is gone."""
        with self.lock:
            try:
                return self.queues.find(queue_url).ready()
            except Refusal:
                return False

    def dead_letters(self, name: str) -> list[Stored] | None:
        """What lies in the dead-letter queue of a queue, oldest first; None if it has none."""
        with self.lock:
            redrive = self.queues.named(name).settings.redrive
            return None if redrive is None else self.queues.named(redrive.target_arn.rpartition(":")[2]).messages

    def close(self) -> None:
        """End the polls that wait; queues and messages stay, for the next worker of the same test."""
        self.end_polls()

    def deliver_again(self, queue: str, raw: api.ReceivedMessage) -> None:
        """Put back a message that was deleted, as SQS may: with its id, its attributes and its receives so far."""
        with self.lock:
            target = self.queues.named(queue)
            stored = Stored(
                id=raw.message_id,
                body=raw.body,
                attributes={
                    name: AttributeValue(value.type, value.text, value.data) for name, value in raw.attributes.items()
                },
                trace=raw.system.get("AWSTraceHeader", ""),
                message_group_id=raw.message_group_id,
                deduplication_id=raw.system.get("MessageDeduplicationId"),
            )
            stored.count = raw.receive_count
            if target.settings.redrive is not None:  # else it would be moved to the dead-letter queue unhandled
                stored.count = min(stored.count, target.settings.redrive.max_receives - 1)
            stored.sent_ms = int(raw.system.get("SentTimestamp", "0"))
            target.take_over(stored)

    def _name_of(self, app: App, name: str) -> str:
        """The name that a queue of an app has here, where it is found from now on by its own address, too."""
        address = app.queues[name].address()
        url = url_of(address)
        if url is not None:
            self.queues.also_at(url, name_of(address))
        return name_of(address)

    def _send(self, queue: str, body: str, attributes: dict[str, AttributeValue], message_group_id: str | None) -> str:
        request = requests.SendMessage(
            queue_url=queue,
            message_body=body,
            message_attributes=attributes or None,
            message_group_id=message_group_id,
            message_deduplication_id=uuid.uuid4().hex if queue.endswith(".fifo") else None,
        )
        try:
            return messages.send_message(self.queues, request, _CLIENT).message_id
        except Refusal as refusal:
            raise api.sqs_error("SendMessage", refusal.shape, refusal.message, status=refusal.status) from refusal


def _refuse_same_name(app: App) -> None:
    """Two queues of other accounts or regions may have one name; here there is one account."""
    seen: dict[str, str] = {}
    for name, queue in app.queues.items():
        address = queue.address()
        other = seen.setdefault(name_of(address), address)
        if other != address:
            raise ConfigurationError(
                f"queue {name} is mapped to {address} by {queue.variable}, another one to {other}: here both are one",
                hint=f"unset {queue.variable}",
            )


class _Door:
    """Where senders get their clients from."""

    def __init__(self, sqs: FakeSQS) -> None:
        self._sqs = sqs

    def blocking(self) -> BlockingLocalSQS:
        """A client that works in the calling thread."""
        return self._sqs.blocking

    def for_loops(self, _offload: api.Offload) -> asyncio.Future[api.ForLoops]:
        """What answers on any loop at once; no thread is needed."""
        found: asyncio.Future[api.ForLoops] = asyncio.get_running_loop().create_future()
        found.set_result(AnyLoop(self._sqs.blocking))
        return found


class _Maker:
    """Creates queues for `provision`; none of its calls is made to fail."""

    def __init__(self, sqs: FakeSQS) -> None:
        self._sqs = sqs

    def queue_url(self, name: str) -> str:
        """The URL of a queue."""
        try:
            return self._sqs.queues.url_of(self._sqs.queues.named(name))
        except Refusal as refusal:
            raise api.sqs_error("GetQueueUrl", refusal.shape, refusal.message) from refusal

    def queue_attributes(self, queue_url: str) -> Mapping[str, str]:
        """All attributes of a queue."""
        request = GetQueueAttributes(queue_url=queue_url, attribute_names=["All"])
        return self._sqs.queues.get_queue_attributes(request, _CLIENT).attributes

    def create_queue(self, name: str, attributes: Mapping[str, str]) -> str:
        """Create a queue."""
        return self._sqs.create_queue(name, attributes)
