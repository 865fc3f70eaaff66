"""The local SQS against a model, in virtual time: nothing is lost, nothing is made up, order holds."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from hadoken.errors import SQSUnavailable
from hadoken.local.faults import Faults
from hadoken.local.faults import Rule as FaultRule
from hadoken.local.inprocess import LocalSQS
from hadoken.local.state.deduplication import INTERVAL
from hadoken.local.state.eventlog import Event, EventLog, What
from hadoken.local.state.order import FifoOrder
from hadoken.local.state.queue import Queue
from hadoken.local.state.stored import State, Stored
from hadoken.sqs import api

TIMEOUT = 30
RECEIVES = 4
RETENTION = 300
NAMES = ("a", "b", "c")
HARMLESS = {What.REPEATED, What.DUPLICATE}  # what leaves the messages of a receive attempt as they were
MANY = 20  # messages sent before a purge may come: most examples go on without


class Attempt(NamedTuple):
    """What a receive attempt brought.

    Attributes:
        received: ids and handles.
        until: when it can no longer be repeated.
        first: how many events there were; those after it tell what happened to its messages.
    """

    received: list[tuple[str, str]]
    until: float
    first: int


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
        self.keys: dict[str, tuple[str, float]] = {}  # FIFO: deduplication id -> first id, time of its send
        self.attempts: dict[str, Attempt] = {}

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
            self._note(answer.sent[position], name, entries[position].deduplication_id)

    @precondition(lambda self: bool(self.keys))
    @rule(pick=st.integers(0, 1_000), name=st.sampled_from(NAMES))
    def send_again(self, pick: int, name: str) -> None:
        """Send twice under a deduplication id used before: the first message for five minutes, then one new one."""
        key = list(self.keys)[pick % len(self.keys)]
        first, at = self.keys[key]
        entry = api.SendEntry("again", message_group_id=name, deduplication_id=key)
        answer = self.local.execute(api.SendBatch(self.url, [entry, entry]))
        assert answer.sent[0] == answer.sent[1]
        if self.now < at + INTERVAL:
            assert answer.sent[0] == first
        else:
            assert answer.sent[0] not in self.sent
            self._note(answer.sent[0], name, key)

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

    @rule(
        target=handles,
        name=st.sampled_from(("one", "two")),
        limit=st.integers(1, 10),
        timeout=st.sampled_from([0, 1, TIMEOUT, 400]),
    )
    def receive_by_attempt(self, name: str, limit: int, timeout: int) -> str:
        """Receive under an attempt id: again what it brought if nothing happened to that, else an ordinary receive."""
        self.local.advance(0)
        self.queue.tick(self.now)
        before = self._repeatable(name, limit)
        first = len(self.events)
        answer = self.local.execute(api.Receive(self.url, limit, 20, timeout, name))
        received = [(message.message_id, message.receipt_handle) for message in answer.messages]
        repeated = [event.id for event in self.events[first:] if event.what is What.REPEATED]
        if before:
            assert received == before
            assert repeated == [message_id for message_id, _ in before]
        else:
            assert not repeated
            assert not {handle for _, handle in received} & {handle for handle, _ in self.held.values()}
        if not before:
            self.attempts.pop(name, None)
        if not timeout or not self.queue.settings.fifo:
            self.attempts.pop(name, None)
        elif received and not before:
            self.attempts[name] = Attempt(received, self.now + INTERVAL, len(self.events))
        for message_id, handle in received:
            self.held[message_id] = (handle, self.now + timeout)
        return received[0][1] if received else "garbage"

    @precondition(lambda self: len(self.sent) > MANY)
    @rule()
    def purge(self) -> None:
        """Drop everything, what is remembered too."""
        self.queue.purge("")
        assert len(self.queue) == len(self.queue.deduplication) == len(self.queue.attempts) == 0
        self.held.clear()
        self.keys.clear()
        self.attempts.clear()

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
            self._note(sent.id, "a", entry.deduplication_id)

    @invariant()
    def nothing_is_lost_or_made_up(self) -> None:
        """Messages sent == stored + deleted + moved + retired + purged, and the counters add up."""
        if not hasattr(self, "queue"):
            return
        ends = Counter(event.what for event in self.events if event.queue == self.queue.name and event.found)
        gone = ends[What.DELETED] + ends[What.MOVED] + ends[What.RETIRED] + ends[What.PURGED]
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
            assert len(self.queue.attempts) <= self.queue.in_flight
            self.queue.tick(self.now)
            remembered = sum(self.now < at + INTERVAL for _, at in self.keys.values())
            assert len(self.queue.deduplication) == (remembered if self.queue.settings.fifo else 0)

    def _note(self, message_id: str, name: str, key: str | None) -> None:
        """Note a message that was sent."""
        self.sent.append(message_id)
        self.group_of[message_id] = name
        if key is not None:
            self.keys[key] = (message_id, self.now)

    def _repeatable(self, name: str, limit: int) -> list[tuple[str, str]]:
        """What an attempt must bring again: nothing if anything happened to a message of it, or it is too old."""
        attempt = self.attempts.get(name)
        if attempt is None or self.now >= attempt.until or len(attempt.received) > limit:
            return []
        mine = {message_id for message_id, _ in attempt.received}
        touched = {event.id for event in self.events[attempt.first :] if event.what not in HARMLESS}
        return [] if mine & touched else attempt.received

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
    return queue.messages


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
