from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from hadoken.local.state.eventlog import What
from tests.support.local_sqs import Sqs
from tests.support.ours import Ours
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


def test_37_a_repeat_is_told_and_wants_the_twelve_hours_anew(ours: Ours) -> None:
    """A repeat is an event of its own, and a receive as far as the 12 hours are concerned."""
    url = filled(ours)
    first = attempt(ours, url, 2)
    ours.advance(10)
    attempt(ours, url, 2)
    ours.change(url, first[0], 43_200)
    told = [event for event in ours.events(url) if event["what"] == What.REPEATED]
    assert [event["handle"] for event in told] == handles(first)
    assert {event["count"] for event in told} == {1}


def test_37_another_attempt_id_and_none_bring_other_messages(ours: Ours) -> None:
    """Another attempt id and none bring other messages."""
    url = filled(ours)
    assert len(attempt(ours, url, 3, "one")) == 3
    assert len(attempt(ours, url, 1, "two")) == 1
    assert attempt(ours, url, 1, "three") == []  # behind b0
    assert ours.receive(url) == []


def test_37_an_attempt_that_brought_nothing_may_bring_something_later(ours: Ours) -> None:
    """An attempt that brought nothing may bring something later, then the same again."""
    url = ours.queue(fifo=True)
    assert attempt(ours, url) == []
    ours.send(url, "x", MessageGroupId="g")
    found = attempt(ours, url)
    assert [one["Body"] for one in found] == ["x"]
    assert attempt(ours, url) == found


def test_37_a_repeat_for_fewer_messages_never_brings_more_than_asked(ours: Ours) -> None:
    """A repeat for fewer messages is another receive: never more than asked."""
    url = filled(ours)
    assert len(attempt(ours, url, 3)) == 3
    assert [one["Body"] for one in attempt(ours, url, 1)] == ["b0"]


def test_37_a_repeat_at_the_in_flight_limit_still_brings_what_it_brought(ours: Ours) -> None:
    """What is in flight already needs no room."""
    ours.reset(max_in_flight=2)
    url = filled(ours)
    first = attempt(ours, url)
    assert len(first) == 2
    assert attempt(ours, url) == first
    assert attempt(ours, url, name="other") == []


def test_37_the_id_is_checked_and_a_standard_queue_makes_nothing_of_it(ours: Ours) -> None:
    """The id is checked as other ids are, and a standard queue makes nothing of it."""
    url = filled(ours)
    for bad in ("", "x" * 129, "with space", "é"):
        with invalid("ReceiveRequestAttemptId"):
            attempt(ours, url, name=bad)
    standard = ours.queue()
    ours.send(standard, "x")
    assert len(attempt(ours, standard)) == 1
    assert attempt(ours, standard) == []
    assert ours.held(standard).attempts == 0


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


def test_38_what_is_visible_again_comes_under_a_new_handle_and_is_counted(ours: Ours) -> None:
    """What was released, or lost its lease, comes by an ordinary receive."""
    url = ours.queue(fifo=True)
    ours.send(url, "a0", "a1", "a2", MessageGroupId="a")
    first = attempt(ours, url, 2)
    ours.change(url, first[0], 0)
    (released,) = attempt(ours, url, 1)
    assert released["MessageId"] == first[0]["MessageId"]
    assert released["ReceiptHandle"] != first[0]["ReceiptHandle"]
    ours.advance(TIMEOUT)
    late = attempt(ours, url, 3)
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


def test_38_the_memory_ends_with_the_messages_and_with_the_time(ours: Ours) -> None:
    """The memory ends with the messages and with the time, whichever is first."""
    url = ours.queue(fifo=True)
    for number in range(300):
        ours.send(url, "x", MessageGroupId=str(number))
    for number in range(100):
        for message in attempt(ours, url, 1, f"deleted {number}".replace(" ", "-")):
            ours.delete(url, message)
    assert ours.held(url).attempts == 0
    for number in range(100):
        attempt(ours, url, 1, f"short-{number}", VisibilityTimeout=60)
    for number in range(100):
        attempt(ours, url, 1, f"long-{number}", VisibilityTimeout=1_000)
    assert ours.held(url).attempts == 200
    ours.advance(60)
    assert ours.held(url).attempts == 100
    ours.advance(INTERVAL - 60)
    assert ours.held(url).attempts == 0


def test_38_a_purge_ends_every_attempt(ours: Ours) -> None:
    """After a purge an attempt brings what was sent since."""
    url = filled(ours)
    attempt(ours, url)
    ours.client.purge_queue(QueueUrl=url)
    ours.send(url, "new", MessageGroupId="a")
    assert [one["Body"] for one in attempt(ours, url)] == ["new"]
