"""The profile `harsh`: each habit alone, switched on by name, then all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest

from hadoken.local.state.eventlog import What
from hadoken.local.state.profile import AWS, HARSH, Profile
from tests.support.ours import Ours
from tests.support.refused import PREFIX, invalid, refused

TIMEOUT = 30


def only(**habits: Any) -> Profile:
    """The profile `aws` with single habits of `harsh`."""
    return msgspec.structs.replace(AWS, **habits)


def what_happened(ours: Ours, url: str) -> list[What]:
    """The events of a queue by kind, in order."""
    return [event["what"] for event in ours.events(url)]


def received_again(ours: Ours) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
    """A standard queue with one message, the older and the newer of its two receives."""
    url = ours.queue({"VisibilityTimeout": str(TIMEOUT)})
    ours.send(url, "x")
    (older,) = ours.receive(url)
    ours.advance(TIMEOUT)
    (newer,) = ours.receive(url)
    return url, older, newer


def test_22_harsh_a_delete_after_expiry_still_deletes_while_nobody_has_received_it_since(ours: Ours) -> None:
    """Harsh: a delete after expiry still deletes while nobody has received it since."""
    ours.reset(profile=only(old_handles_delete=False))
    url = ours.queue({"VisibilityTimeout": "5"})
    ours.send(url, "x")
    (message,) = ours.receive(url)
    ours.advance(5)
    ours.delete(url, message)
    assert ours.counts(url) == (0, 0, 0)


def test_23_harsh_an_older_handle_is_accepted_and_does_nothing(ours: Ours) -> None:
    """Harsh: an older handle is accepted, deletes nothing and is logged as stale; the newer one deletes."""
    ours.reset(profile=only(old_handles_delete=False))
    url, older, newer = received_again(ours)
    ours.delete(url, older)
    (told,) = [event for event in ours.events(url) if event["what"] == What.DELETED]
    assert (told["stale"], told["found"], told["id"]) == (True, False, older["MessageId"])
    assert ours.counts(url) == (0, 1, 0)
    answer = ours.client.delete_message_batch(
        QueueUrl=url, Entries=[{"Id": "0", "ReceiptHandle": older["ReceiptHandle"]}]
    )
    assert "Failed" not in answer
    ours.delete(url, newer)
    assert ours.counts(url) == (0, 0, 0)


def test_23_harsh_an_older_handle_does_nothing_after_the_newer_lease_ended_either(ours: Ours) -> None:
    """Harsh: an older handle does nothing after the newer lease ended either."""
    ours.reset(profile=only(old_handles_delete=False))
    url, older, newer = received_again(ours)
    ours.advance(TIMEOUT)
    ours.delete(url, older)
    assert ours.counts(url) == (1, 0, 0)
    ours.delete(url, newer)
    assert ours.counts(url) == (0, 0, 0)


def test_25_harsh_a_change_after_expiry_is_refused_as_not_in_flight(ours: Ours) -> None:
    """Harsh: a change after expiry is refused as not in flight, alone and as an entry, and hides nothing."""
    ours.reset(profile=only(late_changes=False))
    url = ours.queue({"VisibilityTimeout": "5"})
    ours.send(url, "x")
    (message,) = ours.receive(url)
    ours.change(url, message, 6)
    ours.advance(6)
    with refused("MessageNotInflight", PREFIX + "MessageNotInflight"):
        ours.change(url, message, 5)
    entry = {"Id": "0", "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 0}
    (failed,) = ours.client.change_message_visibility_batch(QueueUrl=url, Entries=[entry])["Failed"]
    assert (failed["Code"], failed["SenderFault"]) == ("MessageNotInflight", True)
    assert ours.counts(url) == (1, 0, 0)


def test_26_harsh_an_older_handle_changes_the_new_lease_as_ever(ours: Ours) -> None:
    """Harsh: an older handle changes the new lease as ever."""
    ours.reset(profile=only(late_changes=False))
    url, older, _ = received_again(ours)
    ours.change(url, older, 0)
    assert ours.bodies(url) == ["x"]


@pytest.mark.parametrize("fifo", [False, True])
def test_27_harsh_fifo_and_what_is_gone_are_answered_as_ever(ours: Ours, fifo: bool) -> None:
    """Harsh: FIFO handles end with their lease, and what is gone cannot be changed, as ever."""
    ours.reset(profile=msgspec.structs.replace(HARSH, missed=0.0, short=0.0, returned=0.0, doubled=0.0))
    url = ours.queue({"VisibilityTimeout": "5"}, fifo=fifo)
    ours.send(url, "x", **({"MessageGroupId": "g"} if fifo else {}))
    (message,) = ours.receive(url)
    if fifo:
        ours.advance(5)
        with invalid("has expired"):
            ours.change(url, message, 5)
        (message,) = ours.receive(url)
    ours.delete(url, message)
    with invalid("not available for visibility timeout change"):
        ours.change(url, message, 5)


def test_24_harsh_a_deleted_message_comes_back_once(ours: Ours) -> None:
    """Harsh: a deleted message comes back within its time, under its id, and once only."""
    ours.reset(profile=only(returned=1.0))
    url = ours.queue()
    (sent,) = ours.send(url, "x")
    (first,) = ours.receive(url)
    ours.delete(url, first)
    ours.delete(url, first)  # no second copy
    assert ours.counts(url) == (0, 0, 0)
    (again,) = (
        ours.receive(url, WaitTimeSeconds=20)
        or ours.receive(url, WaitTimeSeconds=20)
        or ours.receive(url, WaitTimeSeconds=20)
    )
    assert again["MessageId"] == sent["MessageId"]
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"
    assert again["ReceiptHandle"] != first["ReceiptHandle"]
    ours.delete(url, again)
    ours.advance(2 * AWS.max_return)
    assert ours.counts(url) == (0, 0, 0)
    assert what_happened(ours, url).count(What.RETURNED) == 1


def test_24_harsh_no_message_comes_back_to_a_fifo_queue_after_a_purge_or_beyond_its_retention(
    ours: Ours,
) -> None:
    """Harsh: nothing comes back to a FIFO queue, to a purged one, or when its retention period is over."""
    ours.reset(profile=only(returned=1.0, max_return=60.0))
    fifo, purged, short = ours.queue(fifo=True), ours.queue(), ours.queue({"MessageRetentionPeriod": "60"})
    ours.send(fifo, "x", MessageGroupId="g")
    ours.send(purged, "x")
    ours.send(short, "x")
    ours.advance(59)
    for url in (fifo, purged, short):
        ours.delete(url, ours.receive(url)[0])
    ours.client.purge_queue(QueueUrl=purged)
    ours.advance(60)
    for url in (fifo, purged, short):
        assert ours.counts(url) == (0, 0, 0)
    assert What.RETURNED not in what_happened(ours, fifo) + what_happened(ours, purged)


def test_34_harsh_a_standard_queue_gives_out_in_any_order_and_loses_none(ours: Ours) -> None:
    """Harsh: a standard queue gives out in any order and loses none; a FIFO queue keeps its order."""
    ours.reset(profile=only(shuffled_order=True), seed=3)
    sent = [f"{number:02}" for number in range(40)]
    url = ours.queue()
    ours.send(url, *sent)
    received = [body for _ in range(4) for body in ours.bodies(url)]
    assert sorted(received) == sent
    assert received != sent
    assert ours.bodies(url) == []
    fifo = ours.queue(fifo=True)
    ours.send(fifo, *sent, MessageGroupId="g")
    ordered: list[str] = []
    while batch := ours.receive(fifo):
        ordered += [message["Body"] for message in batch]
        for message in batch:
            ours.delete(fifo, message)
    assert ordered == sent


def test_17_harsh_a_message_is_given_out_again_while_its_lease_lasts(ours: Ours) -> None:
    """Harsh: a message is given out again while its lease lasts, to a poll that waits too; FIFO never."""
    ours.reset(profile=only(doubled=1.0))
    url, fifo = ours.queue(), ours.queue(fifo=True)
    ours.send(url, "x")
    ours.send(fifo, "x", MessageGroupId="g")
    (first,) = ours.receive(url, VisibilityTimeout=19)
    ours.receive(fifo, VisibilityTimeout=600)
    lease_end = ours.now() + 19
    (again,) = ours.receive(url, WaitTimeSeconds=20, VisibilityTimeout=600)
    assert ours.now() < lease_end
    assert again["ReceiptHandle"] != first["ReceiptHandle"]
    assert ours.bodies(fifo, WaitTimeSeconds=20) == []
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"
    assert What.DOUBLED in what_happened(ours, url)
    assert What.DOUBLED not in what_happened(ours, fifo)


def test_08_harsh_a_short_poll_may_find_nothing_and_a_long_one_finds_it(ours: Ours) -> None:
    """Harsh: a short poll may find nothing; a long one asks everywhere."""
    ours.reset(profile=only(missed=1.0))
    url = ours.queue()
    ours.send(url, "x")
    now = ours.now()
    assert [ours.bodies(url) for _ in range(5)] == [[]] * 5
    assert ours.bodies(url, WaitTimeSeconds=1) == ["x"]
    assert ours.now() == now


@pytest.mark.parametrize("fifo", [False, True])
def test_16_harsh_a_receive_may_be_short_but_not_empty(ours: Ours, fifo: bool) -> None:
    """Harsh: a receive may bring fewer messages than there are, but some, and in order on FIFO."""
    ours.reset(profile=only(short=1.0), seed=1)
    url = ours.queue(fifo=fifo)
    sent = [str(number) for number in range(30)]
    ours.send(url, *sent, **({"MessageGroupId": "g"} if fifo else {}))
    sizes, bodies = [], []
    while batch := ours.receive(url):
        sizes.append(len(batch))
        bodies += [message["Body"] for message in batch]
        for message in batch:
            ours.delete(url, message)
    assert min(sizes) < 10
    assert bodies == sent


def test_65_harsh_counters_are_those_of_up_to_their_lateness_ago(ours: Ours) -> None:
    """Harsh: counters stand still between two counting times, then say what was true at the last one."""
    ours.reset(profile=only(lateness=60.0))
    url = ours.queue({"VisibilityTimeout": "50"})
    ours.send(url, "a", "b")
    assert ours.counts(url) == (0, 0, 0)
    ours.advance(30)
    ours.receive(url, 1)
    ours.advance(29)
    assert ours.counts(url) == (0, 0, 0)
    ours.advance(1)
    assert ours.counts(url) == (1, 1, 0)
    ours.advance(20)  # the lease has ended
    assert ours.counts(url) == (1, 1, 0)
    assert sorted(ours.bodies(url)) == ["a", "b"]  # what is received is never late
    ours.advance(600)  # nobody asked meanwhile: the leases ended long before the last counting time
    assert ours.counts(url) == (2, 0, 0)


def test_65_harsh_attributes_change_late_and_one_change_does_not_undo_another(ours: Ours) -> None:
    """Harsh: attributes change when their lateness is over; two changes under way both come."""
    ours.reset(profile=only(lateness=60.0))
    url = ours.queue({"VisibilityTimeout": "10"})
    ours.send(url, "x")

    def attributes() -> tuple[str, str]:
        found = ours.client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return found["VisibilityTimeout"], found["DelaySeconds"]

    ours.client.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "600"})
    ours.advance(30)
    ours.client.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "7"})
    assert attributes() == ("10", "0")
    ours.receive(url)
    ours.advance(10)
    assert ours.bodies(url) == ["x"]  # under the timeout of before
    ours.advance(20)
    assert attributes() == ("600", "0")
    ours.advance(30)
    assert attributes() == ("600", "7")


BATCH = [str(number) for number in range(10)]


def deleted(ours: Ours, url: str) -> dict[str, Any]:
    """The answer to a delete batch of ten entries, three of them bad."""
    received = ours.receive(url)
    entries = [{"Id": str(at), "ReceiptHandle": one["ReceiptHandle"]} for at, one in enumerate(received)]
    for at in (2, 5, 8):
        entries[at]["ReceiptHandle"] = "garbage"
    answer: dict[str, Any] = ours.client.delete_message_batch(QueueUrl=url, Entries=entries)
    return answer


def changed(ours: Ours, url: str) -> dict[str, Any]:
    """The answer to a visibility batch of ten entries, three of them bad."""
    received = ours.receive(url)
    entries = [
        {"Id": str(at), "ReceiptHandle": one["ReceiptHandle"], "VisibilityTimeout": 50_000 if at in {2, 5, 8} else 0}
        for at, one in enumerate(received)
    ]
    answer: dict[str, Any] = ours.client.change_message_visibility_batch(QueueUrl=url, Entries=entries)
    return answer


def sent(ours: Ours, url: str) -> dict[str, Any]:
    """The answer to a send batch of ten entries, three of them bad."""
    entries = [{"Id": one, "MessageBody": "\x08" if one in {"2", "5", "8"} else one} for one in BATCH]
    answer: dict[str, Any] = ours.client.send_message_batch(QueueUrl=url, Entries=entries)
    return answer


@pytest.mark.parametrize("act", [deleted, changed, sent])
def test_51_batches_are_answered_in_any_order_by_id(ours: Ours, act: Callable[[Ours, str], dict[str, Any]]) -> None:
    """Batches are answered in any order: every entry once, and by its id alone; the same seed, the same order."""
    orders: list[list[list[str]]] = []
    for seed in (1, 1, 2):
        ours.reset(seed=seed)
        orders.append([])
        for _ in range(5):
            url = ours.queue()
            ours.send(url, *BATCH)
            answer = act(ours, url)
            done = [one["Id"] for one in answer["Successful"]]
            assert sorted(done) == sorted(set(BATCH) - {"2", "5", "8"})
            assert {one["Id"] for one in answer["Failed"]} == {"2", "5", "8"}
            orders[-1].append(done)
    assert orders[0] == orders[1] != orders[2]
    assert any(done != sorted(done) for done in orders[0])


def test_51_without_the_habit_batches_are_answered_in_their_order(ours: Ours) -> None:
    """Without the habit batches are answered in their order."""
    ours.reset(profile=only(shuffled_answers=False))
    for _ in range(5):
        url = ours.queue()
        ours.send(url, *BATCH)
        assert [one["Id"] for one in deleted(ours, url)["Successful"]] == ["0", "1", "3", "4", "6", "7", "9"]


def play(ours: Ours, seed: int) -> list[tuple[float, str, int]]:
    """What happens to forty messages of a harsh queue, each deleted as it is received."""
    ours.reset(profile=HARSH, seed=seed)
    url = ours.client.create_queue(QueueName="one-name")["QueueUrl"]
    bodies = {one["MessageId"]: str(at) for at, one in enumerate(ours.send(url, *map(str, range(40))))}
    start = ours.now()
    for _ in range(40):
        for message in ours.receive(url):
            ours.delete(url, message)
        ours.advance(10)
    assert ours.held(url).messages == 0
    return [
        (event["at"] - start, bodies[event["id"]], event["count"])
        for event in ours.events(url)
        if event["what"] != What.SENT
    ]


def test_24_harsh_the_same_seed_gives_the_same_fate_and_another_seed_another(ours: Ours) -> None:
    """Harsh: the same seed gives the same fate and another seed another; in the end everything is gone."""
    first, again, other = play(ours, 5), play(ours, 5), play(ours, 6)
    assert [(round(at, 6), *rest) for at, *rest in first] == [(round(at, 6), *rest) for at, *rest in again]
    assert [rest for _, *rest in first] != [rest for _, *rest in other]


def test_64_harsh_refuses_a_name_whose_queue_was_just_deleted(ours: Ours) -> None:
    """Harsh: a name cannot be used again within 60 s of its queue's deletion; after that, and in `aws`, it can."""
    for profile, refusing in ((only(recreation=False), True), (AWS, False)):
        ours.reset(profile=profile)
        url = ours.queue()
        ours.client.delete_queue(QueueUrl=url)
        name = url.rpartition("/")[2]
        if refusing:
            ours.advance(59)
            with refused("QueueDeletedRecently", PREFIX + "QueueDeletedRecently"):
                ours.client.create_queue(QueueName=name)
            ours.advance(1)
        assert ours.client.create_queue(QueueName=name)["QueueUrl"] == url
