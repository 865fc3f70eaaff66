"""Ports of the loopback interface for tests."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager


def free_port() -> int:
    """A port where nobody listens now. Another process may take it: a server that can be told port 0 should be."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
