from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from hadoken.local.state.eventlog import What
from tests.support.local_sqs import Sqs, Virtual
from tests.support.refused import invalid

INTERVAL = 300
TIMEOUT = 30
ORACLES = ("moto", "ministack", "roto-aws")
AGAIN = (
    "During a visibility timeout, subsequent calls with the same ReceiveRequestAttemptId return the same messages and "
    "receipt handles."
)


def attempt(sqs: Sqs, url: str, most: int = 10, name: str = "try", **options: Any) -> list[dict[str, Any]]:
    """Receive under an attempt id."""
    return sqs.receive(url, most, ReceiveRequestAttemptId=name, **{"VisibilityTimeout": TIMEOUT, **options})


def handles(messages: list[dict[str, Any]]) -> list[str]:
    """The receipt handles of messages."""
    return [one["ReceiptHandle"] for one in messages]


def filled(sqs: Sqs) -> str:
    """A FIFO queue with five messages of two message group ids."""
    url = sqs.queue(fifo=True)
    sqs.send(url, "a0", "a1", "a2", MessageGroupId="a")
    sqs.send(url, "b0", "b1", MessageGroupId="b")
    return url


@pytest.mark.differs(*ORACLES, aws=AGAIN)
def test_37_the_same_attempt_brings_the_same_messages_and_handles(sqs: Sqs) -> None:
    """The same attempt brings the same messages and handles, and no receive more is counted."""
    url = filled(sqs)
    first = attempt(sqs, url, 2)
    again = attempt(sqs, url, 2)
    assert [one["Body"] for one in first] == ["a0", "a1"]
    assert again == first
    assert {one["Attributes"]["ApproximateReceiveCount"] for one in again} == {"1"}
    assert sorted(sqs.bodies(url)) == ["b0", "b1"]


@pytest.mark.differs(
    *ORACLES, aws="If a retry occurs within the deduplication interval, it resets the visibility timeout."
)
def test_37_a_repeat_resets_the_visibility(sqs: Sqs) -> None:
    """A repeat resets the visibility: it counts from the repeat, and the handles hold as long."""
    url = filled(sqs)
    first = attempt(sqs, url, 2, VisibilityTimeout=2)
    sqs.advance(1)
    assert handles(attempt(sqs, url, 2, VisibilityTimeout=2)) == handles(first)
    sqs.advance(1)  # the first lease would have ended now
    assert handles(attempt(sqs, url, 2, VisibilityTimeout=2)) == handles(first)
    assert sorted(sqs.bodies(url)) == ["b0", "b1"]
    for message in first:
        sqs.delete(url, message)
    assert sqs.bodies(url) == ["a2"]


def test_37_a_repeat_is_told_and_wants_the_twelve_hours_anew(virtual: Virtual) -> None:
    """A repeat is an event of its own, and a receive as far as the 12 hours are concerned."""
    url = filled(virtual)
    first = attempt(virtual, url, 2)
    virtual.advance(10)
    attempt(virtual, url, 2)
    virtual.change(url, first[0], 43_200)
    told = [event for event in virtual.events(url) if event["what"] is What.REPEATED]
    assert [event["handle"] for event in told] == handles(first)
    assert {event["count"] for event in told} == {1}


def test_37_another_attempt_id_and_none_bring_other_messages(virtual: Virtual) -> None:
    """Another attempt id and none bring other messages."""
    url = filled(virtual)
    assert len(attempt(virtual, url, 3, "one")) == 3
    assert len(attempt(virtual, url, 1, "two")) == 1
    assert attempt(virtual, url, 1, "three") == []  # behind b0
    assert virtual.receive(url) == []


def test_37_an_attempt_that_brought_nothing_may_bring_something_later(virtual: Virtual) -> None:
    """An attempt that brought nothing may bring something later, then the same again."""
    url = virtual.queue(fifo=True)
    assert attempt(virtual, url) == []
    virtual.send(url, "x", MessageGroupId="g")
    found = attempt(virtual, url)
    assert [one["Body"] for one in found] == ["x"]
    assert attempt(virtual, url) == found


def test_37_a_repeat_for_fewer_messages_never_brings_more_than_asked(virtual: Virtual) -> None:
    """A repeat for fewer messages is another receive: never more than asked."""
    url = filled(virtual)
    assert len(attempt(virtual, url, 3)) == 3
    assert [one["Body"] for one in attempt(virtual, url, 1)] == ["b0"]


def test_37_a_repeat_at_the_in_flight_limit_still_brings_what_it_brought(virtual: Virtual) -> None:
    """What is in flight already needs no room."""
    virtual.reset(max_in_flight=2)
    url = filled(virtual)
    first = attempt(virtual, url)
    assert len(first) == 2
    assert attempt(virtual, url) == first
    assert attempt(virtual, url, name="other") == []


def test_37_the_id_is_checked_and_a_standard_queue_makes_nothing_of_it(virtual: Virtual) -> None:
    """The id is checked as other ids are, and a standard queue makes nothing of it."""
    url = filled(virtual)
    for bad in ("", "x" * 129, "with space", "é"):
        with invalid("ReceiveRequestAttemptId"):
            attempt(virtual, url, name=bad)
    standard = virtual.queue()
    virtual.send(standard, "x")
    assert len(attempt(virtual, standard)) == 1
    assert attempt(virtual, standard) == []
    assert len(virtual.queues.named(standard.rpartition("/")[2]).attempts) == 0


def delete(sqs: Sqs, url: str, message: Mapping[str, Any]) -> None:
    """Delete the message."""
    sqs.delete(url, message)


def hide(sqs: Sqs, url: str, message: Mapping[str, Any]) -> None:
    """Extend the message."""
    sqs.change(url, message, TIMEOUT)


@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("act", [delete, hide])
def test_38_nothing_of_the_old_set_comes_after_a_delete_or_a_change_in_it(
    sqs: Sqs, act: Callable[[Sqs, str, Mapping[str, Any]], None], at: int
) -> None:
    """Nothing of the old set comes after a delete or a change in it."""
    url = filled(sqs)
    first = attempt(sqs, url, 3)
    act(sqs, url, first[at])
    other = attempt(sqs, url, 3)
    assert sorted(one["Body"] for one in other) == ["b0", "b1"]
    act(sqs, url, other[0])
    assert attempt(sqs, url, 3) == []


def test_38_what_is_visible_again_comes_under_a_new_handle_and_is_counted(virtual: Virtual) -> None:
    """What was released, or lost its lease, comes by an ordinary receive."""
    url = virtual.queue(fifo=True)
    virtual.send(url, "a0", "a1", "a2", MessageGroupId="a")
    first = attempt(virtual, url, 2)
    virtual.change(url, first[0], 0)
    (released,) = attempt(virtual, url, 1)
    assert released["MessageId"] == first[0]["MessageId"]
    assert released["ReceiptHandle"] != first[0]["ReceiptHandle"]
    virtual.advance(TIMEOUT)
    late = attempt(virtual, url, 3)
    assert [one["Attributes"]["ApproximateReceiveCount"] for one in late] == ["3", "2", "1"]
    assert not set(handles(late)) & set(handles([*first, released]))


@pytest.mark.needs_time(2 * INTERVAL)
def test_38_nothing_of_the_old_set_comes_after_five_minutes(sqs: Sqs) -> None:
    """Nothing of the old set comes five minutes after the first receive, whose repeats do not prolong them."""
    url = filled(sqs)
    first = attempt(sqs, url, 3, VisibilityTimeout=1_000)
    sqs.advance(INTERVAL - 1)
    assert handles(attempt(sqs, url, 3, VisibilityTimeout=1_000)) == handles(first)
    sqs.advance(1)
    assert sorted(one["Body"] for one in attempt(sqs, url, 3)) == ["b0", "b1"]


def test_38_the_memory_ends_with_the_messages_and_with_the_time(virtual: Virtual) -> None:
    """The memory ends with the messages and with the time, whichever is first."""
    url = virtual.queue(fifo=True)
    queue = virtual.queues.named(url.rpartition("/")[2])
    for number in range(300):
        virtual.send(url, "x", MessageGroupId=str(number))
    for number in range(100):
        for message in attempt(virtual, url, 1, f"deleted {number}".replace(" ", "-")):
            virtual.delete(url, message)
    assert len(queue.attempts) == 0
    for number in range(100):
        attempt(virtual, url, 1, f"short-{number}", VisibilityTimeout=60)
    for number in range(100):
        attempt(virtual, url, 1, f"long-{number}", VisibilityTimeout=1_000)
    assert len(queue.attempts) == 200
    virtual.advance(60)
    virtual.counts(url)
    assert len(queue.attempts) == 100
    virtual.advance(INTERVAL - 60)
    virtual.counts(url)
    assert len(queue.attempts) == 0


def test_38_a_purge_ends_every_attempt(virtual: Virtual) -> None:
    """After a purge an attempt brings what was sent since."""
    url = filled(virtual)
    attempt(virtual, url)
    virtual.queues.named(url.rpartition("/")[2]).purge("")
    virtual.send(url, "new", MessageGroupId="a")
    assert [one["Body"] for one in attempt(virtual, url)] == ["new"]
