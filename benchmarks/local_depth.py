"""What a call costs the local SQS with much in store, against a queue that holds nothing else.

    python -m benchmarks.local_depth [BLOCKS]

Two queues of a kind are filled: one with 100,000 messages waiting and 10,000 in flight, one with nothing. Then calls on
both alternate, ten messages at a time, so that whatever disturbs the machine disturbs both. Only CPU time is measured,
of the operations alone: no HTTP, no JSON. Prints median and range for each operation in microseconds, and the ratio of
the medians; exits with 1 if one is above 1.5.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from hadoken.clock import VirtualClock
from hadoken.local.state import messages, requests
from hadoken.local.state.eventlog import EventLog
from hadoken.local.state.poll import Poll
from hadoken.local.state.queues import Queues

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
WAITING = 100_000
IN_FLIGHT = 10_000
TEN = 10
BODY = "x" * 200
MOST = 1.5  # times the cost on an empty queue
BLOCK = 100  # calls of each operation between two changes of the queue
BLOCKS = 15
CLIENT = "benchmark"
LONG = 43_200
OPERATIONS = ("SendMessageBatch", "ReceiveMessage", "ChangeMessageVisibilityBatch", "DeleteMessageBatch")


class Kind(NamedTuple):
    """One kind of queue: its name, and the message_group_id of the n-th batch of ten that waits, None on standard."""

    name: str
    group: Callable[[int], str | None]


KINDS = (
    Kind("standard", lambda _: None),
    Kind("many-groups.fifo", lambda number: f"w{number}"),
    Kind("one-group.fifo", lambda _: "w"),
)


class Bench:
    """One queue, called ten messages at a time."""

    def __init__(self, kind: Kind, *, deep: bool) -> None:
        self.kind = kind
        self.queues = Queues(clock=VirtualClock(), log=EventLog(1_000))
        fifo = {"FifoQueue": "true"} if kind.name.endswith(".fifo") else {}
        self.url = self.queues.create_queue(
            requests.CreateQueue(queue_name=kind.name, attributes=fifo), CLIENT
        ).queue_url
        self._sent = 0
        self.spent: defaultdict[str, float] = defaultdict(float)
        if deep:
            self._fill()

    def send(self, group: str | None) -> None:
        """Send ten messages."""
        entries = []
        for position in range(TEN):
            self._sent += 1
            own = None if group is None else str(self._sent)
            entries.append(
                requests.SendEntry(
                    id=str(position), message_body=BODY, message_group_id=group, message_deduplication_id=own
                )
            )
        request = requests.SendMessageBatch(queue_url=self.url, entries=entries)
        self._timed("SendMessageBatch", lambda: messages.send_message_batch(self.queues, request, CLIENT))

    def receive(self) -> list[str]:
        """Receive ten messages and give back their handles."""
        request = requests.ReceiveMessage(
            queue_url=self.url,
            max_number_of_messages=TEN,
            visibility_timeout=LONG,
            message_system_attribute_names=["All"],
            message_attribute_names=["All"],
        )
        answer = self._timed("ReceiveMessage", lambda: Poll(self.queues, request, CLIENT).take())
        return [one.receipt_handle for one in answer.messages]

    def change(self, handles: list[str]) -> None:
        """Extend ten messages."""
        entries = [
            requests.ChangeEntry(id=str(at), receipt_handle=one, visibility_timeout=600)
            for at, one in enumerate(handles)
        ]
        request = requests.ChangeMessageVisibilityBatch(queue_url=self.url, entries=entries)
        change = messages.change_message_visibility_batch
        self._timed("ChangeMessageVisibilityBatch", lambda: change(self.queues, request, CLIENT))

    def delete(self, handles: list[str]) -> None:
        """Delete ten messages."""
        entries = [requests.DeleteEntry(id=str(at), receipt_handle=one) for at, one in enumerate(handles)]
        request = requests.DeleteMessageBatch(queue_url=self.url, entries=entries)
        self._timed("DeleteMessageBatch", lambda: messages.delete_message_batch(self.queues, request, CLIENT))

    def round(self, number: int) -> None:
        """Send ten messages, receive ten, extend and delete them: as much is in store as before."""
        self.send(self.kind.group(WAITING + number))
        handles = self.receive()
        if len(handles) != TEN:
            raise RuntimeError(f"{self.kind.name}: {len(handles)} messages received instead of {TEN}")
        self.change(handles)
        self.delete(handles)

    def _fill(self) -> None:
        for number in range(IN_FLIGHT // TEN):
            self.send(None if self.kind.group(0) is None else f"f{number}")
            self.receive()
        for number in range(WAITING // TEN):
            self.send(self.kind.group(number))
        self.spent.clear()

    def _timed(self, operation: str, act: Callable[[], T]) -> T:
        begin = time.process_time_ns()
        found = act()
        self.spent[operation] += (time.process_time_ns() - begin) / 1_000
        self.queues.touched.clear()  # as the parking does
        return found


def costs(kind: Kind, blocks: int) -> dict[str, tuple[list[float], list[float]]]:
    """Microseconds a call, one number a block, by operation: with nothing in store, and with much."""
    shallow, deep = Bench(kind, deep=False), Bench(kind, deep=True)
    found: dict[str, tuple[list[float], list[float]]] = {one: ([], []) for one in OPERATIONS}
    number = 0
    for block in range(blocks + 1):
        for place, bench in enumerate((shallow, deep)):
            bench.spent.clear()
            for turn in range(BLOCK):
                bench.round(number + turn)
            for operation in OPERATIONS if block else ():  # the first block warms up
                found[operation][place].append(bench.spent[operation] / BLOCK)
        number += BLOCK
    return found


def main(blocks: int) -> int:
    """Print the table of all kinds; 1 if a cost grows too much with what is stored."""
    print(f"CPU us for ten messages, median (range) of {blocks} blocks of {BLOCK} calls")
    print(f"{'queue':18}{'operation':30}{'empty':>22}{f'{WAITING:,} + {IN_FLIGHT:,}':>24}{'ratio':>8}")
    worst = 0.0
    for kind in KINDS:
        for operation, (shallow, deep) in costs(kind, blocks).items():
            ratio = statistics.median(deep) / statistics.median(shallow)
            worst = max(worst, ratio)
            print(f"{kind.name:18}{operation:30}{shown(shallow):>22}{shown(deep):>24}{ratio:8.2f}")
        gc.collect()
    print(f"worst ratio {worst:.2f}; at most {MOST} is wanted")
    return int(worst > MOST)


def shown(numbers: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(numbers):.0f} ({min(numbers):.0f}-{max(numbers):.0f})"


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else BLOCKS))
