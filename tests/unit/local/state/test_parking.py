from __future__ import annotations

import json

import pytest

from hadoken.clock import VirtualClock
from hadoken.local.state import messages, requests
from hadoken.local.state.answers import ReceiveMessage
from hadoken.local.state.parking import Parked, Parking
from hadoken.local.state.poll import Poll
from hadoken.local.state.queues import Queues


class Rig:
    """Queues, a parking and a clock; the bodies that each poll brought, in the order of the answers."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.queues = Queues(clock=self.clock)
        self.parking = Parking(self.queues)
        self.answers: list[tuple[str, list[str]]] = []
        self.dead: set[str] = set()

    def create(self, name: str, **attributes: str) -> str:
        """Create a queue; gives back its URL."""
        attributes.update({"FifoQueue": "true"} if name.endswith(".fifo") else {})
        return self.queues.create_queue(requests.CreateQueue(queue_name=name, attributes=attributes), "").queue_url

    def send(self, url: str, body: str, **options: str | int) -> None:
        """Send one message and let the parking see it."""
        extra = {"message_group_id": "g", "message_deduplication_id": body} if url.endswith(".fifo") else {}
        messages.send_message(
            self.queues, requests.SendMessage(queue_url=url, message_body=body, **extra, **options), ""
        )
        self.parking.flush()

    def poll(self, name: str, url: str, wait: int = 20, **options: int) -> Parked | None:
        """Poll under a name."""
        request = requests.ReceiveMessage(queue_url=url, wait_time_seconds=wait, **options)

        def answer(found: ReceiveMessage) -> None:
            self.answers.append((name, [message.body for message in found.messages]))

        return self.parking.receive(Poll(self.queues, request, name), answer, lambda: name not in self.dead)

    def move(self, seconds: float) -> None:
        """Move the clock in one step."""
        self.clock.advance(seconds)
        self.parking.wake(self.clock.lease())


@pytest.fixture
def rig() -> Rig:
    """A fresh one."""
    return Rig()


def test_the_longest_wait_is_served_first_and_each_once(rig: Rig) -> None:
    """The longest wait is served first and each once."""
    url = rig.create("a")
    for name in ("first", "second", "third"):
        assert rig.poll(name, url) is not None
    rig.send(url, "x")
    rig.send(url, "y")
    assert rig.answers == [("first", ["x"]), ("second", ["y"])]
    assert len(rig.parking) == 1


def test_a_withdrawn_poll_and_one_whose_client_is_gone_take_nothing(rig: Rig) -> None:
    """A withdrawn poll and one whose client is gone take nothing."""
    url = rig.create("a")
    withdrawn = rig.poll("withdrawn", url)
    assert withdrawn is not None
    rig.poll("gone", url)
    rig.poll("there", url)
    rig.parking.withdraw(withdrawn)
    rig.parking.withdraw(withdrawn)
    rig.dead.add("gone")
    rig.send(url, "x")
    assert rig.answers == [("there", ["x"])]
    assert len(rig.parking) == 0
    assert rig.parking.next() is None


def test_nothing_rings_unless_a_time_is_known(rig: Rig) -> None:
    """Nothing rings unless a time is known."""
    url, other = rig.create("a"), rig.create("b")
    rig.send(other, "delayed", delay_seconds=3)
    assert rig.parking.next() is None  # nobody waits for it
    rig.poll("p", url, wait=10)
    assert rig.parking.next() == rig.clock.lease() + 10
    rig.poll("q", other, wait=10)
    assert rig.parking.next() == rig.clock.lease() + 3
    rig.move(3)
    assert rig.answers == [("q", ["delayed"])]
    rig.move(7)
    assert rig.answers == [("q", ["delayed"]), ("p", [])]
    assert rig.parking.next() is None


def test_what_becomes_receivable_as_the_wait_ends_is_still_given(rig: Rig) -> None:
    """What becomes receivable as the wait ends is still given."""
    url = rig.create("a")
    rig.send(url, "x", delay_seconds=5)
    rig.poll("p", url, wait=5)
    rig.move(60)
    assert rig.answers == [("p", ["x"])]


def test_a_poll_goes_on_waiting_when_all_that_was_ready_is_dead_lettered(rig: Rig) -> None:
    """A poll goes on waiting when all that was ready is dead lettered."""
    rig.create("dead")
    arn = rig.queues.named("dead").arn
    url = rig.create("a", RedrivePolicy=json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1}))
    dead = f"{rig.queues.url}/000000000000/dead"
    rig.send(url, "x")
    rig.poll("once", url, visibility_timeout=5)
    rig.poll("waits", url)
    rig.poll("dead", dead)
    rig.move(5)
    assert rig.answers == [("once", ["x"]), ("dead", ["x"])]
    rig.send(url, "y")
    assert rig.answers[2:] == [("waits", ["y"])]


def test_retention_of_an_invisible_fifo_head_lets_the_next_through(rig: Rig) -> None:
    """Retention of an invisible FIFO head lets the next through."""
    url = rig.create("a.fifo", MessageRetentionPeriod="60")
    rig.send(url, "head")
    rig.poll("holds", url, visibility_timeout=3_600)
    rig.move(50)
    rig.send(url, "next")
    rig.poll("waits", url, wait=20)
    assert rig.parking.next() == rig.clock.lease() + 10
    rig.move(10)
    assert rig.answers == [("holds", ["head"]), ("waits", ["next"])]


def test_polls_wait_silently_at_the_limit_in_flight_and_go_on_below_it(rig: Rig) -> None:
    """Polls wait silently at the limit in flight and go on below it."""
    url = rig.create("a")
    rig.queues.named("a").max_in_flight = 1
    rig.send(url, "x")
    rig.send(url, "y")
    rig.poll("first", url, visibility_timeout=5)
    rig.poll("waits", url)
    rig.move(5)
    assert rig.answers == [("first", ["x"]), ("waits", ["y"])]
