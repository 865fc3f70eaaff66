"""The local SQS behind its doors, under a virtual clock: what tests can do here and at no other SQS.

Each can begin anew with other habits, show what they hold and keep a poll waiting while the test acts; so a test about
these goes through all of them, as others do.
"""

from __future__ import annotations

import abc
import io
import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
from botocore.awsrequest import AWSResponse

from hadoken.clock import VirtualClock
from hadoken.local.http.protocol import CONTENT_TYPE, Protocol, Reply
from hadoken.local.state.eventlog import Event
from hadoken.local.state.parking import Parking
from hadoken.local.state.profile import AWS, Profile
from hadoken.local.state.queue import Queue
from hadoken.local.state.queues import Queues
from tests.support.local_sqs import Answer, Server, Sqs, boto3_client
from tests.support.polls import OpenPoll, open_poll, poll_body
from tests.support.waiting import wait_until

# An event is written without what is as usual.
_USUAL = {field.name: field.default for field in msgspec.structs.fields(Event) if not field.required}


class Habits(msgspec.Struct, frozen=True, kw_only=True):
    """With what a local SQS begins; see `Queues`.

    Attributes:
        max_in_flight: None for the limit of SQS.
    """

    profile: Profile = AWS
    seed: int = 0
    max_in_flight: int | None = None


class Held(NamedTuple):
    """How many entries the tables of a queue have.

    Attributes:
        messages: visible, in flight and delayed.
        sends: that are remembered for deduplication.
        attempts: receives that can be repeated.
        leftovers: of messages that are gone; bounded.
        ready: whether a receive would bring something.
    """

    messages: int
    sends: int
    attempts: int
    leftovers: int
    ready: bool


def held(queue: Queue) -> Held:
    """How many entries the tables of a queue have."""
    return Held(len(queue), len(queue.deduplication), len(queue.attempts), queue.leftovers, queue.ready())


def begun(url: str, habits: Habits) -> Queues:
    """An empty local SQS with a clock of its own, which begins at a whole second: sums of seconds are exact."""
    limit: dict[str, Any] = {} if habits.max_in_flight is None else {"max_in_flight": habits.max_in_flight}
    return Queues(url=url, clock=VirtualClock(), profile=habits.profile, seed=habits.seed, **limit)


def let_time_pass(queues: Queues, parking: Parking, seconds: float) -> float:
    """Move the clock of a local SQS, stopping wherever something happens, and return its time."""
    clock = cast("VirtualClock", queues.clock)
    end = clock.lease() + seconds
    while (at := parking.next()) is not None and at <= end:
        clock.advance(max(0.0, at - clock.lease()))
        parking.wake(clock.lease())
    clock.advance(max(0.0, end - clock.lease()))
    parking.wake(clock.lease())
    return clock.lease()


class TimedServer(Server):
    """The local SQS over real HTTP under a virtual clock, in a child process: see `timed_server`.

    Args:
        certificate: the files of a certificate and its key, for a port with TLS beside the other.
    """

    def __init__(self, *certificate: Path) -> None:
        self._start("tests.support.timed_server", *map(str, certificate))

    def ask(self, order: str, *values: object) -> Any:
        """Give it one of the orders of `timed_server` and return what it says."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(msgspec.json.encode([order, *values]) + b"\n")
        self._child.stdin.flush()
        return json.loads(self._child.stdout.readline())


class Ours(Sqs, abc.ABC):
    """A door of the local SQS: what every SQS can, exactly, and what only this one can.

    A long poll that can be answered by nothing but time moves the clock to its answer, unless it is an open `poll`.
    """

    slack = 0.0

    def __init__(self, client: Any) -> None:
        super().__init__(client, lambda: [_USUAL | event for event in self._logged()])

    def reset(self, **habits: Any) -> None:
        """Begin with no queue, message, event or fault, at the second at which it always begins.

        Args:
            habits: the fields of `Habits`.
        """
        self._begin(Habits(**habits))

    @abc.abstractmethod
    def held(self, url: str) -> Held:
        """How many entries the tables of a queue have."""

    @abc.abstractmethod
    def allow(self, url: str, max_in_flight: int) -> None:
        """Set how many messages of one queue may be in flight."""

    @abc.abstractmethod
    def _begin(self, habits: Habits) -> None: ...

    @abc.abstractmethod
    def _logged(self) -> list[dict[str, Any]]: ...


class Timed(Ours):
    """The local SQS over HTTP.

    Args:
        server: in its child process; not closed here.
    """

    def __init__(self, server: TimedServer) -> None:
        super().__init__(boto3_client(server.url))
        self.url = server.url
        self._server = server

    def now(self) -> float:
        """Seconds of the server's clock."""
        return self.advance(0)

    def advance(self, seconds: float) -> float:
        """Move the server's clock, stopping wherever something happens, and return its time."""
        return float(self._server.ask("advance", seconds))

    def held(self, url: str) -> Held:
        """How many entries the tables of a queue have."""
        return Held(*self._server.ask("held", url))

    def allow(self, url: str, max_in_flight: int) -> None:
        """Set how many messages of one queue may be in flight."""
        self._server.ask("allow", url, max_in_flight)

    @contextmanager
    def _open(self, url: str, wait: int) -> Iterator[OpenPoll]:
        # Time stands still while it is open, but for `advance`.
        self._server.ask("hold", True)
        try:
            with open_poll(self.url, url, wait) as poll:
                assert wait_until(lambda: self._server.get("state")["parked"] == 1)
                yield poll
        finally:
            self._server.ask("hold", False)

    def _begin(self, habits: Habits) -> None:
        self._server.ask("reset", habits)

    def _logged(self) -> list[dict[str, Any]]:
        return cast("list[dict[str, Any]]", self._server.get("events")["events"])


class Virtual(Ours):
    """The local SQS in process: boto3 wired to the protocol without a socket.

    Attributes:
        queues: its state.
    """

    def __init__(self) -> None:
        super().__init__(boto3_client("http://sqs.local"))
        self.client.meta.events.register("before-send.sqs", self._send)
        self.reset()

    def now(self) -> float:
        """Seconds of the virtual clock."""
        return self.queues.clock.lease()

    def advance(self, seconds: float) -> float:
        """Move the clock, stopping wherever something happens, and return its time."""
        return let_time_pass(self.queues, self._parking, seconds)

    def held(self, url: str) -> Held:
        """How many entries the tables of a queue have."""
        return held(self.queues.find(url))

    def allow(self, url: str, max_in_flight: int) -> None:
        """Set how many messages of one queue may be in flight."""
        self.queues.find(url).max_in_flight = max_in_flight

    def call(self, target: str, body: bytes) -> Answer:
        """One request, without boto3 and what it makes of the answer."""
        reply = self._reply(target, body)
        return Answer(reply.status, reply.query_error, reply.body)

    @contextmanager
    def _open(self, url: str, wait: int) -> Iterator[OpenPoll]:
        poll = _ParkedPoll(self._protocol, url, wait)
        try:
            yield poll
        finally:
            if poll.parked is not None:
                self._parking.withdraw(poll.parked)

    def _begin(self, habits: Habits) -> None:
        self.queues = begun("http://sqs.local", habits)
        self._parking = Parking(self.queues)
        self._protocol = Protocol(self.queues, self._parking)

    def _reply(self, target: str, body: bytes) -> Reply:
        replies: list[Reply] = []
        self._protocol.call(target, body, client="virtual", answer=replies.append, alive=lambda: True)
        while not replies:
            at = self._parking.next()
            assert at is not None, "a poll is parked and no time is known for it"
            self.advance(max(0.0, at - self.now()))
        return replies[0]

    def _send(self, request: Any, **_: object) -> AWSResponse:
        target = request.headers["X-Amz-Target"]
        reply = self._reply(target.decode() if isinstance(target, bytes) else target, request.body)
        headers = {"Content-Type": CONTENT_TYPE, "x-amzn-RequestId": secrets.token_hex(8)}
        if reply.query_error:
            headers["x-amzn-query-error"] = reply.query_error
        return AWSResponse(request.url, reply.status, headers, _Raw(reply.body))

    def _logged(self) -> list[dict[str, Any]]:
        return cast("list[dict[str, Any]]", msgspec.to_builtins(self.queues.log.since()))


class _ParkedPoll(OpenPoll):
    """A long poll that is parked in this process."""

    def __init__(self, protocol: Protocol, url: str, wait: int) -> None:
        self._replies: list[Reply] = []
        self.parked = protocol.call(
            "AmazonSQS.ReceiveMessage",
            poll_body(url, wait),
            client="poll",
            answer=self._replies.append,
            alive=lambda: True,
        )
        assert not self._replies, "the poll did not have to wait"

    def answer(self) -> Mapping[str, Any]:
        """The JSON of its answer, which is there or will not come."""
        assert self._replies, "the poll still waits"
        found: Mapping[str, Any] = json.loads(self._replies[0].body)
        return found


class _Raw(io.BytesIO):
    """A body as botocore reads it."""

    def stream(self, **_: object) -> Iterator[bytes]:
        """Yield all of it."""
        yield self.read()
