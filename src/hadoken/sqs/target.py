"""Where an endpoint's URL leads: what to connect to, and what to name in a request's head."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit


class Target(NamedTuple):
    """Where a URL leads: `host` and `port` to connect to, `name` for the Host header, `path` with its query."""

    tls: bool
    host: str
    port: int
    name: str
    path: str


@lru_cache(maxsize=64)
def target_of(url: str) -> Target:
    """Take a URL apart."""
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    usual = 443 if tls else 80
    host = parts.hostname or ""
    port = parts.port or usual
    shown = f"[{host}]" if ":" in host else host
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(tls, host, port, shown if port == usual else f"{shown}:{port}", path)
