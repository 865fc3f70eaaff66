from __future__ import annotations

from typing import Any

import pytest

from tests.support.local_sqs import Sqs
from tests.support.ours import Ours
from tests.support.refused import invalid, refused


def one(sqs: Sqs, url: str, **options: int) -> dict[str, Any]:
    """Send one message and receive it."""
    group = {"MessageGroupId": "g"} if url.endswith(".fifo") else {}
    sqs.send(url, "x", **group)
    (message,) = sqs.receive(url, **options)
    return message


def test_17_after_expiry_the_same_message_comes_with_a_new_handle_and_count_two(sqs: Sqs) -> None:
    """After expiry the same message comes with a new handle and count two."""
    url = sqs.queue({"VisibilityTimeout": "2"})
    first = one(sqs, url)
    sqs.advance(1)
    assert sqs.receive(url) == []
    sqs.advance(1)
    (second,) = sqs.receive(url)
    assert second["MessageId"] == first["MessageId"]
    assert second["ReceiptHandle"] != first["ReceiptHandle"]
    assert first["Attributes"]["ApproximateReceiveCount"] == "1"
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"
    for name in ("ApproximateFirstReceiveTimestamp", "SentTimestamp"):
        assert second["Attributes"][name] == first["Attributes"][name]


def test_18_the_timeout_of_a_receive_overrides_the_queues(sqs: Sqs) -> None:
    """The timeout of a receive overrides the queue's, for that receive alone."""
    url = sqs.queue({"VisibilityTimeout": "3"})
    one(sqs, url, VisibilityTimeout=1)
    sqs.advance(1)
    assert sqs.bodies(url) == ["x"]
    sqs.advance(2)
    assert sqs.bodies(url) == []
    sqs.advance(1)
    assert sqs.bodies(url) == ["x"]


def test_18_a_timeout_of_zero_leaves_the_message_visible(sqs: Sqs) -> None:
    """A timeout of zero leaves the message visible."""
    url = sqs.queue()
    one(sqs, url, VisibilityTimeout=0)
    (message,) = sqs.receive(url)
    assert message["Attributes"]["ApproximateReceiveCount"] == "2"
    assert sqs.counts(url) == (0, 1, 0)


def test_19_a_change_counts_from_the_call(sqs: Sqs) -> None:
    """A change counts from the call."""
    url = sqs.queue({"VisibilityTimeout": "2"})
    message = one(sqs, url)
    sqs.advance(1)
    sqs.change(url, message, 3)
    sqs.advance(2)
    assert sqs.receive(url) == []
    sqs.advance(1)
    assert sqs.bodies(url) == ["x"]


def test_19_a_change_to_zero_is_now_and_the_next_receive_forgets_it(sqs: Sqs) -> None:
    """A change to zero is now and the next receive forgets it."""
    url = sqs.queue({"VisibilityTimeout": "2"})
    sqs.change(url, one(sqs, url), 0)
    assert sqs.bodies(url) == ["x"]
    sqs.advance(1)
    assert sqs.receive(url) == []
    sqs.advance(1)
    assert sqs.bodies(url) == ["x"]


@pytest.mark.differs(
    "ministack",
    aws="The maximum allowed timeout value is 12 hours, in total since the message was received.",
)
def test_20_more_than_twelve_hours_in_all_are_refused_and_change_nothing(sqs: Sqs) -> None:
    """More than twelve hours in all are refused and change nothing."""
    url = sqs.queue({"VisibilityTimeout": "3"})
    message = one(sqs, url)
    with invalid("43201"):
        sqs.change(url, message, 43_201)
    sqs.advance(2)
    with invalid("Total VisibilityTimeout"):
        sqs.change(url, message, 43_200)
    assert sqs.receive(url) == []
    sqs.advance(1)
    assert sqs.bodies(url) == ["x"]


@pytest.mark.needs_time(43_200)
def test_20_twelve_hours_are_a_total_since_the_receive(sqs: Sqs) -> None:
    """Twelve hours are a total since the receive."""
    url = sqs.queue()
    message = one(sqs, url)
    sqs.advance(10)
    with invalid("Total VisibilityTimeout"):
        sqs.change(url, message, 43_200)
    sqs.change(url, message, 43_189)
    sqs.advance(43_188)
    assert sqs.receive(url) == []
    sqs.advance(1)
    assert sqs.bodies(url) == ["x"]


@pytest.mark.parametrize("seconds", [2, 5, pytest.param(3_600, marks=pytest.mark.needs_time(3_600))])
def test_21_extended_by_n_a_message_is_invisible_for_exactly_n(sqs: Sqs, seconds: int) -> None:
    """Extended by n a message is invisible for exactly n."""
    url = sqs.queue()
    message = one(sqs, url)
    start = sqs.now()
    sqs.change(url, message, seconds)
    sqs.advance(seconds - 1)
    assert sqs.receive(url) == []
    (again,) = sqs.receive(url, WaitTimeSeconds=5)
    assert again["MessageId"] == message["MessageId"]
    assert seconds <= sqs.now() - start <= seconds + sqs.slack


def test_22_standard_a_delete_after_expiry_deletes(sqs: Sqs) -> None:
    """On standard queues a delete after expiry deletes."""
    url = sqs.queue({"VisibilityTimeout": "1"})
    message = one(sqs, url)
    sqs.advance(1)
    sqs.delete(url, message)
    assert sqs.receive(url) == []
    assert sqs.counts(url) == (0, 0, 0)


@pytest.mark.differs(
    "ministack",
    aws="Recorded: each receive gives a new handle, and an older one still deletes on a standard queue.",
)
def test_23_standard_an_older_handle_deletes_under_the_new_lease(sqs: Sqs) -> None:
    """On standard queues an older handle deletes under the new lease."""
    url = sqs.queue({"VisibilityTimeout": "1"})
    first = one(sqs, url)
    sqs.advance(1)
    assert sqs.bodies(url, VisibilityTimeout=20) == ["x"]
    sqs.delete(url, first)
    assert sqs.counts(url) == (0, 0, 0)


@pytest.mark.ours
def test_23_a_stale_delete_is_logged_as_such(sqs: Sqs) -> None:
    """A stale delete is logged as such, and which lease it hit."""
    url = sqs.queue({"VisibilityTimeout": "1"})
    first = one(sqs, url)
    sqs.advance(1)
    sqs.receive(url)
    sqs.delete(url, first)
    deleted = sqs.events(url)[-1]
    assert (deleted["what"], deleted["stale"], deleted["count"]) == ("deleted", True, 2)
    assert deleted.get("found", True)  # said only where a delete finds nothing
    last = one(sqs, url)
    sqs.advance(1)
    sqs.delete(url, last)
    assert sqs.events(url)[-1]["stale"] is True


@pytest.mark.differs("ministack", aws="Recorded: a second delete of a message succeeds.")
def test_24_deleting_twice_is_no_error(sqs: Sqs) -> None:
    """Deleting twice is no error, one by one and in a batch."""
    url = sqs.queue()
    message = one(sqs, url)
    sqs.delete(url, message)
    sqs.delete(url, message)
    entry = {"Id": "a", "ReceiptHandle": message["ReceiptHandle"]}
    answer = sqs.client.delete_message_batch(QueueUrl=url, Entries=[entry])
    assert [one["Id"] for one in answer["Successful"]] == ["a"]
    assert not answer.get("Failed")


@pytest.mark.needs_time(60)
def test_24_deleting_after_retention_is_no_error(sqs: Sqs) -> None:
    """Deleting after retention is no error."""
    url = sqs.queue({"MessageRetentionPeriod": "60"})
    message = one(sqs, url, VisibilityTimeout=100)
    sqs.advance(60)
    assert sqs.counts(url) == (0, 0, 0)
    sqs.delete(url, message)


def test_25_standard_a_change_after_expiry_hides_the_message_again(sqs: Sqs) -> None:
    """On standard queues a change after expiry hides the message again."""
    url = sqs.queue({"VisibilityTimeout": "1"})
    message = one(sqs, url)
    sqs.advance(1)
    sqs.change(url, message, 2)
    assert sqs.receive(url) == []
    sqs.advance(2)
    assert sqs.bodies(url) == ["x"]


@pytest.mark.differs("ministack", aws="Recorded: an older handle of a standard queue takes effect on the new lease.")
def test_26_standard_an_older_handle_changes_the_new_lease(sqs: Sqs) -> None:
    """On standard queues an older handle changes the new lease."""
    url = sqs.queue({"VisibilityTimeout": "1"})
    first = one(sqs, url)
    sqs.advance(1)
    assert sqs.bodies(url, VisibilityTimeout=30) == ["x"]
    sqs.change(url, first, 0)
    assert sqs.bodies(url) == ["x"]


@pytest.mark.differs(
    "moto",
    "ministack",
    "roto-aws",
    aws=(
        "Recorded: InvalidParameterValue, the message does not exist or is not available for visibility timeout change."
    ),
)
def test_27_a_change_on_a_deleted_message_is_a_bad_value(sqs: Sqs) -> None:
    """A change on a deleted message is a bad value."""
    url = sqs.queue()
    message = one(sqs, url)
    sqs.delete(url, message)
    with invalid("does not exist or is not available for visibility timeout change"):
        sqs.change(url, message, 10)


@pytest.mark.parametrize("fifo", [False, True])
def test_28_garbage_is_no_receipt_handle(sqs: Sqs, fifo: bool) -> None:
    """Garbage is no receipt handle."""
    url = sqs.queue(fifo=fifo)
    for garbage in ("garbage", "ünicode"):
        refuses_handle(sqs, url, garbage)


@pytest.mark.parametrize("fifo", [False, True])
def test_28_nor_is_the_handle_of_another_queue(sqs: Sqs, fifo: bool) -> None:
    """Nor is the handle of another queue."""
    refuses_handle(sqs, sqs.queue(fifo=fifo), one(sqs, sqs.queue(fifo=fifo))["ReceiptHandle"])


@pytest.mark.differs(
    "moto",
    "ministack",
    "roto-aws",
    aws="The Smithy model of SQS declares ReceiptHandleIsInvalid with status 404.",
)
def test_28_it_is_not_found(sqs: Sqs) -> None:
    """Garbage is not found: 404, not 400."""
    with refused("ReceiptHandleIsInvalid") as facts:
        sqs.client.delete_message(QueueUrl=sqs.queue(), ReceiptHandle="garbage")
    assert facts["status"] == 404


def refuses_handle(sqs: Sqs, url: str, garbage: str) -> None:
    """All four calls that take a receipt handle refuse this one."""
    entry = {"Id": "a", "ReceiptHandle": garbage}
    with refused("ReceiptHandleIsInvalid", words="receipt handle", status=404):
        sqs.client.delete_message(QueueUrl=url, ReceiptHandle=garbage)
    with refused("ReceiptHandleIsInvalid", status=404):
        sqs.client.change_message_visibility(QueueUrl=url, ReceiptHandle=garbage, VisibilityTimeout=1)
    for answer in (
        sqs.client.delete_message_batch(QueueUrl=url, Entries=[entry]),
        sqs.client.change_message_visibility_batch(QueueUrl=url, Entries=[{**entry, "VisibilityTimeout": 1}]),
    ):
        (failed,) = answer["Failed"]
        assert (failed["Id"], failed["Code"], failed["SenderFault"]) == ("a", "ReceiptHandleIsInvalid", True)


def test_29_fifo_a_delete_in_time_after_an_extension_deletes(sqs: Sqs) -> None:
    """On FIFO queues a delete in time after an extension deletes."""
    url = sqs.queue({"VisibilityTimeout": "1"}, fifo=True)
    message = one(sqs, url)
    sqs.change(url, message, 20)
    sqs.advance(2)
    sqs.delete(url, message)
    assert sqs.counts(url) == (0, 0, 0)


@pytest.mark.differs(
    "moto",
    "ministack",
    "roto-aws",
    aws="Recorded: InvalidParameterValue, the receipt handle has expired.",
)
def test_29_fifo_a_handle_ends_with_its_lease(sqs: Sqs) -> None:
    """On FIFO queues a handle ends with its lease, for a delete."""
    url = sqs.queue({"VisibilityTimeout": "1"}, fifo=True)
    message = one(sqs, url)
    sqs.advance(1)
    with invalid("The receipt handle has expired"):
        sqs.delete(url, message)
    (again,) = sqs.receive(url, VisibilityTimeout=20)
    with invalid("The receipt handle has expired"):
        sqs.delete(url, message)
    sqs.delete(url, again)
    assert sqs.counts(url) == (0, 0, 0)


@pytest.mark.ours  # AWS's answer to this one is not recorded
def test_29_fifo_nor_can_it_be_extended(sqs: Sqs) -> None:
    """On FIFO queues an ended lease cannot be extended either."""
    url = sqs.queue({"VisibilityTimeout": "1"}, fifo=True)
    message = one(sqs, url)
    sqs.advance(1)
    with invalid("The receipt handle has expired"):
        sqs.change(url, message, 10)


@pytest.mark.parametrize("fifo", [False, True])
def test_30_too_many_in_flight_is_said_on_short_polls_of_standard_queues_only(ours: Ours, fifo: bool) -> None:
    """At the limit short polls of standard queues are refused and all others silent; deletes and expiry make room."""
    ours.reset(max_in_flight=3)
    url = ours.queue(fifo=fifo)
    ours.send(url, *"abcdefg", **({"MessageGroupId": "g"} if fifo else {}))
    received = ours.receive(url, VisibilityTimeout=30)
    assert [message["Body"] for message in received] == ["a", "b", "c"]
    if fifo:
        assert ours.receive(url) == []
    else:
        with refused("OverLimit", words="3", status=403):
            ours.receive(url)
    now = ours.now()
    assert ours.receive(url, WaitTimeSeconds=3) == []
    assert ours.now() == now + 3
    assert ours.counts(url) == (4, 3, 0)
    for message in received[:2]:
        ours.delete(url, message)
    assert ours.bodies(url) == ([] if fifo else ["d", "e"])  # on FIFO c stands before them
    ours.advance(27)
    assert ours.bodies(url) == (["c", "d", "e"] if fifo else ["f"])


def test_30_a_poll_that_waits_at_the_limit_gets_what_a_delete_makes_room_for(ours: Ours) -> None:
    """A poll that waits at the limit gets a message as soon as a delete makes room for it."""
    ours.reset(max_in_flight=1)
    url = ours.queue()
    ours.send(url, "a", "b")
    (held,) = ours.receive(url)
    start = ours.now()
    with ours.poll(url) as poll:
        ours.delete(url, held)
        assert [message["Body"] for message in poll.answer()["Messages"]] == ["b"]
    assert ours.now() == start


def test_30_the_limit_can_be_set_for_all_queues_and_for_one(ours: Ours) -> None:
    """The limit can be set for all queues and for one, and each queue counts its own."""
    ours.reset(max_in_flight=3)
    url, other = ours.queue(), ours.queue()
    ours.allow(other, 1)
    for one_of_them, most in ((url, 3), (other, 1)):
        ours.send(one_of_them, *"abcde")
        received = ours.receive(one_of_them)
        assert len(received) == most
        with refused("OverLimit", words=str(most)):
            ours.receive(one_of_them)
        ours.delete(one_of_them, received[0])
        assert len(ours.receive(one_of_them)) == 1
