"""The local SQS that is measured against, as a child process of its own, and what the benchmark asks of it."""

from __future__ import annotations

import http
import http.client
import json
import subprocess
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from benchmarks import proc

PATIENCE = 20.0  # seconds for the server to start or to end

Counts = Mapping[str, int]


class LocalSQS:
    """A server child, for as long as the block lasts."""

    def __enter__(self) -> Self:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "hadoken.local"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._child.stdout is not None
        self.url = self._child.stdout.readline().strip()
        if not self.url:
            raise RuntimeError("the local SQS did not start; its standard error says why")
        self._http = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=PATIENCE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._http.close()
        try:
            self._child.communicate(timeout=PATIENCE)  # it ends with its standard input
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.communicate()

    def fill(self, name: str, count: int) -> None:
        """Create a queue and put `count` small messages in it; `count` is a multiple of ten."""
        url = self._call("CreateQueue", QueueName=name)["QueueUrl"]
        for start in range(0, count, 10):
            entries = [{"Id": str(at), "MessageBody": f"message {at}"} for at in range(start, start + 10)]
            answer = self._call("SendMessageBatch", QueueUrl=url, Entries=entries)
            assert len(answer["Successful"]) == len(entries), answer

    def counters(self) -> dict[str, Any]:
        """The server's own counts since it started, by operation."""
        self._http.request("GET", "/_hadoken/counters")
        counted: dict[str, Any] = json.loads(self._http.getresponse().read())
        return counted

    def requests(self) -> Counts:
        """Requests since the server started, by operation."""
        return {name: count["requests"] for name, count in self.counters().items()}

    def deleted(self) -> int:
        """Messages deleted since the server started."""
        counted = self.counters().get("DeleteMessageBatch")
        return int(counted["entries"] - counted["failed"]) if counted else 0

    @property
    def pid(self) -> int:
        """Of the server."""
        return self._child.pid

    def parked(self) -> int:
        """How many long polls wait."""
        self._http.request("GET", "/_hadoken/state")
        return int(json.loads(self._http.getresponse().read())["parked"])

    def cpu(self) -> float:
        """Seconds of CPU that the server has used."""
        return proc.cpu_seconds(self._child.pid)

    def _call(self, operation: str, **arguments: object) -> dict[str, Any]:
        head = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{operation}"}
        self._http.request("POST", "/", json.dumps(arguments), head)
        answer = self._http.getresponse()
        body: dict[str, Any] = json.loads(answer.read())
        if answer.status != http.HTTPStatus.OK:
            raise RuntimeError(f"{operation}: {answer.status}: {body}")
        return body
