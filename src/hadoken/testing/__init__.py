"""The testing kit: an app's handlers on the real engine, against a local SQS in memory, in virtual time.

`worker(app)` runs an app, `perform(handler, body)` runs one handler on one message. As a pytest plugin, which is there
wherever hadoken is installed, it brings the fixtures `fake_sqs`, `worker` and `nothing_left`. docs/testing.md shows all
of it at work.

- `driven`: the worker a test drives; `virtual_time`: how its time moves; `runs`: what handlers did;
  `hanging`: what they do instead of returning.
- `fake_sqs`: the local SQS of a test; `looking`: what was sent to it and what lies in it.
- `performing`: one handler, without a queue.
- `leftovers`, `leak_check`, `waiting`: what a test leaves behind.
- `plugin`: the fixtures. `spans`: "31s".
"""

# The front door names every room, for type checkers only: no cycle at run time.
# pyright: reportImportCycles=false
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hadoken.local.faults import Faults, Rule
    from hadoken.testing.doors import StartWorker, worker
    from hadoken.testing.driven import DrivenWorker
    from hadoken.testing.fake_sqs import FakeSQS
    from hadoken.testing.looking import Sent
    from hadoken.testing.performing import perform
    from hadoken.testing.runs import Run

# Where each name lives. Loaded at first use: pytest loads the plugin in every project that has hadoken installed.
_HOMES: Final = {
    "DrivenWorker": "testing.driven",
    "FakeSQS": "testing.fake_sqs",
    "Faults": "local.faults",
    "Rule": "local.faults",
    "Run": "testing.runs",
    "Sent": "testing.looking",
    "StartWorker": "testing.doors",
    "perform": "testing.performing",
    "worker": "testing.doors",
}

__all__ = ["DrivenWorker", "FakeSQS", "Faults", "Rule", "Run", "Sent", "StartWorker", "perform", "worker"]


# Hidden from type checkers: else a misspelt name would pass as whatever `__getattr__` gives.
if not TYPE_CHECKING:  # pragma: no branch -- always so at run time

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module 'hadoken.testing' has no attribute {name!r}")
        value: object = getattr(importlib.import_module(f"hadoken.{home}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
