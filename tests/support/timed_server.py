"""`python -m tests.support.timed_server`: the local SQS over real HTTP, under a virtual clock.

Its parent gives orders, a line each, as a JSON list of a name of `ORDERS` and its values, and reads what comes of it, a
line each. A long poll that can be answered by nothing but time moves the clock by itself, as in `ours.Virtual`, unless
the parent holds the clock. It ends with its standard input.

With the files of a certificate and of its key as arguments it also listens on a port with TLS: `tls_port`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from hadoken.local.http.admin import Admin
from hadoken.local.http.connection import PATIENCE, Connection, HTTPRequest, Site
from hadoken.local.http.protocol import Protocol, Reply
from hadoken.local.http.server import HOST, Server
from hadoken.local.http.tls import TLSPort, listening_socket, server_context
from hadoken.local.state.parking import Parked, Parking
from tests.support.ours import Habits, Held, begun, held, let_time_pass

_CHUNK = 65_536  # no order is as long


class TimedServer(Server):
    """A server whose clock stands still until it is told, or until a poll is parked."""

    def __init__(self) -> None:
        super().__init__(begun("", Habits()))
        self._held = False
        self.secured: TLSPort | None = None

    @property
    def site(self) -> Site:
        """What its connections share, and keep over a reset."""
        return super().site._replace(withdraw=self._withdraw, admin=self._answer, wall=self._wall)

    def reset(self, habits: object) -> None:
        """Begin with no queue, message, event or fault; connections stay."""
        self.sqs = begun(self.url, msgspec.convert(habits, Habits))
        self.faults.clear()
        self._held = False
        self._parking = Parking(self.sqs)
        self._protocol = Protocol(self.sqs, self._parking, self.faults)
        self._admin = Admin(
            self.sqs, self.faults, connections=lambda: len(self.connections), parked=lambda: self.parked
        )

    def secure(self, cert: Path, key: Path) -> None:
        """Listen on a second port, with TLS."""
        listening = listening_socket(HOST, 0)
        self.secured = TLSPort(listening, lambda: Connection(self.site), server_context(cert, key), PATIENCE)

    def tls_port(self) -> int:
        """Where that one is."""
        assert self.secured is not None
        return self.secured.port

    def advance(self, seconds: float) -> float:
        """Move the clock and return its time."""
        return let_time_pass(self.sqs, self._parking, seconds)

    def hold(self, held: bool) -> None:
        """Keep parked polls from moving the clock, or not."""
        self._held = held

    def held(self, url: str) -> Held:
        """How many entries the tables of a queue have."""
        return held(self.sqs.find(url))

    def allow(self, url: str, max_in_flight: int) -> None:
        """Set how many messages of one queue may be in flight."""
        self.sqs.find(url).max_in_flight = max_in_flight

    def _withdraw(self, parked: Parked) -> object:
        return self._parking.withdraw(parked)

    def _answer(self, request: HTTPRequest, host: str) -> Reply:
        return self._admin.answer(request, host)

    def _wall(self) -> float:
        return self.sqs.clock.wall()

    def _arm(self) -> None:
        """Arm no timer: real time means nothing here."""

    def _call(self, *args: Any, **options: Any) -> Any:
        parked = super()._call(*args, **options)
        if parked is not None and not self._held:
            asyncio.get_running_loop().call_soon(self._until_answered)
        return parked

    def _until_answered(self) -> None:
        while self.parked and (at := self._parking.next()) is not None:
            self.advance(max(0.0, at - self.sqs.clock.lease()))


# What the parent may ask for.
ORDERS: Mapping[str, Callable[..., object]] = {
    "advance": TimedServer.advance,
    "allow": TimedServer.allow,
    "held": TimedServer.held,
    "hold": TimedServer.hold,
    "reset": TimedServer.reset,
    "tls_port": TimedServer.tls_port,
}


def obey(server: TimedServer, ended: Callable[[], None]) -> None:
    """Do what the parent writes; the end of its pipe ends the server."""
    lines = os.read(0, _CHUNK).splitlines()
    if not lines:
        ended()
    for line in lines:
        order, *values = json.loads(line)
        print(json.dumps(ORDERS[order](server, *values)), flush=True)  # noqa: T201 -- the parent reads it


async def main() -> None:
    """Serve on a free port of loopback, print the URL, and obey."""
    ended = asyncio.Event()
    server = TimedServer()
    await server.listen(HOST, 0)
    if len(sys.argv) > 1:
        server.secure(*map(Path, sys.argv[1:]))
    loop = asyncio.get_running_loop()
    loop.add_reader(0, obey, server, ended.set)
    print(server.url, flush=True)  # noqa: T201 -- the parent reads it
    await ended.wait()
    loop.remove_reader(0)
    if server.secured is not None:
        await server.secured.close()
    await server.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
