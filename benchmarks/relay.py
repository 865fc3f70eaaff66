"""A distance: a TCP relay in a process of its own that holds every byte back for a while, each way.

`python -m benchmarks.relay PORT SECONDS` relays to a port of this machine, prints the port it listens on, and ends with
its standard input. It does not limit how much is under way, as a fast line between two cities does not.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import deque
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from benchmarks import proc

CHUNK = 262_144
PATIENCE = 10.0  # seconds for it to end


class Relay:
    """A relay child before a server, for as long as the block lasts.

    Args:
        url: of the server.
        round_trip: seconds that it adds to each exchange on an open connection.

    Attributes:
        url: the same server seen through it.
    """

    def __init__(self, url: str, round_trip: float) -> None:
        self._place = urlsplit(url)
        self._words = [sys.executable, "-m", "benchmarks.relay", str(self._place.port), str(round_trip / 2)]

    def __enter__(self) -> Self:
        self._child = subprocess.Popen(  # noqa: S603 -- ours
            self._words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._child.stdout is not None
        self.url = f"{self._place.scheme}://{self._place.hostname}:{int(self._child.stdout.readline())}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._child.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.communicate()

    def cpu(self) -> float:
        """Seconds of CPU that it has used."""
        return proc.cpu_seconds(self._child.pid)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Pass bytes on, each chunk `seconds` after it came, in order; then the end."""
    loop = asyncio.get_running_loop()
    waiting: deque[bytes] = deque()
    while chunk := await _read(reader):
        waiting.append(chunk)
        loop.call_later(seconds, lambda: writer.write(waiting.popleft()))
    loop.call_later(seconds, writer.close)


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(CHUNK)
    except ConnectionError:
        return b""  # reset instead of closed: passed on as an end


async def _serve(port: int, seconds: float) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_carry(reader, far_writer, seconds), _carry(far_reader, writer, seconds))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
