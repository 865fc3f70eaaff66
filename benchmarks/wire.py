"""Requests as bytes, answers as bytes: a client that costs little beside the server it measures."""

from __future__ import annotations

import json
import socket
import ssl
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

PATIENCE = 30.0  # seconds for one answer
CHUNK = 262_144


def request(operation: str, **arguments: object) -> bytes:
    """One request as an SDK sends it, with a signature that is never looked at."""
    body = json.dumps(arguments, separators=(",", ":")).encode()
    head = (
        "POST / HTTP/1.1\r\n"
        "Host: 127.0.0.1\r\n"
        "User-Agent: benchmark\r\n"
        "Content-Type: application/x-amz-json-1.0\r\n"
        f"X-Amz-Target: AmazonSQS.{operation}\r\n"
        "X-Amz-Date: 20260101T000000Z\r\n"
        "x-amzn-query-mode: true\r\n"
        "Authorization: AWS4-HMAC-SHA256 Credential=AK/20260101/us-east-1/sqs/aws4_request, "
        f"SignedHeaders=content-type;host;x-amz-date;x-amz-target;x-amzn-query-mode, Signature={'0' * 64}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Wire:
    """One kept-alive connection; `ca` is the file of the authority that signed the server's certificate."""

    def __init__(self, url: str, ca: str = "") -> None:
        place = urlsplit(url)
        self._socket = socket.create_connection((place.hostname or "127.0.0.1", place.port or 0), PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if ca:
            self._socket = ssl.create_default_context(cafile=ca).wrap_socket(
                self._socket, server_hostname=place.hostname
            )
        self._rest = b""

    def send(self, data: bytes) -> None:
        """Send a request; its answer is read by `answer`."""
        self._socket.sendall(data)

    def answer(self) -> bytes:
        """Read one answer and return its body.

        Raises:
            RuntimeError: it is no success.
        """
        data = self._rest
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more()
        head = data[:end]
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        whole = end + 4 + length
        parts, had = [data], len(data)
        while had < whole:
            parts.append(self._more())
            had += len(parts[-1])
        data = b"".join(parts)
        self._rest = data[whole:]
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(data[:whole].decode(errors="replace"))
        return data[end + 4 : whole]

    def call(self, data: bytes) -> bytes:
        """Send a request and read its answer."""
        self.send(data)
        return self.answer()

    def ask(self, operation: str, **arguments: object) -> dict[str, Any]:
        """Do one operation and read its answer's JSON."""
        found: dict[str, Any] = json.loads(self.call(request(operation, **arguments)) or b"{}")
        return found

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _more(self) -> bytes:
        chunk = self._socket.recv(CHUNK)
        if not chunk:
            raise RuntimeError("the server closed the connection")
        return chunk

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
