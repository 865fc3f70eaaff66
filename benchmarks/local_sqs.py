"""The local SQS that is measured against, as a child process of its own, and what the benchmark asks of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from benchmarks import proc
from benchmarks.wire import Wire, request

PATIENCE = 20.0  # seconds for the server to start or to end
BATCH = 10  # messages of a SendMessageBatch; SQS takes no more
BATCH_BYTES = 1_048_576  # of all its messages; the same

Counts = Mapping[str, int]
Entry = Mapping[str, Any]  # MessageBody, and MessageAttributes where there are some


class LocalSQS:
    """A server child, for as long as the block lasts.

    Args:
        cert: file of a certificate (chain) for 127.0.0.1; with `key` and `ca` the server speaks TLS and nothing else.
        key: file of the certificate's key.
        ca: file of the authority that signed it.
    """

    def __init__(self, cert: str = "", key: str = "", ca: str = "") -> None:
        self.ca = ca
        self._words = ["--cert", cert, "--key", key] if cert else []

    def __enter__(self) -> Self:
        self._child = subprocess.Popen(  # noqa: S603 -- ours
            [sys.executable, "-m", "hadoken.local", *self._words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._child.stdout is not None
        self.url = self._child.stdout.readline().strip()
        if not self.url.startswith("http"):
            raise RuntimeError(f"the local SQS did not start: {self.url or 'its standard error says why'}")
        self.wire = Wire(self.url, self.ca)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.wire.close()
        try:
            self._child.communicate(timeout=PATIENCE)  # it ends with its standard input
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.communicate()

    def create(self, name: str) -> str:
        """Create a queue; returns its URL."""
        return str(self.wire.ask("CreateQueue", QueueName=name)["QueueUrl"])

    def fill(self, url: str, entries: Sequence[Entry], count: int) -> None:
        """Put `count` messages into a queue, taking `entries` in turns, in batches as large as SQS allows."""
        size = max(1, min(BATCH, BATCH_BYTES // len(json.dumps(entries[0]))))
        batches: dict[tuple[int, int], bytes] = {}
        for start in range(0, count, size):
            at, many = start % len(entries), min(size, count - start)
            if (at, many) not in batches:
                ten = [{"Id": str(n), **entries[(at + n) % len(entries)]} for n in range(many)]
                batches[at, many] = request("SendMessageBatch", QueueUrl=url, Entries=ten)
            answer = self.wire.call(batches[at, many])
            assert answer.count(b"MD5OfMessageBody") == many, answer

    def take(self, url: str, count: int) -> list[Entry]:
        """Receive and delete `count` messages: bodies and attributes, in the order of their receipt."""
        taken: list[Entry] = []
        deadline = time.monotonic() + PATIENCE
        while len(taken) < count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{len(taken)} of {count} messages arrived")
            asked = {"QueueUrl": url, "MaxNumberOfMessages": BATCH, "MessageAttributeNames": ["All"]}
            for each in self.wire.ask("ReceiveMessage", **asked).get("Messages", []):
                self.wire.ask("DeleteMessage", QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
                attributes = each.get("MessageAttributes")
                taken.append({"MessageBody": each["Body"], **({"MessageAttributes": attributes} if attributes else {})})
        return taken

    def counters(self) -> dict[str, Any]:
        """The server's own counts since it started, by operation."""
        counted: dict[str, Any] = self._look("counters")
        return counted

    def requests(self) -> Counts:
        """Requests since the server started, by operation."""
        return {name: count["requests"] for name, count in self.counters().items()}

    def deleted(self) -> int:
        """Messages deleted since the server started, one by one and in batches."""
        counted = self.counters()
        batches, single = counted.get("DeleteMessageBatch"), counted.get("DeleteMessage")
        many = int(batches["entries"] - batches["failed"]) if batches else 0
        return many + (int(single["requests"] - single["refused"]) if single else 0)

    def sent(self) -> int:
        """Messages sent since the server started, one by one and in batches."""
        counted = self.counters()
        batches, single = counted.get("SendMessageBatch"), counted.get("SendMessage")
        many = int(batches["entries"] - batches["failed"]) if batches else 0
        return many + (int(single["requests"] - single["refused"]) if single else 0)

    @property
    def pid(self) -> int:
        """Of the server."""
        return self._child.pid

    def parked(self) -> int:
        """How many long polls wait."""
        return int(self._look("state")["parked"])

    def cpu(self) -> float:
        """Seconds of CPU that the server has used."""
        return proc.cpu_seconds(self._child.pid)

    def _look(self, what: str) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(
            self.wire.call(f"GET /_hadoken/{what} HTTP/1.1\r\nHost: local\r\n\r\n".encode())
        )
        return said
