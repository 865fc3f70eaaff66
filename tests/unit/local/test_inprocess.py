from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from hadoken.errors import SQSError, SQSThrottled, SQSUnavailable
from hadoken.local.faults import Faults, Rule
from hadoken.local.inprocess import LocalSQS
from hadoken.sqs import api
from tests.support.waiting import GLOBAL

ATTRIBUTES = {"n": api.Attribute("Number", "1"), "b": api.Attribute("Binary", data=b"\x00\xff")}


def run(main: Callable[[LocalSQS, str], Awaitable[None]], *rules: Rule) -> None:
    """Run a coroutine on a fresh local SQS with one queue."""
    local = LocalSQS(faults=Faults(rules))
    url = local.create_queue("queue")
    asyncio.run(asyncio.wait_for(main(local, url), GLOBAL))


def batch(url: str, *bodies: str) -> api.SendBatch:
    """Messages with attributes."""
    return api.SendBatch(url, [api.SendEntry(body, ATTRIBUTES) for body in bodies])


def poll(url: str, wait: int = 20, most: int = 10) -> api.Receive:
    """A long poll."""
    return api.Receive(url, most, wait, 30)


def test_the_whole_seam_without_a_loop() -> None:
    """The whole seam without a loop."""
    local = LocalSQS()
    url = local.create_queue("queue")
    sent = local.execute(batch(url, "a", "b", "\x00"))
    assert set(sent.sent) == {0, 1}
    assert sent.failed[2].code == "InvalidMessageContents"
    received = local.execute(poll(url))
    assert [message.body for message in received.messages] == ["a", "b"]
    assert [message.message_id for message in received.messages] == [sent.sent[0], sent.sent[1]]
    assert received.messages[0].attributes == ATTRIBUTES
    assert received.server_time == local.clock.wall()
    first, second = (message.receipt_handle for message in received.messages)
    changed = local.execute(api.ChangeVisibilityBatch(url, [(first, 5), ("bad", 5)]))
    assert set(changed.failed) == {1}
    assert changed.failed[1].fault is api.Fault.LEASE_LOST
    assert not local.execute(api.DeleteBatch(url, [second])).failed
    assert not local.execute(poll(url), now=local.clock.lease() + 4).messages
    (again,) = local.execute(poll(url), now=local.clock.lease() + 1).messages
    assert (again.body, again.receive_count) == ("a", 2)
    counts = local.queues.counters.snapshot()
    assert (counts["ReceiveMessage"].requests, counts["ReceiveMessage"].empty) == (3, 1)
    assert (counts["SendMessageBatch"].entries, counts["SendMessageBatch"].failed) == (3, 1)


def test_refusals_are_errors_of_the_seam() -> None:
    """Refusals are errors of the seam."""
    local = LocalSQS()
    url = local.create_queue("queue.fifo")
    with pytest.raises(SQSError) as caught:
        local.execute(poll(url + "x"))
    assert api.fault_of(caught.value) is api.Fault.NO_QUEUE
    assert caught.value.operation == "ReceiveMessage"
    with pytest.raises(SQSError, match="maxReceiveCount"):
        local.create_queue("other", {"RedrivePolicy": '{"deadLetterTargetArn": "x", "maxReceiveCount": 0}'})
    local.execute(api.SendBatch(url, [api.SendEntry("x", message_group_id="g", deduplication_id="d")]))
    (message,) = local.execute(poll(url)).messages
    local.advance(30)
    answer = local.execute(api.DeleteBatch(url, [message.receipt_handle]))
    assert answer.failed[0].fault is api.Fault.LEASE_LOST


def test_a_long_poll_ends_by_a_send_by_the_clock_or_by_its_owner() -> None:
    """A long poll ends by a send by the clock or by its owner."""

    async def main(local: LocalSQS, url: str) -> None:
        by_send = local.receive(poll(url))
        by_clock = local.receive(poll(url, wait=5))
        cancelled = local.receive(poll(url))
        cancelled.cancel()
        assert not by_send.done()
        answer = await local.send_batch(batch(url, "x"))
        assert [one.message_id for one in (await by_send).messages] == [answer.sent[0]]
        local.advance(4)
        assert not by_clock.done()
        local.advance(1)
        assert (await by_clock).messages == []
        await asyncio.sleep(0)
        assert local.parked == 0
        local.advance(30)
        assert [one.receive_count for one in (await local.receive(poll(url))).messages] == [2]

    run(main)


def test_the_clock_stops_wherever_something_happens() -> None:
    """The clock stops wherever something happens."""

    async def main(local: LocalSQS, url: str) -> None:
        await local.send_batch(api.SendBatch(url, [api.SendEntry("x", delay=3)]))
        first = local.receive(poll(url, wait=10))
        local.advance(3_600)
        (message,) = (await first).messages
        assert message.receive_count == 1
        assert [event.at - 1_000 for event in local.queues.log.since()] == [0, 3, 3]

    run(main)


@pytest.mark.parametrize("start", [0.85, 0.1, 0.3, 1 / 3, 0.7])
def test_a_retention_period_that_ends_under_a_parked_poll_ends_once(start: float) -> None:
    """The time at which a message is due to end is one at which it ends, however its sum is rounded."""

    async def main(local: LocalSQS, _: str) -> None:
        url = local.create_queue("kept.fifo", {"MessageRetentionPeriod": "60"})
        local.advance(start)
        await local.send_batch(api.SendBatch(url, [api.SendEntry("x", message_group_id="g", deduplication_id="1")]))
        await local.receive(api.Receive(url, 1, 0, 43_200))
        local.advance(50)
        parked = local.receive(poll(url))
        local.advance(20)
        assert not (await parked).messages
        (queue,) = (queue for queue in local.queues if queue.name == "kept.fifo")
        assert len(queue) == 0

    run(main)


def test_a_call_fails_before_or_after_it_is_applied() -> None:
    """A call fails before or after it is applied."""
    rules = (
        Rule(operation="SendMessageBatch", nth=1, code="RequestThrottled"),
        Rule(operation="SendMessageBatch", nth=2, code="", applied=True),
    )

    async def main(local: LocalSQS, url: str) -> None:
        with pytest.raises(SQSThrottled):
            await local.send_batch(batch(url, "x"))
        assert len(local.queues.named("queue")) == 0
        with pytest.raises(SQSUnavailable) as caught:
            await local.send_batch(batch(url, "x"))
        assert caught.value.transient
        assert len(local.queues.named("queue")) == 1
        await local.send_batch(batch(url, "x"))
        assert len(local.queues.named("queue")) == 2

    run(main, *rules)


def test_a_lost_receive_leaves_its_messages_in_flight() -> None:
    """A lost receive leaves its messages in flight."""

    async def main(local: LocalSQS, url: str) -> None:
        lost = local.receive(poll(url))
        await local.send_batch(batch(url, "x"))
        with pytest.raises(SQSUnavailable):
            await lost
        assert local.queues.named("queue").in_flight == 1

    run(main, Rule(operation="ReceiveMessage", code="InternalFailure", applied=True))


def test_chosen_entries_fail_and_the_others_are_done() -> None:
    """Chosen entries fail and the others are done."""

    async def main(local: LocalSQS, url: str) -> None:
        answer = await local.send_batch(batch(url, "a", "b", "c"))
        assert set(answer.sent) == {0, 2}
        assert (answer.failed[1].code, answer.failed[1].fault) == ("InternalError", api.Fault.TRANSIENT)
        handles = [one.receipt_handle for one in (await local.receive(poll(url))).messages]
        assert set((await local.delete_batch(api.DeleteBatch(url, handles))).failed) == {1}
        change = api.ChangeVisibilityBatch(url, [(handles[1], 0)])
        assert (await local.change_visibility_batch(change)).failed == {}
        assert local.queues.named("queue").visible == 1

    run(main, Rule(entries=(1, 7), times=20))


def test_every_entry_may_fail() -> None:
    """Every entry may fail."""
    local = LocalSQS(faults=Faults([Rule(operation="SendMessageBatch", entries=(0, 1))]))
    url = local.create_queue("queue")
    answer = local.execute(batch(url, "a", "b"))
    assert (set(answer.sent), set(answer.failed)) == (set(), {0, 1})


def test_an_answer_may_come_late() -> None:
    """An answer may come late."""

    async def main(local: LocalSQS, url: str) -> None:
        late = local.send_batch(batch(url, "x"))
        assert len(local.queues.named("queue")) == 1
        local.advance(2)
        assert not late.done()
        local.advance(1)
        assert set((await late).sent) == {0}

    run(main, Rule(operation="SendMessageBatch", delay=3))


def test_the_control_plane_answers() -> None:
    """The control plane answers."""

    async def main(local: LocalSQS, url: str) -> None:
        assert await local.queue_url("queue") == url
        assert (await local.queue_attributes(url))["VisibilityTimeout"] == "30"
        with pytest.raises(SQSError):
            await local.queue_url("none")
        assert local.blocking.queue_url("queue") == url

    run(main)


def test_a_send_from_another_thread_wakes_a_poll() -> None:
    """A send from another thread wakes a poll."""

    async def main(local: LocalSQS, url: str) -> None:
        waiting = local.receive(poll(url))
        sender = threading.Thread(target=local.blocking.send_batch, args=[batch(url, "x")])
        sender.start()
        (message,) = (await waiting).messages
        sender.join()
        assert message.body == "x"

    run(main)


def test_close_ends_what_waits_and_refuses_what_comes() -> None:
    """Close ends what waits and refuses what comes."""

    async def main(local: LocalSQS, url: str) -> None:
        waiting = local.receive(poll(url))
        local.close()
        assert (await waiting).messages == []
        with pytest.raises(SQSUnavailable):
            await local.receive(poll(url))
        await asyncio.sleep(0)
        assert local.parked == 0

    run(main)
