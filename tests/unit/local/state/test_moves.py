from __future__ import annotations

import asyncio
import json

import pytest

from hadoken.clock import VirtualClock
from hadoken.local.http import server
from hadoken.local.inprocess import LocalSQS
from hadoken.local.state import messages, movetasks, requests
from hadoken.local.state.answers import ReceiveMessage
from hadoken.local.state.parking import Parking
from hadoken.local.state.poll import Poll
from hadoken.local.state.queues import Queues
from hadoken.sqs.api import Receive
from tests.support.waiting import GLOBAL


class Rig:
    """A dead-letter queue "d" of "q", a destination "t", and a clock.

    Args:
        queues: those of another door; new ones by default.
    """

    def __init__(self, queues: Queues | None = None) -> None:
        self.clock = VirtualClock()
        self.queues = queues or Queues(clock=self.clock)
        self.parking = Parking(self.queues)
        self.found: list[list[str]] = []
        for name in "dt":
            self.create(name)
        policy = {"deadLetterTargetArn": self.queues.named("d").arn, "maxReceiveCount": 1}
        self.create("q", RedrivePolicy=json.dumps(policy))

    def create(self, name: str, **attributes: str) -> None:
        """Create a queue."""
        self.queues.create_queue(requests.CreateQueue(queue_name=name, attributes=attributes), "")

    def send(self, name: str, *bodies: str) -> None:
        """Send messages."""
        for body in bodies:
            messages.send_message(self.queues, requests.SendMessage(queue_url=name, message_body=body), "")

    def poll(self, name: str) -> None:
        """Poll for 20 s."""
        request = requests.ReceiveMessage(queue_url=name, wait_time_seconds=20)

        def answer(found: ReceiveMessage) -> None:
            self.found.append([message.body for message in found.messages])

        self.parking.receive(Poll(self.queues, request, ""), answer, lambda: True)

    def start(self, rate: int | None = None) -> str:
        """Start a task from "d" to "t"."""
        source, target = self.queues.named("d").arn, self.queues.named("t").arn
        request = requests.StartMessageMoveTask(
            source_arn=source, destination_arn=target, max_number_of_messages_per_second=rate
        )
        return movetasks.start_message_move_task(self.queues, request, "").task_handle

    def move(self, seconds: float) -> None:
        """Move the clock in one step."""
        self.clock.advance(seconds)
        self.parking.wake(self.clock.lease())


@pytest.fixture
def rig() -> Rig:
    """A fresh one."""
    return Rig()


def test_nothing_rings_but_for_the_steps_of_a_task(rig: Rig) -> None:
    """Nothing rings but for the steps of a task, at known times without drift, and nothing after its end."""
    rig.send("d", "a", "b", "c")
    assert rig.parking.next() is None
    rig.start(rate=3)
    begun = rig.clock.lease()
    for number in (1, 2, 3):
        assert rig.parking.next() == begun + number / 3
        rig.move(begun + number / 3 - rig.clock.lease())
        assert len(rig.queues.named("t")) == number
    assert rig.parking.next() is None


def test_a_clock_that_jumps_owes_no_step(rig: Rig) -> None:
    """A clock that jumps owes no step: what was due meanwhile is done, by a call too."""
    rig.send("d", *"abcdefgh")
    rig.start(rate=2)
    rig.move(1.6)
    assert len(rig.queues.named("t")) == 3
    rig.clock.advance(1)
    assert len(rig.queues.named("t")) == 5  # nobody rang


def test_a_list_of_tasks_is_as_late_as_the_clock(rig: Rig) -> None:
    """A task that is due to end has ended in the list, though nobody rang and nobody named its queue by URL."""
    rig.send("d", "a")
    rig.start(rate=1)
    rig.clock.advance(2)
    request = requests.ListMessageMoveTasks(source_arn="arn:aws:sqs:us-east-1:000000000000:d")
    (task,) = movetasks.list_message_move_tasks(rig.queues, request, "").results
    assert (task.status, task.approximate_number_of_messages_moved) == ("COMPLETED", 1)


def test_a_poll_that_waits_gets_a_moved_message_at_its_time(rig: Rig) -> None:
    """A poll that waits at the destination gets a moved message at its time."""
    rig.send("d", "a", "b")
    rig.poll("t")
    rig.start(rate=1)
    rig.move(1)
    assert rig.found == [["a"]]


def test_the_memory_of_ended_tasks_is_bounded(rig: Rig) -> None:
    """The memory of ended tasks is bounded, and a deleted source keeps none."""
    moves, source = rig.queues.moves, rig.queues.named("d")
    handles = []
    for _ in range(25):
        handles.append(rig.start())
        rig.move(1)
    assert [task.handle for task in moves.of(source)] == handles[:14:-1]
    rig.start()
    rig.queues.delete_queue(requests.DeleteQueue(queue_url="d"), "")
    assert moves.of(source) == []
    assert moves.next() is None


def test_the_delay_and_retention_of_the_destination_count(rig: Rig) -> None:
    """A moved message waits for the delay of its new queue, and is kept as long as that queue keeps a new one."""
    rig.queues.change(rig.queues.named("t"), {"DelaySeconds": "5", "MessageRetentionPeriod": "60"})
    rig.send("d", "a")
    rig.move(100)
    rig.start(rate=1)
    rig.move(1)
    target = rig.queues.named("t")
    assert (target.visible, target.delayed) == (0, 1)
    rig.move(59)
    assert rig.queues.named("t").visible == 1
    rig.move(1)
    assert len(rig.queues.named("t")) == 0


def test_polls_on_a_deleted_queue_end_by_their_deadline_and_take_nothing_of_its_heir(rig: Rig) -> None:
    """Polls on a deleted queue end by their deadline and take nothing of a new one of the same name."""
    rig.poll("q")
    rig.send("t", "x")
    rig.queues.delete_queue(requests.DeleteQueue(queue_url="q"), "")
    rig.parking.flush()
    rig.create("q")
    rig.send("q", "for others")
    rig.parking.flush()
    rig.move(19)
    assert rig.found == []
    rig.move(1)
    assert rig.found == [[]]
    assert (len(rig.parking), rig.parking.next(), len(rig.queues.named("q"))) == (0, None, 1)


def test_in_process_the_virtual_clock_stops_at_every_step() -> None:
    """In process the virtual clock stops at every step, so that a poll of the engine gets each at its time."""
    local = LocalSQS()
    rig = Rig(local.queues)
    rig.send("d", "a", "b")
    rig.start(rate=1)
    url = local.queues.url_of(local.queues.named("t"))

    async def main() -> list[str]:
        received = local.receive(Receive(url, 10, 20, 30))
        local.advance(1)
        return [message.body for message in (await received).messages]

    assert asyncio.run(main()) == ["a"]
    local.advance(1)
    assert len(local.queues.named("t")) == 2


def test_over_http_the_timer_of_the_server_drives_a_task() -> None:
    """Over HTTP the timer of the server drives a task, though nobody calls."""

    async def main() -> None:
        running = await server.start()
        rig = Rig(running.sqs)
        rig.send("d", "a", "b", "c")
        call = {"SourceArn": running.sqs.named("d").arn, "DestinationArn": running.sqs.named("t").arn}
        body = json.dumps(call).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        head = "POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: AmazonSQS.StartMessageMoveTask\r\n"
        head += f"Content-Type: application/x-amz-json-1.0\r\nContent-Length: {len(body)}\r\n\r\n"
        moved = asyncio.Event()
        running.sqs.log.on_event = lambda event: moved.set() if event.queue == "t" and len(seen()) == 3 else None

        def seen() -> list[str]:
            return [event.id for event in running.sqs.log.since() if event.queue == "t"]

        try:
            writer.write(head.encode() + body)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            await asyncio.wait_for(moved.wait(), GLOBAL)
        finally:
            writer.close()
            await writer.wait_closed()
            await running.close()
        assert len(running.sqs.named("d")) == 0

    asyncio.run(main())
