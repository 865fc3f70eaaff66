"""The local SQS against a model, in virtual time: nothing is lost, nothing is made up, order holds."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from hadoken.errors import SQSUnavailable
from hadoken.local.eventlog import Event, EventLog, What
from hadoken.local.faults import Faults
from hadoken.local.faults import Rule as FaultRule
from hadoken.local.inprocess import LocalSQS
from hadoken.local.order import FifoOrder
from hadoken.local.queue import Queue
from hadoken.local.stored import State, Stored
from hadoken.sqs import api

TIMEOUT = 30
RECEIVES = 4
RETENTION = 300
NAMES = ("a", "b", "c")


class LocalSqsMachine(RuleBasedStateMachine):
    """Sends, receives, deletes, changes and lets time pass on one queue with a dead-letter queue."""

    handles: Bundle[str] = Bundle("handles")

    @initialize(fifo=st.booleans(), delay=st.sampled_from([0, 5]))
    def create(self, fifo: bool, delay: int) -> None:
        """Create the queue under test and its dead-letter queue."""
        self.events: list[Event] = []
        self.local = LocalSQS(log=EventLog(10, on_event=self.events.append))
        suffix = ".fifo" if fifo else ""
        self.local.create_queue("dead" + suffix, {"MessageRetentionPeriod": "1209600"})
        self.dead = self.local.queues.named("dead" + suffix)
        policy = f'{{"deadLetterTargetArn": "{self.dead.arn}", "maxReceiveCount": {RECEIVES}}}'
        attributes = {
            "RedrivePolicy": policy,
            "MessageRetentionPeriod": str(RETENTION),
            "DelaySeconds": str(delay),
            "VisibilityTimeout": str(TIMEOUT),
        }
        self.url = self.local.create_queue("queue" + suffix, attributes)
        self.queue = self.local.queues.named("queue" + suffix)
        self.sent: list[str] = []  # ids in the order of sending
        self.group_of: dict[str, str] = {}
        self.held: dict[str, tuple[str, float]] = {}  # id -> newest handle, time at which it is visible again

    @property
    def now(self) -> float:
        """Seconds of the lease clock."""
        return self.local.clock.lease()

    @rule(names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=10))
    def send(self, names: list[str]) -> None:
        """Send a batch."""
        entries = [
            api.SendEntry(
                "x",
                message_group_id=name if self.queue.settings.fifo else None,
                deduplication_id=f"{len(self.sent)}-{number}" if self.queue.settings.fifo else None,
            )
            for number, name in enumerate(names)
        ]
        answer = self.local.execute(api.SendBatch(self.url, entries))
        assert not answer.failed
        for position, name in enumerate(names):
            self.sent.append(answer.sent[position])
            self.group_of[answer.sent[position]] = name

    @rule(target=handles, limit=st.integers(1, 10), timeout=st.sampled_from([0, 1, TIMEOUT, 400]))
    def receive(self, limit: int, timeout: int) -> str:
        """Receive, and check that it brings what may be received and no more."""
        self.local.advance(0)
        expected = self._receivable()
        answer = self.local.execute(api.Receive(self.url, limit, 20, timeout))
        received = [message.message_id for message in answer.messages]
        assert len(received) <= limit
        assert len(set(received)) == len(received)
        assert set(received) <= set(expected), "an invisible message, or one behind an invisible one"
        if len(received) < limit:
            moved = {event.id for event in self.events if event.what is What.MOVED}
            assert set(expected) - moved == set(received), "something receivable was left although there was room"
        if self.queue.settings.fifo:
            self._check_prefix(received, expected)
        for message in answer.messages:
            assert 1 <= message.receive_count <= RECEIVES
            self.held[message.message_id] = (message.receipt_handle, self.now + timeout)
        return answer.messages[0].receipt_handle if answer.messages else "garbage"

    @rule(handle=handles)
    def delete(self, handle: str) -> None:
        """Delete with any handle ever given out; a FIFO queue takes only one whose lease lasts."""
        holds = any(handle == newest and until > self.now for newest, until in self.held.values())
        gone_before = {event.id for event in self.events if event.what is What.DELETED}
        answer = self.local.execute(api.DeleteBatch(self.url, [handle]))
        deleted = [event.id for event in self.events if event.what is What.DELETED and event.id not in gone_before]
        if holds:
            assert not answer.failed
        elif self.queue.settings.fifo:
            assert [one for one in deleted if one] == [], "a handle that had lost its lease deleted on FIFO"
        for one in deleted:
            self.held.pop(one, None)

    @rule(handle=handles, seconds=st.sampled_from([0, 1, 7, 43_200]))
    def change(self, handle: str, seconds: int) -> None:
        """Change a visibility timeout with any handle ever given out."""
        before = len(self.events)
        answer = self.local.execute(api.ChangeVisibilityBatch(self.url, [(handle, seconds)]))
        changed = [event for event in self.events[before:] if event.what is What.CHANGED]
        assert len(changed) == (0 if answer.failed else 1)
        for event in changed:
            assert not (event.stale and self.queue.settings.fifo)
            newest, _ = self.held.get(event.id, ("", 0))
            self.held[event.id] = (newest, self.now + seconds)

    @rule(seconds=st.sampled_from([1, 5, TIMEOUT, 100]))
    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.local.advance(seconds)
        self.queue.tick(self.now)

    @rule(applied=st.booleans())
    def lose_a_send(self, applied: bool) -> None:
        """Fail one send before or after it is applied: applied or not, the books stay right."""
        self.local.faults = Faults([FaultRule(operation="SendMessageBatch", times=1, code="", applied=applied)])
        before = len(self.queue)
        entry = api.SendEntry("x", message_group_id="a", deduplication_id=f"lost-{len(self.events)}")
        if not self.queue.settings.fifo:
            entry = api.SendEntry("x")
        with pytest.raises(SQSUnavailable) as caught:
            self.local.execute(api.SendBatch(self.url, [entry]))
        assert caught.value.transient
        self.local.faults = Faults()
        assert len(self.queue) == before + applied
        if applied:
            sent = self.events[-1]
            assert sent.what is What.SENT
            self.sent.append(sent.id)
            self.group_of[sent.id] = "a"

    @invariant()
    def nothing_is_lost_or_made_up(self) -> None:
        """Messages sent == stored + deleted + moved + retired, and the counters add up."""
        if not hasattr(self, "queue"):
            return
        ends = Counter(event.what for event in self.events if event.queue == self.queue.name and event.found)
        gone = ends[What.DELETED] + ends[What.MOVED] + ends[What.RETIRED]
        assert ends[What.SENT] == len(self.queue) + gone == len(self.sent)
        assert len(self.dead) == ends[What.MOVED]
        states = Counter(message.state for message in stored(self.queue))
        assert (self.queue.visible, self.queue.in_flight, self.queue.delayed) == (
            states[State.VISIBLE],
            states[State.IN_FLIGHT],
            states[State.DELAYED],
        )

    @invariant()
    def memory_is_bounded(self) -> None:
        """Leftovers of the heaps stay within the messages there are, plus a constant."""
        if hasattr(self, "queue"):
            assert self.queue.leftovers <= 4 * (len(self.queue) + 64)

    def _receivable(self) -> list[str]:
        """What the rules allow to be received now, found the slow way: by looking at every message."""
        blocked: set[str] = set()
        found: list[str] = []
        for message in sorted(stored(self.queue), key=lambda one: one.number):
            name = message.message_group_id or ""
            if self.queue.settings.fifo and name in blocked:
                continue
            if message.state is State.VISIBLE:
                assert self.held.get(message.id, ("", 0.0))[1] <= self.now, "visible though its lease lasts"
                found.append(message.id)
            else:
                blocked.add(name)
        return found

    def _check_prefix(self, received: list[str], expected: list[str]) -> None:
        """Of each message_group_id comes a prefix of what is visible, what went to the dead-letter queue left out."""
        moved = {event.id for event in self.events if event.what is What.MOVED}
        for name in NAMES:
            mine = [one for one in received if self.group_of[one] == name]
            prefix = [one for one in expected if self.group_of[one] == name and one not in moved]
            assert mine == prefix[: len(mine)]


def stored(queue: Queue) -> list[Stored]:
    """All messages of a queue."""
    return list(queue._messages.values())


TestLocalSqs = LocalSqsMachine.TestCase


def test_40000_messages_leave_the_tables_empty() -> None:
    """After many messages went through nothing is left, on standard and FIFO queues."""
    for name in ("queue", "queue.fifo"):
        local = LocalSQS(log=EventLog(10))
        url = local.create_queue(name)
        group = {"message_group_id": "g"} if name.endswith(".fifo") else {}
        for number in range(2_000):
            entries = [
                api.SendEntry("x", **group, deduplication_id=f"{number}-{position}" if group else None)
                for position in range(10)
            ]
            local.execute(api.SendBatch(url, entries))
            received = local.execute(api.Receive(url, 10, 0, 43_200))
            answer = local.execute(api.DeleteBatch(url, [one.receipt_handle for one in received.messages]))
            assert len(received.messages) == 10
            assert not answer.failed
        queue = local.queues.named(name)
        assert len(queue) == 0
        assert queue.leftovers <= 2 * 64
        assert not queue.ready()
        if isinstance(queue.order, FifoOrder):
            assert len(queue.order) == 0
