"""The data file against the memory: whatever was done before a restart, everything is as it was after it."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from hadoken.clock import VirtualClock
from hadoken.local.state import messages, requests, tags
from hadoken.local.state.poll import Poll
from hadoken.local.state.queue import Queue
from hadoken.local.state.queues import Queues
from hadoken.local.state.refusals import Refusal
from hadoken.local.state.stored import Stored
from hadoken.local.store import Store

CLIENT = "test"
RETENTION = 600
NAMES = ("plain", "ordered.fifo")
DEAD = {"plain": "dead", "ordered.fifo": "dead.fifo"}


def of_message(queue: Queue, message: Stored) -> dict[str, Any]:
    """All that makes a message, times rounded to what survives a sum of floats; its neighbours belong to the order."""
    found = {name: getattr(message, name) for name in Stored.__slots__ if name not in {"before", "after"}}
    until = queue.until(message)
    return {
        **found,
        "attributes": dict(message.attributes),
        "kept_from": round(message.kept_from, 3),
        "received_at": round(message.received_at, 3),
        "until": None if until is None else round(until, 3),
    }


def of_queue(queue: Queue) -> dict[str, Any]:
    """All that makes a queue, and what a receive would find, on a FIFO queue in its order."""
    candidates = [message.number for message in queue.order.candidates(1_000)]
    sends = queue.deduplication._sends
    return {
        "number": queue.number,
        "attributes": queue.configured.attributes(),
        "tags": queue.tags,
        "stamps": (queue.created, queue.modified, queue.last_number),
        "counts": queue.counts(),
        "messages": [of_message(queue, message) for message in queue.messages],
        "candidates": sorted(candidates),
        "sends": [(key, round(until, 3), accepted) for key, (until, accepted) in sends.items()],
    }


def snapshot(queues: Queues) -> dict[str, Any]:
    """Everything that must outlive a restart."""
    now = queues.clock.lease()
    for queue in queues:
        queue.tick(now)
    return {
        "key": queues.handles.key,
        "last_number": queues.last_number,
        "names": list(queues._names),
        "queues": {queue.name: of_queue(queue) for queue in queues},
    }


class Restarts(RuleBasedStateMachine):
    """Does what clients do on two queues with dead-letter queues, and restarts in between."""

    handles: Bundle[tuple[str, str]] = Bundle("handles")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = VirtualClock()
        self.sent = 0
        self.eager = False
        self._start()

    def teardown(self) -> None:
        """Close the file and remove it."""
        self.store.close()
        self.folder.cleanup()

    def _start(self) -> None:
        self.store = Store(Path(self.folder.name) / "data", self.clock)
        self.queues = Queues(clock=self.clock, witness=self.store)
        self.store.load(self.queues)

    def url(self, name: str) -> str:
        """Of a queue."""
        return f"{self.queues.url}/000000000000/{name}"

    @initialize(eager=st.booleans())
    def create(self, eager: bool) -> None:
        """Create the queues; an eager store is flushed after every step, as the server does it."""
        self.eager = eager
        for name in NAMES:
            fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
            arn = f"arn:aws:sqs:us-east-1:000000000000:{DEAD[name]}"
            policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 2})
            self._create(DEAD[name], fifo)
            self._create(name, {**fifo, "RedrivePolicy": policy, "MessageRetentionPeriod": str(RETENTION)})

    def _create(self, name: str, attributes: dict[str, str]) -> None:
        self.queues.create_queue(
            requests.CreateQueue(queue_name=name, attributes=attributes, tags={"made": name}), CLIENT
        )

    @rule(
        name=st.sampled_from(NAMES), group=st.sampled_from("ab"), own=st.integers(0, 4), delay=st.sampled_from([0, 5])
    )
    def send(self, name: str, group: str, own: int, delay: int) -> None:
        """Send one message; on the FIFO queue often one that was sent before."""
        self.sent += 1
        fifo = name.endswith(".fifo")
        value = requests.AttributeValue(data_type="Binary", binary_value=bytes([self.sent % 256, 0]))
        request = requests.SendMessage(
            queue_url=self.url(name),
            message_body=f"{self.sent} ✓",
            delay_seconds=None if fifo else delay,
            message_attributes={"number": value} if self.sent % 2 else None,
            message_system_attributes={
                "AWSTraceHeader": requests.AttributeValue(data_type="String", string_value="trace")
            },
            message_group_id=group if fifo else None,
            message_deduplication_id=str(own) if fifo else None,
        )
        messages.send_message(self.queues, request, CLIENT)

    @rule(
        target=handles,
        name=st.sampled_from([*NAMES, *DEAD.values()]),
        limit=st.integers(1, 10),
        timeout=st.sampled_from([0, 5, 400]),
    )
    def receive(self, name: str, limit: int, timeout: int) -> tuple[str, str]:
        """Receive; what had its receives moves to the dead-letter queue."""
        request = requests.ReceiveMessage(
            queue_url=self.url(name), max_number_of_messages=limit, visibility_timeout=timeout
        )
        found = Poll(self.queues, request, CLIENT).take().messages
        return name, found[0].receipt_handle if found else "garbage"

    @rule(handle=handles)
    def delete(self, handle: tuple[str, str]) -> None:
        """Delete by a handle, perhaps one from before a restart."""
        name, text = handle
        request = requests.DeleteMessage(queue_url=self.url(name), receipt_handle=text)
        self._try(lambda: messages.delete_message(self.queues, request, CLIENT))

    @rule(handle=handles, seconds=st.sampled_from([0, 7, 300]))
    def change(self, handle: tuple[str, str], seconds: int) -> None:
        """Change a visibility timeout by a handle, perhaps one from before a restart."""
        name, text = handle
        request = requests.ChangeMessageVisibility(
            queue_url=self.url(name), receipt_handle=text, visibility_timeout=seconds
        )
        self._try(lambda: messages.change_message_visibility(self.queues, request, CLIENT))

    @rule(name=st.sampled_from(NAMES), delay=st.integers(0, 3))
    def configure(self, name: str, delay: int) -> None:
        """Change an attribute and the tags."""
        attributes = {"DelaySeconds": str(delay), "VisibilityTimeout": "17"}
        self.queues.set_queue_attributes(
            requests.SetQueueAttributes(queue_url=self.url(name), attributes=attributes), CLIENT
        )
        tags.tag_queue(self.queues, requests.TagQueue(queue_url=self.url(name), tags={"delay": str(delay)}), CLIENT)
        tags.untag_queue(self.queues, requests.UntagQueue(queue_url=self.url(name), tag_keys=["made"]), CLIENT)

    @rule(name=st.sampled_from(NAMES))
    def purge(self, name: str) -> None:
        """Purge a queue."""
        request = requests.PurgeQueue(queue_url=self.url(name))
        self._try(lambda: self.queues.purge_queue(request, CLIENT))

    @rule()
    def recreate(self) -> None:
        """Delete a queue and create another of its name, which old handles do not fit."""
        self.queues.delete_queue(requests.DeleteQueue(queue_url=self.url("plain")), CLIENT)
        self._create("plain", {"MessageRetentionPeriod": str(RETENTION)})

    @rule(seconds=st.sampled_from([0.5, 6.0, 130.0, 301.0]))
    def wait(self, seconds: float) -> None:
        """Let time pass while the server runs: delays, leases, retention, deduplication."""
        self.clock.advance(seconds)

    @invariant()
    def flush(self) -> None:
        """Write in between, so that later changes meet rows and not notes."""
        if self.eager:
            self.store.flush()

    @rule(down=st.sampled_from([0.0, 6.0, 301.0]))
    def restart(self, down: float) -> None:
        """End the server, let time pass without it, start it again: nothing but time has changed it."""
        self.store.close()
        self.clock.advance(down)
        before, old = snapshot(self.queues), self.queues
        self._start()
        assert self.queues is not old
        assert snapshot(self.queues) == before

    @invariant()
    def numbers_grow(self) -> None:
        """No two queues share a number, and no message has one beyond its queue's last."""
        numbers = [queue.number for queue in self.queues]
        assert len(set(numbers)) == len(numbers)
        for queue in self.queues:
            assert all(message.number <= queue.last_number for message in queue.messages)

    def _try(self, act: Any) -> None:
        """Do what may be refused: a handle may be old."""
        with contextlib.suppress(Refusal):
            act()


TestRestarts = Restarts.TestCase
