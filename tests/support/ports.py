"""Ports of the loopback interface for tests."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager

# Below the range from which Linux gives out ports by itself (ip_local_port_range, from 32768), so that a server that is
# told port 0 cannot get one of these.
_OURS = range(20_000, 30_000)


def free_port() -> int:
    """A port where nobody listens now, for a program that cannot be told port 0; drawn, so that two hardly meet."""
    draw = random.SystemRandom()  # not the tests' own source: it is seeded alike in every test process
    while True:
        port = draw.choice(_OURS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:  # taken
                continue
            return port


@contextmanager
def refusing_port() -> Iterator[int]:
    """A port that refuses connections for as long as the block lasts: bound, so that nobody else gets it, but deaf."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never answers, for as long as the block lasts."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        yield int(listener.getsockname()[1])
