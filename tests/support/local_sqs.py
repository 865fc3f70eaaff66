"""The local SQS for tests: as a child process over HTTP, or behind boto3 without a socket and under a virtual clock."""

from __future__ import annotations

import http.client
import io
import json
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any, Self, cast
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from hadoken.clock import VirtualClock
from hadoken.local.parking import Parking
from hadoken.local.protocol import CONTENT_TYPE, Protocol, Reply
from hadoken.local.queues import Queues
from tests.support.waiting import GLOBAL

# The client of a test must not hide what the server says: no retries, and no checks of its own.
_CONFIG = Config(retries={"max_attempts": 0, "mode": "standard"}, parameter_validation=False, read_timeout=GLOBAL)
_core = botocore.session.Session()  # loads the API model once


def boto3_client(url: str) -> Any:
    """An SQS client of boto3 with made-up credentials, without retries and parameter checks."""
    return boto3.Session(botocore_session=_core).client(
        "sqs",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=_CONFIG,
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
        self._child = subprocess.Popen(
            [sys.executable, "-m", "hadoken.local", str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
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


class Sqs:
    """What a conformance test uses: a boto3 client and short names for what it does over and over.

    Attributes:
        client: of boto3.
        events: all that happened so far, as a list of mappings.
    """

    def __init__(self, client: Any, events: Callable[[], list[dict[str, Any]]]) -> None:
        self.client = client
        self._events = events

    def queue(self, attributes: Mapping[str, object] | None = None, *, fifo: bool = False) -> str:
        """Create a queue with a new name and return its URL."""
        name = f"it-{secrets.token_hex(6)}" + (".fifo" if fifo else "")
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


class Virtual(Sqs):
    """boto3 wired to the protocol without a socket, under a virtual clock: a long poll moves the clock to its answer.

    Attributes:
        clock: the time of the SQS.
        queues: its state.
    """

    def __init__(self) -> None:
        super().__init__(boto3_client("http://sqs.local"), self._logged)
        self.clock = VirtualClock()
        self.client.meta.events.register("before-send.sqs", self._send)
        self.reset()

    def reset(self) -> None:
        """Begin with no queue, no message and no event."""
        self.queues = Queues(url="http://sqs.local", clock=self.clock)
        self._parking = Parking(self.queues)
        self._protocol = Protocol(self.queues, self._parking)

    def advance(self, seconds: float) -> None:
        """Move the clock, stopping wherever something happens."""
        end = self.clock.lease() + seconds
        while (at := self._parking.next()) is not None and at <= end:
            self._move(at)
        self._move(end)

    def _move(self, at: float) -> None:
        self.clock.advance(max(0.0, at - self.clock.lease()))
        self._parking.wake(self.clock.lease())

    def _send(self, request: Any, **_: object) -> AWSResponse:
        replies: list[Reply] = []
        target = request.headers["X-Amz-Target"]
        target = target.decode() if isinstance(target, bytes) else target
        self._protocol.call(target, request.body, client="virtual", answer=replies.append, alive=lambda: True)
        while not replies:
            at = self._parking.next()
            assert at is not None, "a poll is parked and no time is known for it"
            self._move(at)
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
