"""What a measured program is asked to do: one JSON document on its command line."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import Any, Self

QUEUE = "orders"  # the name of a queue ends with _ and this: some frameworks write that part into their messages
WARM = 10  # messages sent before the cost of sending is measured: the connection is made, the models are loaded
LONGEST = 180  # seconds after which a measured program ends by itself, whatever became of its parent


@dataclass(frozen=True, slots=True)
class Job:
    """One run.

    Attributes:
        mode: "work" handles messages; "send" sends them one by one, "send many" by the framework's batches.
        endpoint: URL of the server.
        queues: names; all exist.
        urls: of the same queues.
        messages: how many are handled before the probe reports, or sent; 0 where none is expected.
        seconds: how long each handler sleeps; 0 for no-op.
        log: whether each message writes one line of JSON to a log file (/dev/null).
        starts: whether the report names the start of every message.
        concurrency: handlers at once.
        transport: "" for a contender that has no choice.
        ca: file of the certificate authority that signed the server's certificate; "" without TLS.
        size: bytes of a body that is sent.
        wait_time: seconds of a long poll.
    """

    mode: str
    endpoint: str
    queues: list[str]
    urls: list[str]
    messages: int
    seconds: float = 0.0
    log: bool = False
    starts: bool = False
    concurrency: int = 10
    transport: str = ""
    ca: str = ""
    size: int = 200
    wait_time: int = 20

    @property
    def queue(self) -> str:
        """The name of the first queue."""
        return self.queues[0]

    @property
    def url(self) -> str:
        """The URL of the first queue."""
        return self.urls[0]

    @classmethod
    def of_command_line(cls) -> Self:
        """The job that the parent asks for."""
        return cls(**json.loads(sys.argv[1]))

    def word(self) -> str:
        """The same as a word of a command line."""
        return json.dumps(asdict(self))


def body(number: int, size: int = 200) -> dict[str, Any]:
    """A small order; as compact JSON it has `size` bytes, a few less where that is less than the fields need."""
    order = {
        "n": number,
        "customer": f"customer-{number % 97:05}",
        "items": [{"sku": "A-1001", "quantity": 2}],
        "note": "",
    }
    order["note"] = "x" * (size - len(json.dumps(order, separators=(",", ":"))))
    return order
