"""A bench to put a worker on: queues of its own on a local SQS over HTTP, and that server's testimony."""

from __future__ import annotations

import http.client
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import pytest

from hadoken import Connection
from tests.support.local_sqs import Server, Sqs, boto3_client
from tests.support.waiting import GLOBAL, wait_until

_ALL = 10**12  # more events than a server ever writes: asks for none of them
REGION = "us-east-1"
TRANSPORTS = ("fast", "botocore")
# For the tests that would notice first that a worker behaves otherwise by another transport; the fixture `start_worker`
# of the integration tests knows what is meant.
both_transports = pytest.mark.parametrize("transport", TRANSPORTS, indirect=True)


class Letterbox(NamedTuple):
    """A queue and its dead-letter queue, by URL."""

    url: str
    dead: str


class Bench(Sqs):
    """What a test of a worker needs of SQS. Only what happened since the bench was made is told.

    Attributes:
        url: of the endpoint.
        connection: how the worker gets there.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self.connection = Connection(region=REGION, endpoint_url=server.url, anonymous=True)
        self._first = server.get(f"events?since={_ALL}")["total"]
        self._counted = server.get("counters")
        super().__init__(boto3_client(server.url), lambda: self._server.get(f"events?since={self._first}")["events"])
        self.url = server.url

    def close(self) -> None:
        """Close the client's connections."""
        self.client.close()

    # -------------------------------------------------------------------------------------------------------- queues
    @staticmethod
    def name(url: str) -> str:
        """The name of a queue."""
        return url.rpartition("/")[2]

    def letterbox(
        self, max_receive_count: int, attributes: Mapping[str, object] | None = None, *, fifo: bool = False
    ) -> Letterbox:
        """Create a queue with a dead-letter queue."""
        dead = self.queue(fifo=fifo)
        policy = {"deadLetterTargetArn": self.arn(dead), "maxReceiveCount": max_receive_count}
        return Letterbox(self.queue({**(attributes or {}), "RedrivePolicy": policy}, fifo=fifo), dead)

    def send_many(self, url: str, bodies: list[str], **options: Any) -> list[str]:
        """Send bodies in batches of ten and return the message ids in their order; `options` go to each entry."""
        ids: list[str] = []
        for start in range(0, len(bodies), 10):
            entries = [
                {"Id": str(at), "MessageBody": body, **options} for at, body in enumerate(bodies[start : start + 10])
            ]
            answer = self.client.send_message_batch(QueueUrl=url, Entries=entries)
            assert "Failed" not in answer, answer
            ids.extend(one["MessageId"] for one in sorted(answer["Successful"], key=lambda one: int(one["Id"])))
        return ids

    @contextmanager
    def faults(self, *rules: Mapping[str, object], seed: int = 0) -> Iterator[Callable[[], list[int]]]:
        """Make calls fail as long as a block lasts: rules as `POST /_hadoken/faults` takes them.

        Yields:
            What tells how often each rule has fired so far, in their order.
        """
        self._set_faults({"seed": seed, "rules": list(rules)})
        try:
            yield lambda: [rule["fired"] for rule in self._server.get("faults")["rules"]]
        finally:
            self._set_faults({"rules": []})

    def _set_faults(self, script: Mapping[str, object]) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=GLOBAL)) as connection:
            connection.request("POST", "/_hadoken/faults", json.dumps(script), {"Connection": "close"})
            answer = connection.getresponse()
            said = answer.read().decode()
        assert answer.status == http.client.OK, said

    # ----------------------------------------------------------------------------------------------------- testimony
    def told(self, url: str, what: str, id_: str | None = None) -> list[dict[str, Any]]:
        """Events of one kind ("received", "deleted", ...) of a queue, in order; of one message if its id is given."""
        return [event for event in self.events(url) if event["what"] == what and id_ in (None, event["id"])]

    def wait_told(self, url: str, what: str, n: int, id_: str | None = None, timeout: float = GLOBAL) -> None:
        """Wait until `told` gives at least `n` events.

        Raises:
            AssertionError: fewer came in time.
        """
        came = wait_until(lambda: len(self.told(url, what, id_)) >= n, timeout)
        assert came, f"{len(self.told(url, what, id_))} of {n} times {what!r} within {timeout} s: {self.events(url)}"

    def wait_empty(self, url: str, timeout: float = GLOBAL) -> None:
        """Wait until a queue holds nothing: visible, in flight or delayed.

        Raises:
            AssertionError: it still does after `timeout` seconds.
        """
        assert wait_until(lambda: self.counts(url) == (0, 0, 0), timeout), f"left: {self.counts(url)}"

    def receives(self, url: str) -> Counter[str]:
        """Message id -> how often it was received."""
        return Counter(event["id"] for event in self.told(url, "received"))

    def deleted(self, url: str) -> list[str]:
        """Ids of messages that were really deleted, in order; one twice would be a fault."""
        return [event["id"] for event in self.told(url, "deleted") if event.get("found", True)]

    def requests(self, operation: str, count: str = "requests") -> int:
        """How often an operation was called since the bench was made; or its "entries", "empty", "failed" ones."""
        before = self._counted.get(operation, {}).get(count, 0)
        return int(self._server.get("counters").get(operation, {}).get(count, 0)) - int(before)


@contextmanager
def local_sqs_at(port: int) -> Iterator[Bench]:
    """Run a local SQS on a given port of loopback for as long as the block lasts."""
    with Server(port) as server:
        bench = Bench(server)
        try:
            yield bench
        finally:
            bench.close()
