"""The local SQS for tests: as a child process over HTTP, or behind boto3 without a socket and under a virtual clock."""

from __future__ import annotations

import http.client
import io
import json
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Self, cast
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from hadoken.clock import SYSTEM, VirtualClock
from hadoken.local.http.protocol import CONTENT_TYPE, Protocol, Reply
from hadoken.local.state.parking import Parking
from hadoken.local.state.queues import Queues
from tests.support.waiting import GLOBAL

# The client of a test must not hide what the server says: no retries, and no checks of its own.
_CONFIG = Config(retries={"max_attempts": 0, "mode": "standard"}, parameter_validation=False, read_timeout=GLOBAL)
_core = botocore.session.Session()  # loads the API model once
ROOT = Path(__file__).parents[2]
# Seconds a test may make a server wait that has no virtual clock; more is marked with `needs_time`.
MAX_REAL_SECONDS = 6.0


def let_time_pass(clock: VirtualClock, parking: Parking, seconds: float) -> None:
    """Move a clock, stopping wherever something happens."""
    end = clock.lease() + seconds
    while (at := parking.next()) is not None and at <= end:
        clock.advance(max(0.0, at - clock.lease()))
        parking.wake(clock.lease())
    clock.advance(max(0.0, end - clock.lease()))
    parking.wake(clock.lease())


def boto3_client(url: str, read_timeout: float = GLOBAL) -> Any:
    """An SQS client of boto3 with made-up credentials, without retries and parameter checks."""
    return boto3.Session(botocore_session=_core).client(
        "sqs",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=_CONFIG.merge(Config(read_timeout=read_timeout)),
    )


class Server:
    """A local SQS in a child process that ends with us: it reads a pipe that we hold.

    Attributes:
        url: of the endpoint.
        port: where it listens, on loopback.
        pid: of the child.
    """

    def __init__(self, port: int = 0) -> None:
        """Start it on a port of loopback; 0 takes a free one."""
        self._start("hadoken.local", str(port))

    def _start(self, *words: str) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
        )
        assert self._child.stdout is not None
        self.url = self._child.stdout.readline().decode().strip()
        assert self.url, "the local SQS ended before it listened"
        self.port = urlsplit(self.url).port or 0
        self.pid = self._child.pid

    def get(self, path: str) -> Any:
        """What a private address says: "counters", "state", "events?since=0"."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=GLOBAL)) as connection:
            connection.request("GET", f"/_hadoken/{path}", headers={"Connection": "close"})
            return json.loads(connection.getresponse().read())

    def close(self) -> int:
        """End it by closing its pipe, and return its exit code."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        self._child.stdout.close()
        try:
            return self._child.wait(GLOBAL)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class TimedServer(Server):
    """The same over the same HTTP, under a virtual clock of its own: see `timed_server`."""

    def __init__(self) -> None:
        self._start("tests.support.timed_server")

    def advance(self, seconds: float) -> float:
        """Move its clock and return its time."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(f"{seconds}\n".encode())
        self._child.stdin.flush()
        return float(self._child.stdout.readline())


class Sqs:
    """What a conformance test uses: a boto3 client and short names for what it does over and over.

    Attributes:
        client: of boto3.
        url: of the endpoint, for other clients; "" if there is no socket.
        slack: seconds that a measured wait may be too long; 0 under a virtual clock.
        ours: whether it keeps the log that `events` reads.

    Args:
        events: all that happened so far; None for a server that is not ours.
    """

    prefix = "it-"  # of the names of its queues
    slack = 2.0  # a liveness bound on a loaded machine, far below a poll's 20 s
    settling = 0.2  # seconds beyond a deadline by which servers that look at their clock now and then have seen it

    def __init__(self, client: Any, events: Callable[[], list[dict[str, Any]]] | None = None) -> None:
        self.client = client
        self.url = ""
        self.ours = events is not None
        self._events = events or list

    def now(self) -> float:
        """Seconds of a clock that moves with that of the server."""
        return SYSTEM.lease()

    def advance(self, seconds: float) -> None:
        """Let time pass for the server: for real here, since nothing tells when another server's lease has ended."""
        assert seconds <= MAX_REAL_SECONDS, f"{seconds} s are too long to wait for; mark the test with `needs_time`"
        threading.Event().wait(seconds + self.settling)

    def queue(self, attributes: Mapping[str, object] | None = None, *, fifo: bool = False) -> str:
        """Create a queue with a new name and return its URL."""
        name = f"{self.prefix}{secrets.token_hex(6)}" + (".fifo" if fifo else "")
        texts = {
            key: value if isinstance(value, str) else json.dumps(value) for key, value in (attributes or {}).items()
        }
        if fifo:
            texts["FifoQueue"] = "true"
        return cast("str", self.client.create_queue(QueueName=name, Attributes=texts)["QueueUrl"])

    def send(self, url: str, *bodies: str, **options: Any) -> list[dict[str, Any]]:
        """Send messages one by one; on a FIFO queue each gets a deduplication id of its own."""
        own = (lambda: {"MessageDeduplicationId": secrets.token_hex(8)}) if url.endswith(".fifo") else dict
        return [self.client.send_message(QueueUrl=url, MessageBody=body, **own(), **options) for body in bodies]

    def receive(self, url: str, most: int = 10, **options: Any) -> list[dict[str, Any]]:
        """Receive up to `most` messages with all attributes; does not wait."""
        options = {"WaitTimeSeconds": 0, "MessageSystemAttributeNames": ["All"], **options}
        options.setdefault("MessageAttributeNames", ["All"])
        answer = self.client.receive_message(QueueUrl=url, MaxNumberOfMessages=most, **options)
        return cast("list[dict[str, Any]]", answer.get("Messages", []))

    def bodies(self, url: str, most: int = 10, **options: Any) -> list[str]:
        """Receive, and return the bodies only."""
        return [message["Body"] for message in self.receive(url, most, **options)]

    def delete(self, url: str, message: Mapping[str, Any]) -> Any:
        """Delete a received message."""
        return self.client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def change(self, url: str, message: Mapping[str, Any], seconds: int) -> Any:
        """Change the visibility timeout of a received message."""
        return self.client.change_message_visibility(
            QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=seconds
        )

    def counts(self, url: str) -> tuple[int, int, int]:
        """Messages visible, in flight, delayed, as SQS counts them."""
        names = ["ApproximateNumberOfMessages" + kind for kind in ("", "NotVisible", "Delayed")]
        found = self.client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        visible, in_flight, delayed = (int(found[name]) for name in names)
        return visible, in_flight, delayed

    def arn(self, url: str) -> str:
        """The ARN of a queue."""
        answer = self.client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return cast("str", answer["Attributes"]["QueueArn"])

    def events(self, url: str) -> list[dict[str, Any]]:
        """What happened to the messages of a queue, in order."""
        return [event for event in self._events() if event["queue"] == url.rpartition("/")[2]]


class Timed(Sqs):
    """The local SQS over HTTP under a virtual clock: a long poll moves the clock to its answer."""

    slack = 0.0

    def __init__(self, server: TimedServer) -> None:
        super().__init__(boto3_client(server.url), lambda: server.get("events")["events"])
        self.url = server.url
        self._server = server

    def now(self) -> float:
        """Seconds of the server's clock."""
        return self._server.advance(0)

    def advance(self, seconds: float) -> None:
        """Move the server's clock, stopping wherever something happens."""
        self._server.advance(seconds)


class Virtual(Sqs):
    """boto3 wired to the protocol without a socket, under a virtual clock: a long poll moves the clock to its answer.

    Attributes:
        clock: the time of the SQS.
        queues: its state.
    """

    slack = 0.0

    def __init__(self) -> None:
        super().__init__(boto3_client("http://sqs.local"), self._logged)
        self.clock = VirtualClock()
        self.client.meta.events.register("before-send.sqs", self._send)
        self.reset()

    def reset(self, **options: Any) -> None:
        """Begin with no queue, no message and no event; options are those of `Queues`, such as `profile`."""
        self.queues = Queues(url="http://sqs.local", clock=self.clock, **options)
        self._parking = Parking(self.queues)
        self._protocol = Protocol(self.queues, self._parking)

    def now(self) -> float:
        """Seconds of the virtual clock."""
        return self.clock.lease()

    def advance(self, seconds: float) -> None:
        """Move the clock, stopping wherever something happens."""
        let_time_pass(self.clock, self._parking, seconds)

    def _send(self, request: Any, **_: object) -> AWSResponse:
        replies: list[Reply] = []
        target = request.headers["X-Amz-Target"]
        target = target.decode() if isinstance(target, bytes) else target
        self._protocol.call(target, request.body, client="virtual", answer=replies.append, alive=lambda: True)
        while not replies:
            at = self._parking.next()
            assert at is not None, "a poll is parked and no time is known for it"
            self.advance(max(0.0, at - self.clock.lease()))
        (reply,) = replies
        headers = {"Content-Type": CONTENT_TYPE, "x-amzn-RequestId": secrets.token_hex(8)}
        if reply.query_error:
            headers["x-amzn-query-error"] = reply.query_error
        return AWSResponse(request.url, reply.status, headers, _Raw(reply.body))

    def _logged(self) -> list[dict[str, Any]]:
        events = self.queues.log.since()
        return [{name: getattr(event, name) for name in event.__struct_fields__} for event in events]


class _Raw(io.BytesIO):
    """A body as botocore reads it."""

    def stream(self, **_: object) -> Iterator[bytes]:
        """Yield all of it."""
        yield self.read()
