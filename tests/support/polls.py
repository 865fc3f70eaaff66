"""Long polls of a bare client: a socket and no library, so that a test can act while a poll waits, or drop it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from tests.support.waiting import GLOBAL

JSON = "application/x-amz-json-1.0"
# Other servers find the service by the scope of a signature, and believe it.
SCOPE = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0"
RECEIVE = "AmazonSQS.ReceiveMessage"
_CHUNK = 65_536


def headers(target: str) -> dict[str, str]:
    """What a request needs beside its body."""
    return {"Content-Type": JSON, "X-Amz-Target": target, "Authorization": SCOPE, "x-amzn-query-mode": "true"}


def poll_body(queue_url: str, wait: int, most: int = 10) -> bytes:
    """The JSON of a receive."""
    return json.dumps({"QueueUrl": queue_url, "WaitTimeSeconds": wait, "MaxNumberOfMessages": most}).encode()


class OpenPoll:
    """A long poll on a connection of its own, sent but perhaps not yet parked.

    Args:
        sock: its connection.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def answer(self) -> Mapping[str, Any]:
        """The JSON of its answer; blocks until it comes.

        Raises:
            TimeoutError: it does not come in time.
            EOFError: the server ended the connection.
        """
        data = self._more(b"")
        while b"\r\n\r\n" not in data:
            data = self._more(data)
        head, _, body = data.partition(b"\r\n\r\n")
        lines = [line.lower().partition(b":") for line in head.split(b"\r\n")]
        length = next(int(value) for name, _, value in lines if name == b"content-length")
        while len(body) < length:
            body = self._more(body)
        found: Mapping[str, Any] = json.loads(body)
        return found

    def _more(self, data: bytes) -> bytes:
        if not (more := self._sock.recv(_CHUNK)):
            raise EOFError("the server ended the connection of a poll")
        return data + more


@contextmanager
def open_poll(endpoint: str, queue_url: str, wait: int = 20) -> Iterator[OpenPoll]:
    """Send a long poll to an endpoint; its connection is dropped at the end of the block, answered or not."""
    parts = urlsplit(endpoint)
    body = poll_body(queue_url, wait)
    head = {"Host": parts.netloc, **headers(RECEIVE), "Content-Length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    with socket.create_connection((parts.hostname, parts.port), timeout=GLOBAL) as sock:
        sock.sendall(f"POST / HTTP/1.1\r\n{lines}\r\n".encode() + body)
        yield OpenPoll(sock)
