"""A strict SQS for development and tests, in this process or as a small server.

Three rooms, from the inside out:

- `state`: what SQS is asked, what it keeps, what it says.
- `faults`, `faultscript`, `failing`, `logfile`, `store`: what every door can do with it: fail on demand, write down
  what happened, keep it in a data file.
- the doors: `inprocess` with `translate` (behind `sqs.api`, with a virtual clock), `http` (any SDK), and `serving`,
  `child`, `finding`, `provision` (that server for a block, as a child, found again, with the queues of an app).

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
