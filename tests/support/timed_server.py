"""`python -m tests.support.timed_server [MAX_IN_FLIGHT]`: the local SQS over real HTTP, under a virtual clock.

Its parent moves the clock by writing seconds, a line each, and reads the time of the clock back, a line each. A long
poll that can be answered by nothing but time moves the clock by itself, as in `local_sqs.Virtual`. It ends with its
standard input.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Any

from hadoken.clock import VirtualClock
from hadoken.local.http.server import HOST, Server
from hadoken.local.state.queue import MAX_IN_FLIGHT
from hadoken.local.state.queues import Queues
from tests.support.local_sqs import let_time_pass


class TimedServer(Server):
    """A server whose clock stands still until it is told, or until a poll is parked."""

    def __init__(self, clock: VirtualClock, max_in_flight: int) -> None:
        super().__init__(Queues(clock=clock, max_in_flight=max_in_flight))
        self.clock = clock

    def advance(self, seconds: float) -> float:
        """Move the clock and return its time."""
        let_time_pass(self.clock, self._parking, seconds)
        return self.clock.lease()

    def _call(self, *args: Any, **options: Any) -> Any:
        parked = super()._call(*args, **options)
        if parked is not None:
            asyncio.get_running_loop().call_soon(self._until_answered)
        return parked

    def _until_answered(self) -> None:
        while self.parked and (at := self._parking.next()) is not None:
            self.advance(max(0.0, at - self.clock.lease()))


def obey(server: TimedServer, ended: Callable[[], None]) -> None:
    """Read what the parent writes: seconds by line; the end of it ends the server."""
    words = os.read(0, 65_536).decode().split()
    if not words:
        ended()
    for word in words:
        print(server.advance(float(word)), flush=True)  # noqa: T201 -- the parent reads it


async def main() -> None:
    """Serve on a free port of loopback, print the URL, and obey."""
    ended = asyncio.Event()
    server = TimedServer(VirtualClock(), int(sys.argv[1]) if len(sys.argv) > 1 else MAX_IN_FLIGHT)
    await server.listen(HOST, 0)
    loop = asyncio.get_running_loop()
    loop.add_reader(0, obey, server, ended.set)
    print(server.url, flush=True)  # noqa: T201 -- the parent reads it
    await ended.wait()
    loop.remove_reader(0)
    await server.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
