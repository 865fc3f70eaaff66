"""Fuzz the JSON protocol: sequences of operations with fields of the right names and of any value, in virtual time.

Looks for an exception, for an answer that blames the server, and for books that do not balance.
"""

from __future__ import annotations

import sys
from typing import Any

import atheris

with atheris.instrument_imports(include=["hadoken.local"]):
    from hadoken.clock import VirtualClock
    from hadoken.local.http import protocol
    from hadoken.local.http.protocol import Protocol, Reply
    from hadoken.local.state import requests
    from hadoken.local.state.operations import OPERATIONS
    from hadoken.local.state.parking import Parking
    from hadoken.local.state.queues import Queues

import msgspec
import msgspec.inspect

from tests.fuzz.replies import Failed, check

STEPS = 24
NAMES = ("a", "b.fifo", "dead", "")
TEXTS = (
    "",
    "All",
    ".*",
    "true",
    "false",
    "0",
    "1",
    "30",
    "x" * 81,
    "g",
    "\x00",
    "\ud7ff",
    "String",
    "Number",
    "Binary",
)
KINDS: dict[str, type[msgspec.Struct]] = {
    name: kind for name, kind in vars(requests).items() if name in OPERATIONS and isinstance(kind, type)
}


class World:
    """One local SQS, and what earlier answers gave: URLs, handles, tokens."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.queues = Queues(url="http://sqs.local", clock=self.clock)
        self.parking = Parking(self.queues)
        self.protocol = Protocol(self.queues, self.parking)
        self.known: list[str] = []
        for name in NAMES[:3]:
            fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
            self.call("CreateQueue", msgspec.json.encode({"QueueName": name, "Attributes": fifo}))

    def call(self, operation: str, body: bytes) -> None:
        """Do one operation and judge its answer; a poll that waits is answered as time passes."""
        replies: list[Reply] = []
        self.protocol.call(
            f"{protocol.PREFIX}{operation}", body, client="fuzz", answer=replies.append, alive=lambda: True
        )
        while not replies:
            at = self.parking.next()
            if at is None:
                raise Failed(f"{operation} waits for nothing: {body!r}")
            self.pass_time(max(0.0, at - self.clock.lease()))
        (reply,) = replies
        check(int(reply.status), reply.body)
        if reply.body:
            self._learn(msgspec.json.decode(reply.body))

    def pass_time(self, seconds: float) -> None:
        """Move the clock."""
        self.clock.advance(seconds)
        self.parking.wake(self.clock.lease())

    def balance(self) -> None:
        """Judge the books of every queue."""
        for queue in self.queues:
            if min(queue.visible, queue.in_flight, queue.delayed) < 0 or len(queue) < queue.in_flight + queue.delayed:
                raise Failed(repr(queue))

    def _learn(self, found: object) -> None:
        if isinstance(found, dict):
            for value in found.values():
                self._learn(value)
        elif isinstance(found, list):
            for value in found:
                self._learn(value)
        elif isinstance(found, str):
            self.known = [*self.known[-30:], found]


class Maker:
    """Makes values from the fuzzer's bytes, mostly of the type that is wanted."""

    def __init__(self, data: atheris.FuzzedDataProvider, world: World) -> None:
        self._data = data
        self._world = world

    def request(self, kind: type[msgspec.Struct]) -> dict[str, Any]:
        """An object with some of the fields of a request."""
        made = {}
        for field in msgspec.structs.fields(kind):
            if self._data.ConsumeProbability() < 0.8:
                made[field.encode_name] = self.value(msgspec.inspect.type_info(field.type), field.encode_name)
        return made

    def value(self, kind: msgspec.inspect.Type, name: str, depth: int = 0) -> Any:
        """A value of a type; now and then one of another."""
        if self._data.ConsumeProbability() < 0.03:
            return self._data.PickValueInList([None, 0, "", [], {}, True, 1.5, 10**20])
        if isinstance(kind, msgspec.inspect.UnionType):
            return self.value(kind.types[0], name, depth)
        if isinstance(kind, msgspec.inspect.IntType):
            return self._data.PickValueInList([0, 1, 2, 10, 20, 43_200, -1, self._data.ConsumeIntInRange(-5, 50_000)])
        if isinstance(kind, msgspec.inspect.ListType):
            return [self.value(kind.item_type, name, depth + 1) for _ in range(self._data.ConsumeIntInRange(0, 11))]
        if isinstance(kind, msgspec.inspect.DictType):
            count = self._data.ConsumeIntInRange(0, 3)
            return {self.text(name): self.value(kind.value_type, name, depth + 1) for _ in range(count)}
        if isinstance(kind, msgspec.inspect.StructType):
            return self.request(kind.cls)
        return self.text(name)

    def text(self, name: str) -> str:
        """A string: often one that an earlier answer gave, or that means something for the field."""
        choice = self._data.ConsumeIntInRange(0, 9)
        if choice < 5 and self._world.known:
            return str(self._data.PickValueInList(self._world.known))
        if choice < 7:
            return str(self._data.PickValueInList([*TEXTS, *NAMES]))
        if choice == 7 and name == "Id":
            return str(self._data.ConsumeIntInRange(0, 9))
        return str(self._data.ConsumeUnicodeNoSurrogates(self._data.ConsumeIntInRange(0, 40)))


def one(data: bytes) -> None:
    """Run one sequence of operations."""
    provider = atheris.FuzzedDataProvider(data)
    world = World()
    maker = Maker(provider, world)
    for _ in range(STEPS):
        if provider.remaining_bytes() == 0:
            break
        name = str(provider.PickValueInList(sorted(KINDS)))
        world.call(name, msgspec.json.encode(maker.request(KINDS[name])))
        if provider.ConsumeBool():
            world.pass_time(provider.ConsumeIntInRange(0, 400))
        world.balance()


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
