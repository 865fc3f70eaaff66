"""A strict SQS for development and tests, in this process or as a small server.

The map, from the inside out:

- `deadlines`, `handles`, `digests`, `eventlog`: the tools.
- `stored`, `order`, `queue`: one queue: its messages, their order, their life from sent to gone.
- `requests`, `answers`, `refusals`, `checks`, `settings`, `redrive`: what SQS is asked, what it says, what it refuses.
- `queues`, `messages`, `poll`, `counters`: the operations on queues and on messages; no HTTP, no real clock, no loop.
- `pages`, `tags`, `permissions`, `movetasks`: more operations on queues; `moves`: what a move task does with time.
- `parking`: long polls, parked until something can be received.
- `protocol`, `http`, `server`: AWS JSON 1.0 over HTTP; an unmodified boto3 client talks to it.
- `replies`, `admin`: its answers as bytes, spoilt where a fault wants it; its private addresses.
- `child`, `serving`, `finding`, `provision`: that server as a child of a worker or for a block, found again by others,
  with the queues of an app.
- `faults`, `faultscript`, `failing`, `logfile`: what is made to fail, for all doors; what happened, as JSON lines.
- `translate`, `inprocess`: the same state behind `sqs.api`, with a virtual clock and calls that fail as told.
- `witness`, `store`, `sigv4`: by option: who is told of changes, a data file that keeps them, signatures verified.

It holds everything in memory unless a data file is named, and is never a production broker.
"""

# The front door names a room, for type checkers only: no cycle at run time.
# pyright: reportImportCycles=false
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hadoken.local.serving import serve

__all__ = ["serve"]


def __getattr__(name: str) -> object:
    """Load `serve` at first use: whoever imports one part needs not all others (PEP 562)."""
    if name == "serve":
        return importlib.import_module("hadoken.local.serving").serve
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
