"""Fuzz the HTTP door: bytes of any kind, cut anywhere, on a connection without a socket.

Looks for an exception, for bytes that are no sequence of whole answers, and for a server that a connection has spoilt:
after each of them a sound request on another connection must be answered.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import atheris

with atheris.instrument_imports(include=["hadoken.local"]):
    from hadoken.clock import VirtualClock
    from hadoken.local.http.connection import Connection
    from hadoken.local.http.server import Server
    from hadoken.local.state.queues import Queues

from tests.fuzz.replies import Failed, check, split

SOUND = (
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-amz-json-1.0\r\n"
    b"X-Amz-Target: AmazonSQS.ListQueues\r\nContent-Length: 2\r\n\r\n{}"
)
# Pieces that real requests are made of; the fuzzer puts its own bytes between them.
PIECES = (
    b"",
    SOUND,
    SOUND[:60],
    b"GET /_hadoken/state HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n",
    b"5\r\n{   }\r\n0\r\n\r\n",
    b"Expect: 100-continue\r\n",
    b"Connection: close\r\n",
    b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
    b"X-Amz-Target: AmazonSQS.CreateQueue\r\n",
    b'Content-Type: application/x-amz-json-1.0\r\nContent-Length: 17\r\n\r\n{"QueueName":"q"}',
    b"Content-Type: application/x-www-form-urlencoded\r\n",
    b"\r\n",
    b"\r\n\r\n",
)


class Wire(asyncio.Transport):
    """The other end of a connection: keeps what is written to it."""

    def __init__(self, protocol: Connection) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "socket": self})
        self.written = b""
        self._closing = False
        self._protocol = protocol

    def write_eof(self) -> None:
        """Nothing more is written: what was refused is read on, and dropped."""

    def fileno(self) -> int:
        """Of standard input: a parked poll asks the kernel about it."""
        return 0

    def write(self, data: Any) -> None:
        """Keep it."""
        self.written += bytes(data)

    def is_closing(self) -> bool:
        """Whether somebody has closed it."""
        return self._closing

    def close(self) -> None:
        """End the connection."""
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    abort = close

    def pause_reading(self) -> None:
        """Nothing more is read while requests wait; the fuzzer sends on all the same."""

    def resume_reading(self) -> None:
        """Read again."""


class Door:
    """One server without a listener."""

    def __init__(self) -> None:
        self.server = Server(Queues(clock=VirtualClock()))

    async def feed(self, *chunks: bytes) -> bytes:
        """Send chunks on a connection of its own, end it, and return what was answered."""
        connection = Connection(self.server.site)
        wire = Wire(connection)
        connection.connection_made(wire)
        for chunk in chunks:
            if wire.is_closing():
                break
            connection.data_received(chunk)
            await asyncio.sleep(0)
        wire.close()
        await connection.ended
        return wire.written


class Ear:
    """The loop's handler of exceptions that nobody else takes: the next look at it raises them."""

    def __init__(self) -> None:
        self._heard: list[str] = []

    def __call__(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Remember one."""
        self._heard.append(repr(context))

    def check(self) -> None:
        """Raise what was heard."""
        if self._heard:
            raise Failed(self._heard.pop())


EAR = Ear()
LOOP = asyncio.new_event_loop()
LOOP.set_exception_handler(EAR)


def one(data: bytes) -> None:
    """Send one stream to a new server."""
    provider = atheris.FuzzedDataProvider(data)
    chunks = []
    while provider.remaining_bytes() and len(chunks) < 40:
        piece = provider.PickValueInList(list(PIECES))
        chunks.append(piece + provider.ConsumeBytes(provider.ConsumeIntInRange(0, 12)))
    LOOP.run_until_complete(_judge(chunks))
    EAR.check()


async def _judge(chunks: list[bytes]) -> None:
    door = Door()
    for status, body in split(await door.feed(*chunks)):
        check(status, body)
    answers = split(await door.feed(SOUND))
    if [status for status, _ in answers] != [200]:
        raise Failed(f"a sound request is answered with {answers}")
    await door.server.close()


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
