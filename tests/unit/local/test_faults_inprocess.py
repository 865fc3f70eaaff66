"""The faults of a script without a socket: what the engine sees of them, and when."""

from __future__ import annotations

import asyncio

import pytest

from hadoken.errors import SQSDenied, SQSError, SQSUnavailable
from hadoken.local.faults import Faults, Rule
from hadoken.local.inprocess import LocalSQS
from hadoken.sqs.api import Receive, SendBatch, SendEntry
from tests.support.waiting import GLOBAL


def local(*rules: Rule) -> tuple[LocalSQS, str]:
    """A local SQS with a script, and a queue of it."""
    sqs = LocalSQS(faults=Faults(rules))
    return sqs, sqs.create_queue("q")


def bodies(sqs: LocalSQS, url: str, timeout: int = 30) -> list[str]:
    """What a receive brings."""
    return [one.body for one in sqs.execute(Receive(url, 10, 0, timeout)).messages]


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        (Rule(answer="reset", times=1), []),
        (Rule(answer="reset", applied=True, times=1), ["x"]),
        (Rule(answer="hang", times=1), []),
        (Rule(answer="truncated", times=1), ["x"]),
        (Rule(answer="malformed", times=1), ["x"]),
        (Rule(answer="html", times=1), []),
        (Rule(status=500, times=1), []),
    ],
)
def test_no_answer_that_can_be_read_is_unavailable(rule: Rule, kept: list[str]) -> None:
    """Whatever keeps an answer away or spoils it is transient; the rule says whether the call was done."""
    sqs, url = local(rule)
    with pytest.raises(SQSUnavailable) as caught:
        sqs.execute(SendBatch(url, [SendEntry("x")]))
    assert caught.value.transient
    assert bodies(sqs, url) == kept


def test_expired_credentials_and_harmless_forms() -> None:
    """An error of choice keeps its name; what only changes the form of an answer changes nothing here."""
    sqs, url = local(Rule(code="AccessDenied", nth=1), Rule(answer="chunked"))
    with pytest.raises(SQSDenied, match="AccessDenied"):
        bodies(sqs, url)
    sqs.execute(SendBatch(url, [SendEntry("x")]))
    assert bodies(sqs, url) == ["x"]


def test_calls_hang_until_the_end() -> None:
    """A call that hangs is not settled by time, only by its owner or by the end of the local SQS."""
    sqs, url = local(Rule(operation="SendMessageBatch", answer="hang", applied=True))

    async def main() -> None:
        send = sqs.send_batch(SendBatch(url, [SendEntry("x")]))
        given_up = sqs.send_batch(SendBatch(url, [SendEntry("y")]))
        sqs.advance(43_200)
        assert not send.done()
        given_up.cancel()
        sqs.close()
        with pytest.raises(SQSUnavailable, match="closed"):
            await send

    asyncio.run(asyncio.wait_for(main(), GLOBAL))


def test_a_late_answer_comes_at_the_end_at_the_latest() -> None:
    """No clock moves on behind the end, so an answer that was to come later comes then."""
    sqs, url = local(Rule(operation="SendMessageBatch", delay=60.0))

    async def main() -> None:
        send = sqs.send_batch(SendBatch(url, [SendEntry("x")]))
        assert not send.done()
        sqs.close()
        assert list((await send).sent) == [0]

    asyncio.run(asyncio.wait_for(main(), GLOBAL))


def test_entries_that_fail_do_not_make_a_wrong_batch_right() -> None:
    """What refuses a batch as a whole does so, though the entries that are left, or none, would be taken."""
    first = Rule(operation="SendMessageBatch", entries=(0,))
    sqs, url = local(first)
    with pytest.raises(SQSError, match="TooManyEntriesInBatchRequest"):
        sqs.execute(SendBatch(url, [SendEntry("x")] * 11))
    with pytest.raises(SQSError, match="QueueDoesNotExist"):
        sqs.execute(SendBatch(url + "-not", [SendEntry("x")]))
    assert list(sqs.execute(SendBatch(url, [SendEntry("x")])).failed) == [0]
    assert bodies(sqs, url) == []


def test_time_counts_from_when_the_script_was_put_there() -> None:
    """A rule's seconds are those of the virtual clock, and begin with the script."""
    sqs, url = local()
    sqs.advance(100)
    sqs.faults = Faults([Rule(code="OverLimit", from_=10, for_=5)])
    failed = []
    for _ in range(20):
        try:
            bodies(sqs, url)
        except Exception:  # noqa: BLE001 -- which second fails is what is asked
            failed.append(sqs.clock.lease() - 1_100)
        sqs.advance(1)
    assert failed == [10, 11, 12, 13, 14]
    sqs.faults.add(Rule(code="OverLimit", until=1))
    with pytest.raises(Exception, match="OverLimit"):
        bodies(sqs, url)


def test_a_message_comes_twice_and_a_gone_client_swallows_one() -> None:
    """What was received comes again; a poll whose owner is gone takes the next message all the same."""
    sqs, url = local(Rule(operation="ReceiveMessage", twice=True, nth=1), Rule(swallow=True, nth=3))
    sqs.execute(SendBatch(url, [SendEntry("x")]))
    assert bodies(sqs, url) == bodies(sqs, url) == ["x"]
    sqs.faults = Faults([Rule(operation="ReceiveMessage", swallow=True, nth=1)])

    async def main() -> None:
        poll = sqs.receive(Receive(url, 10, 20, 30))
        poll.cancel()
        await asyncio.sleep(0)  # a turn of the loop, in which the poll's owner is seen to be gone
        await sqs.send_batch(SendBatch(url, [SendEntry("y")]))
        assert sqs.parked == 0

    asyncio.run(asyncio.wait_for(main(), GLOBAL))
    assert bodies(sqs, url) == []
    sqs.advance(30)
    assert sorted(bodies(sqs, url)) == ["x", "y"]


def test_a_clock_that_is_off() -> None:
    """The answer's time and the times in its messages are off together."""
    sqs, url = local(Rule(operation="ReceiveMessage", clock_offset=-60))
    sqs.execute(SendBatch(url, [SendEntry("x")]))
    received = sqs.execute(Receive(url, 10, 0, 30))
    assert received.server_time == sqs.clock.wall() - 60
    assert int(received.messages[0].system["SentTimestamp"]) == (sqs.clock.wall() - 60) * 1000


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"chance": 1.5}, "chance is 1.5"),
        ({"nth": 0}, "nth is 0"),
        ({"status": 302}, "status is 302"),
        ({"delay": -1.0}, "delay is -1"),
        ({"until": 1.0, "for_": 1.0}, "give one of them"),
        ({"answer": "hang", "code": "X"}, "ever be seen"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(fields: dict[str, object], words: str) -> None:
    """What is out of range or contradicts itself is an error where the rule is made."""
    with pytest.raises(ValueError, match=words):
        Rule(**fields)  # type: ignore[arg-type] # fields of any kind, on purpose
