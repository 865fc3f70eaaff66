"""An SQS for tests, spoken to by boto3, and the local one as a child process; `ours` has it under a virtual clock."""

from __future__ import annotations

import http.client
import json
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self, cast
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config

from hadoken.clock import SYSTEM
from hadoken.local.finding import opened
from tests.support.polls import OpenPoll, headers, open_poll
from tests.support.waiting import GLOBAL

# The client of a test must not hide what the server says: no retries, and no checks of its own.
_CONFIG = Config(retries={"max_attempts": 0, "mode": "standard"}, parameter_validation=False, read_timeout=GLOBAL)
_core = botocore.session.Session()  # loads the API model once
ROOT = Path(__file__).parents[2]
# Seconds a test may make a server wait that has no virtual clock; more is marked with `needs_time`.
MAX_REAL_SECONDS = 6.0


def boto3_client(url: str, read_timeout: float = GLOBAL, *, ca_bundle: Path | None = None) -> Any:
    """An SQS client of boto3 with made-up credentials, without retries and parameter checks.

    Args:
        url: of the endpoint.
        read_timeout: seconds.
        ca_bundle: PEM file of the authorities it trusts; None: the usual ones.
    """
    return boto3.Session(botocore_session=_core).client(
        "sqs",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        verify=None if ca_bundle is None else str(ca_bundle),
        config=_CONFIG.merge(Config(read_timeout=read_timeout)),
    )


class Server:
    """A local SQS in a child process that ends with us: it reads a pipe that we hold.

    Attributes:
        url: of the endpoint.
        port: where it listens, on loopback.
        pid: of the child.
    """

    def __init__(self, port: int = 0, *options: str) -> None:
        """Start it on a port of loopback, with options of `hadoken local`; 0 takes a free one."""
        self._start("hadoken.local", str(port), *options)

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
        with closing(opened(self.url)) as connection:
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


class Answer(NamedTuple):
    """What the wire says to one request.

    Attributes:
        query_error: the header x-amzn-query-error; "" if it is missing.
    """

    status: int
    query_error: str
    body: bytes


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

    def advance(self, seconds: float) -> float:
        """Let time pass for the server: for real here, since nothing tells when another server's lease has ended."""
        assert seconds <= MAX_REAL_SECONDS, f"{seconds} s are too long to wait for; mark the test with `needs_time`"
        threading.Event().wait(seconds + self.settling)
        return self.now()

    def call(self, target: str, body: bytes) -> Answer:
        """One request of a bare client: what boto3 makes of the answer is left out."""
        with closing(http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=GLOBAL)) as connection:
            connection.request("POST", "/", body, headers(target))
            response = connection.getresponse()
            return Answer(response.status, response.getheader("x-amzn-query-error", ""), response.read())

    def poll(self, url: str, wait: int = 20) -> AbstractContextManager[OpenPoll]:
        """A long poll of another client, which waits while the test acts and is dropped at the end of the block."""
        return self._open(url, wait)

    @contextmanager
    def _open(self, url: str, wait: int) -> Iterator[OpenPoll]:
        with open_poll(self.url, url, wait) as poll:
            for _ in range(2):
                self.client.list_queues()  # answered after the poll has reached the server
            yield poll

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
