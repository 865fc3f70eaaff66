from __future__ import annotations

from typing import Any

import pytest

from tests.support.local_sqs import Sqs, Virtual
from tests.support.refused import invalid, refused


def one(sqs: Sqs, url: str, **options: int) -> dict[str, Any]:
    """Send one message and receive it."""
    group = {"MessageGroupId": "g"} if url.endswith(".fifo") else {}
    sqs.send(url, "x", **group)
    (message,) = sqs.receive(url, **options)
    return message


def test_17_after_expiry_the_same_message_comes_with_a_new_handle_and_count_two(virtual: Virtual) -> None:
    """After expiry the same message comes with a new handle and count two."""
    url = virtual.queue()
    first = one(virtual, url)
    virtual.advance(29)
    assert virtual.receive(url) == []
    virtual.advance(1)
    (second,) = virtual.receive(url)
    assert second["MessageId"] == first["MessageId"]
    assert second["ReceiptHandle"] != first["ReceiptHandle"]
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"
    for name in ("ApproximateFirstReceiveTimestamp", "SentTimestamp"):
        assert second["Attributes"][name] == first["Attributes"][name]


def test_18_the_timeout_of_a_receive_overrides_the_queues_and_zero_leaves_it_visible(virtual: Virtual) -> None:
    """The timeout of a receive overrides the queue's and zero leaves it visible."""
    url = virtual.queue({"VisibilityTimeout": "100"})
    one(virtual, url, VisibilityTimeout=5)
    virtual.advance(5)
    assert virtual.bodies(url, VisibilityTimeout=0) == ["x"]
    assert virtual.counts(url) == (1, 0, 0)
    assert virtual.bodies(url) == ["x"]
    virtual.advance(99)
    assert virtual.bodies(url) == []
    virtual.advance(1)
    assert virtual.bodies(url) == ["x"]


def test_19_a_change_counts_from_the_call_zero_is_now_and_the_next_receive_forgets_it(virtual: Virtual) -> None:
    """A change counts from the call zero is now and the next receive forgets it."""
    url = virtual.queue()
    message = one(virtual, url)
    virtual.advance(10)
    virtual.change(url, message, 40)
    virtual.advance(39)
    assert virtual.receive(url) == []
    virtual.advance(1)
    (message,) = virtual.receive(url)
    virtual.change(url, message, 0)
    (message,) = virtual.receive(url)
    virtual.advance(29)
    assert virtual.receive(url) == []
    virtual.advance(1)
    assert virtual.bodies(url) == ["x"]


def test_20_twelve_hours_are_a_total_since_the_receive(virtual: Virtual) -> None:
    """Twelve hours are a total since the receive."""
    url = virtual.queue()
    message = one(virtual, url)
    with invalid("43201"):
        virtual.change(url, message, 43_201)
    virtual.advance(10)
    with invalid("Total VisibilityTimeout"):
        virtual.change(url, message, 43_200)
    virtual.advance(19)  # what was refused has changed nothing
    assert virtual.receive(url) == []
    virtual.advance(1)
    (message,) = virtual.receive(url)
    virtual.advance(10)
    virtual.change(url, message, 43_189)
    virtual.advance(43_188)
    assert virtual.receive(url) == []
    virtual.advance(1)
    assert virtual.bodies(url) == ["x"]


@pytest.mark.parametrize("seconds", [1, 7, 3_600])
def test_21_extended_by_n_a_message_is_invisible_for_exactly_n(virtual: Virtual, seconds: int) -> None:
    """Extended by n a message is invisible for exactly n."""
    url = virtual.queue()
    message = one(virtual, url)
    virtual.change(url, message, seconds)
    end = virtual.clock.lease() + seconds
    virtual.advance(seconds - 1)
    assert virtual.receive(url) == []
    (again,) = virtual.receive(url, WaitTimeSeconds=5)
    assert again["MessageId"] == message["MessageId"]
    assert virtual.clock.lease() == end


def test_22_standard_a_delete_after_expiry_deletes(virtual: Virtual) -> None:
    """On standard queues a delete after expiry deletes."""
    url = virtual.queue()
    message = one(virtual, url)
    virtual.advance(30)
    virtual.delete(url, message)
    assert virtual.counts(url) == (0, 0, 0)
    assert virtual.events(url)[-1]["stale"] is True


def test_23_standard_an_older_handle_deletes_under_the_new_lease_and_is_logged_as_stale(virtual: Virtual) -> None:
    """On standard queues an older handle deletes under the new lease and is logged as stale."""
    url = virtual.queue()
    first = one(virtual, url)
    virtual.advance(30)
    virtual.receive(url)
    virtual.delete(url, first)
    assert virtual.counts(url) == (0, 0, 0)
    deleted = virtual.events(url)[-1]
    assert (deleted["what"], deleted["stale"], deleted["found"], deleted["count"]) == ("deleted", True, True, 2)


def test_24_deleting_twice_and_after_retention_is_no_error(virtual: Virtual) -> None:
    """Deleting twice and after retention is no error."""
    url = virtual.queue({"MessageRetentionPeriod": "60"})
    message = one(virtual, url)
    virtual.delete(url, message)
    virtual.delete(url, message)
    assert virtual.events(url)[-1]["found"] is False
    message = one(virtual, url, VisibilityTimeout=100)
    virtual.advance(60)
    assert virtual.counts(url) == (0, 0, 0)
    virtual.delete(url, message)


def test_25_standard_a_change_after_expiry_hides_the_message_again(virtual: Virtual) -> None:
    """On standard queues a change after expiry hides the message again."""
    url = virtual.queue()
    message = one(virtual, url)
    virtual.advance(30)
    assert virtual.counts(url) == (1, 0, 0)
    virtual.change(url, message, 20)
    assert virtual.counts(url) == (0, 1, 0)
    virtual.advance(20)
    assert virtual.bodies(url) == ["x"]


def test_26_standard_an_older_handle_changes_the_new_lease(virtual: Virtual) -> None:
    """On standard queues an older handle changes the new lease."""
    url = virtual.queue()
    first = one(virtual, url)
    virtual.advance(30)
    virtual.receive(url)
    virtual.change(url, first, 0)
    assert virtual.counts(url) == (1, 0, 0)


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
    url, other = sqs.queue(fifo=fifo), sqs.queue(fifo=fifo)
    for garbage in ("garbage", "ünicode", one(sqs, other)["ReceiptHandle"]):
        with refused("ReceiptHandleIsInvalid", words="receipt handle", status=404):
            sqs.client.delete_message(QueueUrl=url, ReceiptHandle=garbage)
        with refused("ReceiptHandleIsInvalid"):
            sqs.client.change_message_visibility(QueueUrl=url, ReceiptHandle=garbage, VisibilityTimeout=1)
        answer = sqs.client.delete_message_batch(QueueUrl=url, Entries=[{"Id": "a", "ReceiptHandle": garbage}])
        (failed,) = answer["Failed"]
        assert (failed["Id"], failed["Code"], failed["SenderFault"]) == ("a", "ReceiptHandleIsInvalid", True)


def test_29_fifo_a_handle_ends_with_its_lease(virtual: Virtual) -> None:
    """On FIFO queues a handle ends with its lease."""
    url = virtual.queue(fifo=True)
    message = one(virtual, url)
    virtual.change(url, message, 60)
    virtual.advance(59)
    virtual.delete(url, message)
    assert virtual.counts(url) == (0, 0, 0)
    message = one(virtual, url)
    virtual.advance(30)
    with invalid("The receipt handle has expired."):
        virtual.delete(url, message)
    with invalid("The receipt handle has expired."):
        virtual.change(url, message, 10)
    (again,) = virtual.receive(url)
    with invalid("The receipt handle has expired."):
        virtual.delete(url, message)
    virtual.delete(url, again)
    assert virtual.counts(url) == (0, 0, 0)


def test_30_too_many_in_flight_is_said_on_short_polls_of_standard_queues_only(virtual: Virtual) -> None:
    """Too many in flight is said on short polls of standard queues only."""
    for fifo in (False, True):
        url = virtual.queue(fifo=fifo)
        virtual.queues.find(url).max_in_flight = 2
        group = {"MessageGroupId": "g"} if fifo else {}
        virtual.send(url, *"abc", **group)
        assert virtual.bodies(url) == ["a", "b"]
        if fifo:
            assert virtual.receive(url) == []
        else:
            with refused("OverLimit", status=403):
                virtual.receive(url)
        now = virtual.clock.lease()
        assert virtual.receive(url, WaitTimeSeconds=3) == []
        assert virtual.clock.lease() == now + 3
        virtual.advance(27)
        assert virtual.bodies(url) == (["a", "b"] if fifo else ["c", "a"])
