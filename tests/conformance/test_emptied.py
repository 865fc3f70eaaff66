from __future__ import annotations

import gc
import os
from typing import Any

import pytest

from hadoken.clock import VirtualClock
from hadoken.local.state import messages, requests
from hadoken.local.state.deduplication import INTERVAL
from hadoken.local.state.eventlog import EventLog
from hadoken.local.state.order import FifoOrder
from hadoken.local.state.poll import Poll
from hadoken.local.state.profile import AWS, HARSH, Profile
from hadoken.local.state.queue import Queue
from hadoken.local.state.queues import Queues
from hadoken.local.state.stored import Stored
from tests.support.ours import Ours

CLIENT = "test"
GROUPS = 7
LEFTOVERS = 2 * 64  # see Deadlines: a constant, whatever went through
LONGEST = 100  # rounds in a row that bring nothing, though something is there


class Stream:
    """A queue through which messages pass, a few hundred at a time."""

    def __init__(self, name: str, profile: Profile) -> None:
        self.clock = VirtualClock()
        self.queues = Queues(clock=self.clock, log=EventLog(100), profile=profile, seed=1)
        fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        asked = requests.CreateQueue(queue_name=name, attributes=fifo)
        self.url = self.queues.create_queue(asked, CLIENT).queue_url
        self.sent = 0

    @property
    def queue(self) -> Queue:
        """The queue, with everything due done."""
        return self.queues.find(self.url)

    def send(self) -> None:
        """Send ten messages."""
        entries = []
        for position in range(10):
            self.sent += 1
            group = {"message_group_id": str(self.sent % GROUPS), "message_deduplication_id": str(self.sent)}
            own = group if self.queue.settings.fifo else {}
            entries.append(requests.SendEntry(id=str(position), message_body="x", **own))
        messages.send_message_batch(self.queues, requests.SendMessageBatch(queue_url=self.url, entries=entries), CLIENT)

    def receive(self) -> list[str]:
        """Receive up to ten messages under an attempt id, which a standard queue ignores; gives their handles."""
        request = requests.ReceiveMessage(
            queue_url=self.url, max_number_of_messages=10, receive_request_attempt_id=f"attempt-{self.sent}"
        )
        return [one.receipt_handle for one in Poll(self.queues, request, CLIENT).take().messages]

    def delete(self, handles: list[str]) -> None:
        """Delete messages."""
        entries = [requests.DeleteEntry(id=str(at), receipt_handle=one) for at, one in enumerate(handles)]
        if entries:
            request = requests.DeleteMessageBatch(queue_url=self.url, entries=entries)
            messages.delete_message_batch(self.queues, request, CLIENT)

    def run(self, count: int) -> None:
        """Let `count` messages pass, one second for each batch, and then what has to end by itself."""
        while self.sent < count:
            self.send()
            self.delete(self.receive())
            self.clock.advance(1)
        nothing = 0
        while self.queue.next_change() is not None or len(self.queue):
            handles = self.receive()
            nothing = 0 if handles else nothing + 1
            assert nothing < LONGEST, f"{self.queue} brings nothing"
            self.delete(handles)
            self.clock.advance(1 if handles else 10)
        self.clock.advance(INTERVAL)
        self.queues.touched.clear()


def alive() -> int:
    """How many messages anything in this process holds; other tests may."""
    gc.collect()
    return sum(isinstance(one, Stored) for one in gc.get_objects())


def check_empty(stream: Stream, before: int) -> None:
    """Check that nothing is held that a new queue does not hold, by whatever name."""
    queue = stream.queue
    assert len(queue) == queue.in_flight == queue.delayed == 0
    assert len(queue.deduplication) == len(queue.attempts) == 0
    assert queue.leftovers <= LEFTOVERS
    assert not queue.ready()
    if isinstance(queue.order, FifoOrder):
        assert len(queue.order) == 0
    assert alive() <= before, "a message is still held"


@pytest.mark.parametrize("profile", [AWS, HARSH], ids=["aws", "harsh"])
@pytest.mark.parametrize("name", ["queue", "queue.fifo"])
def test_67_after_many_messages_the_tables_are_empty(name: str, profile: Profile) -> None:
    """After many messages the tables are empty, those of deduplication and attempts after five minutes."""
    before = alive()
    stream = Stream(name, profile)
    stream.run(20_000)
    check_empty(stream, before)


@pytest.mark.parametrize("fifo", [False, True])
def test_67_and_so_they_are_behind_a_door(ours: Ours, fifo: bool) -> None:
    """So they are behind a door, where some are sent twice, some released and some lose their lease before the end."""
    url = ours.queue({"VisibilityTimeout": "5"}, fifo=fifo)
    for number in range(50):
        group = {"MessageGroupId": str(number % GROUPS)} if fifo else {}
        own = [{**group, "MessageDeduplicationId": f"{number}-{at // 2}"} if fifo else group for at in range(10)]
        entries = [{"Id": str(at), "MessageBody": "x", **one} for at, one in enumerate(own)]
        ours.client.send_message_batch(QueueUrl=url, Entries=entries)
        received = ours.receive(url, ReceiveRequestAttemptId=f"attempt-{number}")
        for message in received[:2]:
            ours.change(url, message, 0)
        delete_all(ours, url, received[4:])  # two lose their lease
    assert ours.held(url).messages > 100
    nothing = 0
    while ours.held(url).messages:
        received = ours.receive(url)
        delete_all(ours, url, received)
        nothing = 0 if received else nothing + 1
        assert nothing < LONGEST, "the queue brings nothing"
        ours.advance(1)
    ours.advance(INTERVAL)
    empty = ours.held(url)
    assert empty == (0, 0, 0, empty.leftovers, False)
    assert empty.leftovers <= LEFTOVERS


def delete_all(ours: Ours, url: str, messages: list[dict[str, Any]]) -> None:
    """Delete messages by one call, none by none."""
    entries = [{"Id": str(at), "ReceiptHandle": one["ReceiptHandle"]} for at, one in enumerate(messages)]
    if entries:
        assert "Failed" not in ours.client.delete_message_batch(QueueUrl=url, Entries=entries)


@pytest.mark.soak
@pytest.mark.skipif(os.environ.get("HADOKEN_SOAK") != "1", reason="a minute of load; set HADOKEN_SOAK=1")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["queue", "queue.fifo"])
def test_67_after_a_million_messages_the_tables_are_empty(name: str) -> None:
    """After a million messages the tables are empty."""
    before = alive()
    stream = Stream(name, AWS)
    stream.run(1_000_000)
    check_empty(stream, before)


def test_67_what_is_held_meanwhile_is_what_was_sent_in_five_minutes() -> None:
    """However many went through, the memory of deduplication holds the last five minutes and no more."""
    stream = Stream("queue.fifo", AWS)
    held = []
    for _ in range(2_000):
        stream.send()
        stream.delete(stream.receive())
        stream.clock.advance(1)
        held.append(len(stream.queue.deduplication))
    assert max(held) <= 10 * INTERVAL
    assert len(stream.queue.attempts) == 0
