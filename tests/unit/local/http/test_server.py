from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hadoken.local.http import server
from tests.support.local_sqs import Server
from tests.support.waiting import GLOBAL


@contextmanager
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A server as its parent starts it; its pipe is closed at the end at the latest."""
    process = subprocess.Popen([sys.executable, "-m", "hadoken.local"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"http://127.0.0.1:")
        yield process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it(number: signal.Signals) -> None:
    """A signal ends it."""
    with child() as process:
        process.send_signal(number)
        assert process.wait(GLOBAL) == 0


def test_the_end_of_its_pipe_ends_it() -> None:
    """The end of its pipe ends it."""
    with child() as process:
        assert process.stdin is not None
        process.stdin.write(b"words that mean nothing\n")
        process.stdin.flush()
        process.stdin.close()
        assert process.wait(GLOBAL) == 0


def test_it_has_one_thread_and_listens_on_loopback_only() -> None:
    """It has one thread and listens on loopback only."""
    with Server() as running:
        assert len(list(Path(f"/proc/{running.pid}/task").iterdir())) == 1
        table = Path(f"/proc/{running.pid}/net/tcp").read_text(encoding="ascii").splitlines()
        listening = [line.split()[1] for line in table if f":{running.port:04X}" in line.split()[1]]
        assert {address.partition(":")[0] for address in listening} == {"0100007F"}


def test_closing_ends_connections_and_parked_polls() -> None:
    """Closing ends connections and parked polls."""

    async def main() -> None:
        running = await server.start()
        assert running.url == f"http://127.0.0.1:{running.port}"
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        body = b'{"QueueName": "a"}'
        head = b"POST / HTTP/1.1\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n" % len(body)
        writer.write(head + b"X-Amz-Target: AmazonSQS.CreateQueue\r\n\r\n" + body)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        await reader.readuntil(b"}")
        body = b'{"QueueUrl": "x/000000000000/a", "WaitTimeSeconds": 20}'
        head = b"POST / HTTP/1.1\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n" % len(body)
        writer.write(head + b"X-Amz-Target: AmazonSQS.ReceiveMessage\r\n\r\n" + body)
        await writer.drain()
        while not running.parked:  # noqa: ASYNC110 -- a server tells nobody; bounded by the wait_for around it all
            await asyncio.sleep(0)
        await running.close()
        assert running.parked == 0
        assert await reader.read() == b""
        writer.close()
        await running.close()

    asyncio.run(asyncio.wait_for(main(), GLOBAL))


def test_a_name_is_looked_up_without_a_thread() -> None:
    """A name is looked up without a thread."""

    async def main() -> None:
        before = threading.active_count()
        running = await server.start("localhost")
        assert threading.active_count() == before
        assert running.url == f"http://localhost:{running.port}"
        _, writer = await asyncio.open_connection(*running._listener.sockets[0].getsockname()[:2])
        writer.close()
        await running.close()

    asyncio.run(main())


def test_a_taken_port_is_an_error() -> None:
    """A taken port is an error."""

    async def main() -> None:
        running = await server.start()
        with pytest.raises(OSError, match=str(running.port)):
            await server.start(port=running.port)
        await running.close()

    asyncio.run(main())
