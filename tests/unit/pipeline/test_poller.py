"""One queue's poll: requests, back-off, and what is said about it."""

from __future__ import annotations

import logging
import random

import pytest

from hadoken.pipeline.poller import Poller
from hadoken.sqs.api import sqs_error
from hadoken.sqs.backoff import RECEIVE
from tests.unit.pipeline.making import NOW, queue

DOWN = sqs_error("ReceiveMessage", "ServiceUnavailable", "", status=503)
GONE = sqs_error("ReceiveMessage", "QueueDoesNotExist", "no such queue")


def poller(name: str = "orders") -> Poller:
    """A poller whose jitter is always the longest wait."""
    made = Poller(queue(name), randomness=random.Random(1))
    made._random.uniform = lambda _low, high: high  # type: ignore[method-assign] -- no chance here
    return made


def test_one_receive_at_a_time() -> None:
    """While one is open no other may be asked for; hot is who got all it asked for."""
    one = poller()
    assert one.may_ask(NOW)
    one.open(10, scout=False)
    assert not one.may_ask(NOW)
    one.answered(10)
    assert one.may_ask(NOW)
    assert one.hot
    one.open(10, scout=True)
    one.answered(9)
    assert not one.hot
    assert not one.scout
    one.quiet = True
    assert not one.may_ask(NOW)


def test_a_standard_request_has_no_attempt_id() -> None:
    """SQS would refuse it there."""
    request = poller().request(7, 20)
    assert (request.max_messages, request.wait_time, request.visibility_timeout, request.attempt_id) == (
        7,
        20,
        30,
        None,
    )


def test_the_attempt_id_is_kept_over_retries_of_one_receive() -> None:
    """A repeat within five minutes then brings the same messages; an answer ends it, and so does a refusal."""
    one = poller("orders.fifo")
    first = one.request(10, 20).attempt_id
    assert first is not None
    one.failed(DOWN, NOW)
    assert one.request(10, 20).attempt_id == first
    one.answered(0)
    second = one.request(10, 20).attempt_id
    assert second not in {None, first}
    one.failed(GONE, NOW)
    assert one.request(10, 20).attempt_id not in {first, second}


def test_the_wait_grows_with_the_outage_up_to_a_minute() -> None:
    """At first seconds, then half of the time it has been failing, with the most jitter; it never gives up."""
    one = poller()
    now, waits = NOW, []
    for _ in range(20):
        one.failed(DOWN, now)
        waits.append(one.not_before - now)
        assert not one.may_ask(one.not_before - 0.01)
        now = one.not_before
        assert one.may_ask(now)
        assert one.next_try() == now
    assert waits[:4] == [2, 2, 2, 3]
    assert waits == sorted(waits)
    assert waits[-1] == RECEIVE.longest


def test_no_two_waits_are_alike() -> None:
    """Workers that failed together do not come back together."""
    one = Poller(queue(), randomness=random.Random(3))
    waits = set()
    for _ in range(50):
        one.failed(DOWN, NOW)
        waits.add(one.not_before - NOW)
    assert min(waits) >= 1
    assert max(waits) <= 2
    assert len(waits) == 50


def test_there_is_no_next_try_without_failure_or_when_quiet() -> None:
    """A poller that works is asked anyway; one that is quiet is not asked any more; an open one is not late."""
    one = poller()
    assert one.next_try() is None
    one.failed(DOWN, NOW)
    one.open(1, scout=True)
    assert one.next_try() is None
    one.failed(DOWN, NOW)
    one.quiet = True
    assert one.next_try() is None


def test_each_change_of_state_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Down, another reason, working again: three lines, however many polls failed."""
    caplog.set_level(logging.INFO, "hadoken.poller")
    one = poller()
    for _ in range(5):
        one.failed(DOWN, NOW)
    for _ in range(5):
        one.failed(GONE, NOW)
    one.answered(0)
    one.answered(0)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING", "INFO"]
    one.failed(GONE, NOW)
    assert len(caplog.records) == 4
