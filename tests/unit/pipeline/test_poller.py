"""One queue's poll: requests, back-off, and what is said about it."""

from __future__ import annotations

import logging
import random

import pytest

from hadoken.errors import SQSError
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


def fail(one: Poller, error: SQSError, now: float = NOW) -> None:
    """Let a receive for ten be asked for and fail."""
    one.open(10, scout=False)
    one.failed(error, 10, now)


def answer(one: Poller, count: int, asked: int = 10) -> None:
    """Let a receive be asked for and answered."""
    one.open(asked, scout=False)
    one.answered(count, asked)


def test_one_receive_at_a_time() -> None:
    """While one is open no other may be asked for; hot is who got all it asked for."""
    one = poller()
    assert one.may_ask(NOW)
    one.open(10, scout=False)
    assert not one.may_ask(NOW)
    one.answered(10, 10)
    assert one.may_ask(NOW)
    assert one.hot
    one.open(10, scout=True)
    one.answered(9, 10)
    assert not one.hot
    assert not one.scout
    one.quiet = True
    assert not one.may_ask(NOW)


def test_each_full_receive_allows_one_more() -> None:
    """Up to the bound; each open one counts with what it may bring."""
    one = poller()
    for allowed in (2, 3, 4, 5, 6, 7, 8, 8):
        answer(one, 10)
        assert one.allowed == allowed
    for opened in range(1, 9):
        assert one.may_ask(NOW)
        one.open(10, scout=False)
        assert (one.receives, one.granted) == (opened, 10 * opened)
    assert not one.may_ask(NOW)


def test_what_a_scout_found_allows_no_more() -> None:
    """One message of one asked for is no full receive."""
    one = poller()
    answer(one, 1, asked=1)
    assert (one.hot, one.allowed) == (True, 1)


def test_an_empty_receive_leaves_one() -> None:
    """Those that are open end by themselves; none is added before the last has been answered, or a full one comes."""
    one = poller()
    answer(one, 10)
    answer(one, 10)
    for _ in range(3):
        one.open(10, scout=False)
    one.answered(0, 10)
    assert (one.allowed, one.receives, one.hot) == (1, 2, False)
    assert not one.may_ask(NOW)
    one.answered(10, 10)
    assert (one.allowed, one.receives) == (2, 1)
    assert one.may_ask(NOW)


def test_a_partial_receive_adds_none() -> None:
    """The queue had no more: beside open ones no other is asked for, but what was learnt is kept."""
    one = poller()
    answer(one, 10)
    one.open(10, scout=False)
    one.open(10, scout=False)
    one.answered(4, 10)
    assert (one.allowed, one.receives) == (2, 1)
    assert not one.may_ask(NOW)


def test_a_failure_beside_open_receives_leaves_one() -> None:
    """No other is added while some are open; an answer of theirs ends the back-off, a failure of the last goes on."""
    one = poller()
    answer(one, 10)
    answer(one, 10)
    for _ in range(3):
        one.open(10, scout=False)
    one.failed(DOWN, 10, NOW)
    assert (one.allowed, one.receives, one.granted) == (1, 2, 20)
    assert one.next_try() is None
    assert not one.may_ask(NOW + 100)
    one.failed(DOWN, 10, NOW + 1)
    one.answered(10, 10)
    assert one.failing_since is None
    assert one.next_try() is None
    assert one.may_ask(NOW + 1)
    one.open(10, scout=False)
    one.failed(DOWN, 10, NOW + 2)
    assert one.next_try() == one.not_before > NOW + 2


def test_a_fifo_queue_has_one_receive_and_an_attempt_id_for_each() -> None:
    """However full they are: answers that cross would mix up the order, and an id belongs to one receive."""
    one = poller("steps.fifo")
    ids = set()
    for _ in range(5):
        ids.add(one.request(10, 20).attempt_id)
        answer(one, 10)
        assert one.allowed == 1
    assert len(ids) == 5
    one.open(10, scout=False)
    assert not one.may_ask(NOW)


def test_a_transport_may_allow_one_only() -> None:
    """With botocore each open poll occupies a thread."""
    one = Poller(queue(), most_open=1)
    answer(one, 10)
    assert one.allowed == 1


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
    fail(one, DOWN)
    assert one.request(10, 20).attempt_id == first
    answer(one, 0)
    second = one.request(10, 20).attempt_id
    assert second not in {None, first}
    fail(one, GONE)
    assert one.request(10, 20).attempt_id not in {first, second}


def test_the_wait_grows_with_the_outage_up_to_a_minute() -> None:
    """At first seconds, then half of the time it has been failing, with the most jitter; it never gives up."""
    one = poller()
    now, waits = NOW, []
    for _ in range(20):
        fail(one, DOWN, now)
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
        fail(one, DOWN)
        waits.add(one.not_before - NOW)
    assert min(waits) >= 1
    assert max(waits) <= 2
    assert len(waits) == 50


def test_there_is_no_next_try_without_failure_or_when_quiet() -> None:
    """A poller that works is asked anyway; one that is quiet is not asked any more; an open one is not late."""
    one = poller()
    assert one.next_try() is None
    fail(one, DOWN)
    one.open(1, scout=True)
    assert one.next_try() is None
    one.failed(DOWN, 1, NOW)
    one.quiet = True
    assert one.next_try() is None


def test_each_change_of_state_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Down, another reason, working again: three lines, however many polls failed."""
    caplog.set_level(logging.INFO, "hadoken.poller")
    one = poller()
    for _ in range(5):
        fail(one, DOWN)
    for _ in range(5):
        fail(one, GONE)
    answer(one, 0)
    answer(one, 0)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING", "INFO"]
    fail(one, GONE)
    assert len(caplog.records) == 4
