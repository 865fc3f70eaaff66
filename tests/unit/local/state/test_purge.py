"""Purging a queue: everything goes, whatever it was doing, and nothing else is hurt."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from hadoken.local.inprocess import LocalSQS
from hadoken.local.state.eventlog import What
from hadoken.local.state.queue import Queue
from hadoken.sqs import api

CLIENT = "purger"


def entry(body: str, *, fifo: bool, delay: int | None = None) -> api.SendEntry:
    """A message; on a FIFO queue of one message_group_id, with the body as deduplication id."""
    if fifo:
        return api.SendEntry(body, message_group_id="g", deduplication_id=body)
    return api.SendEntry(body, delay=delay)


def filled(local: LocalSQS, name: str) -> tuple[str, Queue, list[str]]:
    """A queue with messages in flight, visible and (standard) delayed; and the handles of those in flight."""
    fifo = name.endswith(".fifo")
    url = local.create_queue(name)
    local.execute(api.SendBatch(url, [entry("a", fifo=fifo), entry("b", fifo=fifo)]))
    received = local.execute(api.Receive(url, 2, 0, 30)).messages
    late = [] if fifo else [entry("late", fifo=False, delay=60)]
    local.execute(api.SendBatch(url, [entry("c", fifo=fifo), *late]))
    return url, local.queues.named(name), [one.receipt_handle for one in received]


@pytest.mark.parametrize("name", ["orders", "orders.fifo"])
def test_purge_drops_visible_delayed_and_in_flight(name: str) -> None:
    """Nothing is left: not in the counters, not in the order, not at any later time; each message has its event."""
    local = LocalSQS()
    url, queue, handles = filled(local, name)
    sent = [event.id for event in local.queues.log.since() if event.what is What.SENT]
    queue.purge(CLIENT)
    purged = [event for event in local.queues.log.since() if event.what is What.PURGED]
    assert sorted(event.id for event in purged) == sorted(sent)
    assert {event.client for event in purged} == {CLIENT}
    assert (len(queue), queue.visible, queue.in_flight, queue.delayed) == (0, 0, 0, 0)
    assert not queue.ready()
    assert queue.next_change() is None
    local.advance(1_000)
    assert local.execute(api.Receive(url, 10, 0, 30)).messages == []
    assert not local.execute(api.DeleteBatch(url, handles)).failed
    gone = local.execute(api.ChangeVisibilityBatch(url, [(handles[0], 5)]))
    assert gone.failed[0].code == "InvalidParameterValue"


@pytest.mark.parametrize("name", ["orders", "orders.fifo"])
def test_a_purged_queue_works_on(name: str) -> None:
    """What is sent afterwards is received, also in a message_group_id whose head was in flight at the purge."""
    local = LocalSQS()
    url, queue, _ = filled(local, name)
    queue.purge(CLIENT)
    local.execute(api.SendBatch(url, [entry("new", fifo=name.endswith(".fifo"))]))
    assert [one.body for one in local.execute(api.Receive(url, 10, 0, 30)).messages] == ["new"]


def test_another_queue_keeps_its_messages() -> None:
    """A purge ends at its queue, the dead-letter queue included."""
    local = LocalSQS()
    filled(local, "orders")
    _, other, _ = filled(local, "other")
    local.queues.named("orders").purge(CLIENT)
    assert (other.visible, other.in_flight, other.delayed) == (1, 2, 1)
    ends = Counter(event.queue for event in local.queues.log.since() if event.what is What.PURGED)
    assert ends == {"orders": 4}


def test_a_poll_that_waits_ends_by_its_deadline_with_nothing() -> None:
    """The purge of what a lease hides wakes no poll and leaves none behind."""

    async def scenario() -> None:
        local = LocalSQS()
        url, queue, _ = filled(local, "orders")
        local.execute(api.Receive(url, 10, 0, 15))  # the last visible one: the poll has only leases to wait for
        waiting = local.receive(api.Receive(url, 10, 20, 30))
        queue.purge(CLIENT)
        local.wake()
        local.advance(19)
        assert not waiting.done()
        local.advance(1)
        assert (await waiting).messages == []
        assert local.parked == 0
        local.close()

    asyncio.run(scenario())
