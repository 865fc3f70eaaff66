"""The profile `harsh`: each habit alone, switched on by name, then all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import msgspec
import pytest

from hadoken.local.state.eventlog import What
from hadoken.local.state.profile import AWS, HARSH, Profile
from tests.support.local_sqs import Sqs, Timed, TimedServer, Virtual
from tests.support.refused import PREFIX, invalid, refused

TIMEOUT = 30


def only(**habits: Any) -> Profile:
    """The profile `aws` with single habits of `harsh`."""
    return msgspec.structs.replace(AWS, **habits)


def what_happened(virtual: Virtual, url: str) -> list[What]:
    """The events of a queue by kind, in order."""
    return [event["what"] for event in virtual.events(url)]


def received_again(virtual: Virtual) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
    """A standard queue with one message, the older and the newer of its two receives."""
    url = virtual.queue({"VisibilityTimeout": str(TIMEOUT)})
    virtual.send(url, "x")
    (older,) = virtual.receive(url)
    virtual.advance(TIMEOUT)
    (newer,) = virtual.receive(url)
    return url, older, newer


def test_22_harsh_a_delete_after_expiry_still_deletes_while_nobody_has_received_it_since(virtual: Virtual) -> None:
    """Harsh: a delete after expiry still deletes while nobody has received it since."""
    virtual.reset(profile=only(old_handles_delete=False))
    url = virtual.queue({"VisibilityTimeout": "5"})
    virtual.send(url, "x")
    (message,) = virtual.receive(url)
    virtual.advance(5)
    virtual.delete(url, message)
    assert virtual.counts(url) == (0, 0, 0)


def test_23_harsh_an_older_handle_is_accepted_and_does_nothing(virtual: Virtual) -> None:
    """Harsh: an older handle is accepted, deletes nothing and is logged as stale; the newer one deletes."""
    virtual.reset(profile=only(old_handles_delete=False))
    url, older, newer = received_again(virtual)
    virtual.delete(url, older)
    (told,) = [event for event in virtual.events(url) if event["what"] is What.DELETED]
    assert (told["stale"], told["found"], told["id"]) == (True, False, older["MessageId"])
    assert virtual.counts(url) == (0, 1, 0)
    answer = virtual.client.delete_message_batch(
        QueueUrl=url, Entries=[{"Id": "0", "ReceiptHandle": older["ReceiptHandle"]}]
    )
    assert "Failed" not in answer
    virtual.delete(url, newer)
    assert virtual.counts(url) == (0, 0, 0)


def test_23_harsh_an_older_handle_does_nothing_after_the_newer_lease_ended_either(virtual: Virtual) -> None:
    """Harsh: an older handle does nothing after the newer lease ended either."""
    virtual.reset(profile=only(old_handles_delete=False))
    url, older, newer = received_again(virtual)
    virtual.advance(TIMEOUT)
    virtual.delete(url, older)
    assert virtual.counts(url) == (1, 0, 0)
    virtual.delete(url, newer)
    assert virtual.counts(url) == (0, 0, 0)


def test_25_harsh_a_change_after_expiry_is_refused_as_not_in_flight(virtual: Virtual) -> None:
    """Harsh: a change after expiry is refused as not in flight, alone and as an entry, and hides nothing."""
    virtual.reset(profile=only(late_changes=False))
    url = virtual.queue({"VisibilityTimeout": "5"})
    virtual.send(url, "x")
    (message,) = virtual.receive(url)
    virtual.change(url, message, 6)
    virtual.advance(6)
    with refused("MessageNotInflight", PREFIX + "MessageNotInflight"):
        virtual.change(url, message, 5)
    entry = {"Id": "0", "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 0}
    (failed,) = virtual.client.change_message_visibility_batch(QueueUrl=url, Entries=[entry])["Failed"]
    assert (failed["Code"], failed["SenderFault"]) == ("MessageNotInflight", True)
    assert virtual.counts(url) == (1, 0, 0)


def test_26_harsh_an_older_handle_changes_the_new_lease_as_ever(virtual: Virtual) -> None:
    """Harsh: an older handle changes the new lease as ever."""
    virtual.reset(profile=only(late_changes=False))
    url, older, _ = received_again(virtual)
    virtual.change(url, older, 0)
    assert virtual.bodies(url) == ["x"]


@pytest.mark.parametrize("fifo", [False, True])
def test_27_harsh_fifo_and_what_is_gone_are_answered_as_ever(virtual: Virtual, fifo: bool) -> None:
    """Harsh: FIFO handles end with their lease, and what is gone cannot be changed, as ever."""
    virtual.reset(profile=msgspec.structs.replace(HARSH, missed=0.0, short=0.0, returned=0.0, doubled=0.0))
    url = virtual.queue({"VisibilityTimeout": "5"}, fifo=fifo)
    virtual.send(url, "x", **({"MessageGroupId": "g"} if fifo else {}))
    (message,) = virtual.receive(url)
    if fifo:
        virtual.advance(5)
        with invalid("has expired"):
            virtual.change(url, message, 5)
        (message,) = virtual.receive(url)
    virtual.delete(url, message)
    with invalid("not available for visibility timeout change"):
        virtual.change(url, message, 5)


def test_24_harsh_a_deleted_message_comes_back_once(virtual: Virtual) -> None:
    """Harsh: a deleted message comes back within its time, under its id, and once only."""
    virtual.reset(profile=only(returned=1.0))
    url = virtual.queue()
    (sent,) = virtual.send(url, "x")
    (first,) = virtual.receive(url)
    virtual.delete(url, first)
    virtual.delete(url, first)  # no second copy
    assert virtual.counts(url) == (0, 0, 0)
    (again,) = (
        virtual.receive(url, WaitTimeSeconds=20)
        or virtual.receive(url, WaitTimeSeconds=20)
        or virtual.receive(url, WaitTimeSeconds=20)
    )
    assert again["MessageId"] == sent["MessageId"]
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"
    assert again["ReceiptHandle"] != first["ReceiptHandle"]
    virtual.delete(url, again)
    virtual.advance(2 * AWS.max_return)
    assert virtual.counts(url) == (0, 0, 0)
    assert what_happened(virtual, url).count(What.RETURNED) == 1


def test_24_harsh_no_message_comes_back_to_a_fifo_queue_after_a_purge_or_beyond_its_retention(
    virtual: Virtual,
) -> None:
    """Harsh: nothing comes back to a FIFO queue, to a purged one, or when its retention period is over."""
    virtual.reset(profile=only(returned=1.0, max_return=60.0))
    fifo, purged, short = virtual.queue(fifo=True), virtual.queue(), virtual.queue({"MessageRetentionPeriod": "60"})
    virtual.send(fifo, "x", MessageGroupId="g")
    virtual.send(purged, "x")
    virtual.send(short, "x")
    virtual.advance(59)
    for url in (fifo, purged, short):
        virtual.delete(url, virtual.receive(url)[0])
    virtual.queues.named(purged.rpartition("/")[2]).purge("")
    virtual.advance(60)
    for url in (fifo, purged, short):
        assert virtual.counts(url) == (0, 0, 0)
    assert What.RETURNED not in what_happened(virtual, fifo) + what_happened(virtual, purged)


def test_34_harsh_a_standard_queue_gives_out_in_any_order_and_loses_none(virtual: Virtual) -> None:
    """Harsh: a standard queue gives out in any order and loses none; a FIFO queue keeps its order."""
    virtual.reset(profile=only(shuffled_order=True), seed=3)
    sent = [f"{number:02}" for number in range(40)]
    url = virtual.queue()
    virtual.send(url, *sent)
    received = [body for _ in range(4) for body in virtual.bodies(url)]
    assert sorted(received) == sent
    assert received != sent
    assert virtual.bodies(url) == []
    fifo = virtual.queue(fifo=True)
    virtual.send(fifo, *sent, MessageGroupId="g")
    ordered: list[str] = []
    while batch := virtual.receive(fifo):
        ordered += [message["Body"] for message in batch]
        for message in batch:
            virtual.delete(fifo, message)
    assert ordered == sent


def test_17_harsh_a_message_is_given_out_again_while_its_lease_lasts(virtual: Virtual) -> None:
    """Harsh: a message is given out again while its lease lasts, to a poll that waits too; FIFO never."""
    virtual.reset(profile=only(doubled=1.0))
    url, fifo = virtual.queue(), virtual.queue(fifo=True)
    virtual.send(url, "x")
    virtual.send(fifo, "x", MessageGroupId="g")
    (first,) = virtual.receive(url, VisibilityTimeout=19)
    virtual.receive(fifo, VisibilityTimeout=600)
    lease_end = virtual.clock.lease() + 19
    (again,) = virtual.receive(url, WaitTimeSeconds=20, VisibilityTimeout=600)
    assert virtual.clock.lease() < lease_end
    assert again["ReceiptHandle"] != first["ReceiptHandle"]
    assert virtual.bodies(fifo, WaitTimeSeconds=20) == []
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"
    assert What.DOUBLED in what_happened(virtual, url)
    assert What.DOUBLED not in what_happened(virtual, fifo)


def test_08_harsh_a_short_poll_may_find_nothing_and_a_long_one_finds_it(virtual: Virtual) -> None:
    """Harsh: a short poll may find nothing; a long one asks everywhere."""
    virtual.reset(profile=only(missed=1.0))
    url = virtual.queue()
    virtual.send(url, "x")
    now = virtual.clock.lease()
    assert [virtual.bodies(url) for _ in range(5)] == [[]] * 5
    assert virtual.bodies(url, WaitTimeSeconds=1) == ["x"]
    assert virtual.clock.lease() == now


@pytest.mark.parametrize("fifo", [False, True])
def test_16_harsh_a_receive_may_be_short_but_not_empty(virtual: Virtual, fifo: bool) -> None:
    """Harsh: a receive may bring fewer messages than there are, but some, and in order on FIFO."""
    virtual.reset(profile=only(short=1.0), seed=1)
    url = virtual.queue(fifo=fifo)
    sent = [str(number) for number in range(30)]
    virtual.send(url, *sent, **({"MessageGroupId": "g"} if fifo else {}))
    sizes, bodies = [], []
    while batch := virtual.receive(url):
        sizes.append(len(batch))
        bodies += [message["Body"] for message in batch]
        for message in batch:
            virtual.delete(url, message)
    assert min(sizes) < 10
    assert bodies == sent


def test_65_harsh_counters_are_those_of_up_to_their_lateness_ago(virtual: Virtual) -> None:
    """Harsh: counters stand still between two counting times, then say what was true at the last one."""
    virtual.reset(profile=only(lateness=60.0))
    url = virtual.queue({"VisibilityTimeout": "50"})
    virtual.send(url, "a", "b")
    assert virtual.counts(url) == (0, 0, 0)
    virtual.advance(30)
    virtual.receive(url, 1)
    virtual.advance(29)
    assert virtual.counts(url) == (0, 0, 0)
    virtual.advance(1)
    assert virtual.counts(url) == (1, 1, 0)
    virtual.advance(20)  # the lease has ended
    assert virtual.counts(url) == (1, 1, 0)
    assert sorted(virtual.bodies(url)) == ["a", "b"]  # what is received is never late
    virtual.advance(600)  # nobody asked meanwhile: the leases ended long before the last counting time
    assert virtual.counts(url) == (2, 0, 0)


def test_65_harsh_attributes_change_late_and_one_change_does_not_undo_another(virtual: Virtual) -> None:
    """Harsh: attributes change when their lateness is over; two changes under way both come."""
    virtual.reset(profile=only(lateness=60.0))
    url = virtual.queue({"VisibilityTimeout": "10"})
    virtual.send(url, "x")

    def attributes() -> tuple[str, str]:
        found = virtual.client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return found["VisibilityTimeout"], found["DelaySeconds"]

    virtual.client.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "600"})
    virtual.advance(30)
    virtual.client.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "7"})
    assert attributes() == ("10", "0")
    virtual.receive(url)
    virtual.advance(10)
    assert virtual.bodies(url) == ["x"]  # under the timeout of before
    virtual.advance(20)
    assert attributes() == ("600", "0")
    virtual.advance(30)
    assert attributes() == ("600", "7")


BATCH = [str(number) for number in range(10)]


def deleted(virtual: Virtual, url: str) -> dict[str, Any]:
    """The answer to a delete batch of ten entries, three of them bad."""
    received = virtual.receive(url)
    entries = [{"Id": str(at), "ReceiptHandle": one["ReceiptHandle"]} for at, one in enumerate(received)]
    for at in (2, 5, 8):
        entries[at]["ReceiptHandle"] = "garbage"
    answer: dict[str, Any] = virtual.client.delete_message_batch(QueueUrl=url, Entries=entries)
    return answer


def changed(virtual: Virtual, url: str) -> dict[str, Any]:
    """The answer to a visibility batch of ten entries, three of them bad."""
    received = virtual.receive(url)
    entries = [
        {"Id": str(at), "ReceiptHandle": one["ReceiptHandle"], "VisibilityTimeout": 50_000 if at in {2, 5, 8} else 0}
        for at, one in enumerate(received)
    ]
    answer: dict[str, Any] = virtual.client.change_message_visibility_batch(QueueUrl=url, Entries=entries)
    return answer


def sent(virtual: Virtual, url: str) -> dict[str, Any]:
    """The answer to a send batch of ten entries, three of them bad."""
    entries = [{"Id": one, "MessageBody": "\x08" if one in {"2", "5", "8"} else one} for one in BATCH]
    answer: dict[str, Any] = virtual.client.send_message_batch(QueueUrl=url, Entries=entries)
    return answer


@pytest.mark.parametrize("act", [deleted, changed, sent])
def test_51_batches_are_answered_in_any_order_by_id(
    virtual: Virtual, act: Callable[[Virtual, str], dict[str, Any]]
) -> None:
    """Batches are answered in any order: every entry once, and by its id alone; the same seed, the same order."""
    orders: list[list[list[str]]] = []
    for seed in (1, 1, 2):
        virtual.reset(seed=seed)
        orders.append([])
        for _ in range(5):
            url = virtual.queue()
            virtual.send(url, *BATCH)
            answer = act(virtual, url)
            done = [one["Id"] for one in answer["Successful"]]
            assert sorted(done) == sorted(set(BATCH) - {"2", "5", "8"})
            assert {one["Id"] for one in answer["Failed"]} == {"2", "5", "8"}
            orders[-1].append(done)
    assert orders[0] == orders[1] != orders[2]
    assert any(done != sorted(done) for done in orders[0])


def test_51_without_the_habit_batches_are_answered_in_their_order(virtual: Virtual) -> None:
    """Without the habit batches are answered in their order."""
    virtual.reset(profile=only(shuffled_answers=False))
    for _ in range(5):
        url = virtual.queue()
        virtual.send(url, *BATCH)
        assert [one["Id"] for one in deleted(virtual, url)["Successful"]] == ["0", "1", "3", "4", "6", "7", "9"]


def play(virtual: Virtual, seed: int) -> list[tuple[float, str, int]]:
    """What happens to forty messages of a harsh queue, each deleted as it is received."""
    virtual.reset(profile=HARSH, seed=seed)
    url = virtual.client.create_queue(QueueName="one-name")["QueueUrl"]
    bodies = {one["MessageId"]: str(at) for at, one in enumerate(virtual.send(url, *map(str, range(40))))}
    start = virtual.clock.lease()
    for _ in range(40):
        for message in virtual.receive(url):
            virtual.delete(url, message)
        virtual.advance(10)
    assert len(virtual.queues.named("one-name")) == 0
    return [
        (event["at"] - start, bodies[event["id"]], event["count"])
        for event in virtual.events(url)
        if event["what"] is not What.SENT
    ]


def test_24_harsh_the_same_seed_gives_the_same_fate_and_another_seed_another(virtual: Virtual) -> None:
    """Harsh: the same seed gives the same fate and another seed another; in the end everything is gone."""
    first, again, other = play(virtual, 5), play(virtual, 5), play(virtual, 6)
    assert [(round(at, 6), *rest) for at, *rest in first] == [(round(at, 6), *rest) for at, *rest in again]
    assert [rest for _, *rest in first] != [rest for _, *rest in other]


def test_64_harsh_refuses_a_name_whose_queue_was_just_deleted(virtual: Virtual) -> None:
    """Harsh: a name cannot be used again within 60 s of its queue's deletion; after that, and in `aws`, it can."""
    for profile, refusing in ((only(recreation=False), True), (AWS, False)):
        virtual.reset(profile=profile)
        url = virtual.queue()
        virtual.client.delete_queue(QueueUrl=url)
        name = url.rpartition("/")[2]
        if refusing:
            virtual.advance(59)
            with refused("QueueDeletedRecently", PREFIX + "QueueDeletedRecently"):
                virtual.client.create_queue(QueueName=name)
            virtual.advance(1)
        assert virtual.client.create_queue(QueueName=name)["QueueUrl"] == url


class Limited(TimedServer):
    """The local SQS over HTTP that allows few messages in flight."""

    def __init__(self, max_in_flight: int) -> None:
        self._start("tests.support.timed_server", str(max_in_flight))


@contextmanager
def limited(sqs: Sqs, max_in_flight: int) -> Iterator[Sqs]:
    """An SQS behind the same door that allows few messages in flight."""
    if isinstance(sqs, Virtual):
        sqs.reset(max_in_flight=max_in_flight)
        yield sqs
        return
    with Limited(max_in_flight) as server:
        found = Timed(server)
        with closing(found.client):
            yield found


@pytest.mark.ours
@pytest.mark.parametrize("fifo", [False, True])
def test_30_at_the_limit_short_polls_of_standard_queues_are_refused_and_all_others_silent(sqs: Sqs, fifo: bool) -> None:
    """At the limit short polls of standard queues are refused, all others silent, and a delete makes room."""
    group = {"MessageGroupId": "g"} if fifo else {}
    with limited(sqs, 3) as few:
        url = few.queue(fifo=fifo)
        few.send(url, *"abcde", **group)
        received = few.receive(url)
        assert [one["Body"] for one in received] == ["a", "b", "c"]
        if fifo:
            assert few.receive(url) == []
        else:
            with refused("OverLimit", status=403):
                few.receive(url)
        now = few.now()
        assert few.receive(url, WaitTimeSeconds=3) == []
        assert few.now() == now + 3
        for message in received:
            few.delete(url, message)
        assert few.bodies(url) == ["d", "e"]


def test_30_the_in_flight_limit_can_be_set_for_all_queues_and_for_one(virtual: Virtual) -> None:
    """The in-flight limit can be set for all queues and for one; a dead-letter move needs no room."""
    virtual.reset(max_in_flight=3)
    url, other = virtual.queue(), virtual.queue()
    virtual.queues.named(other.rpartition("/")[2]).max_in_flight = 1
    for one, most in ((url, 3), (other, 1)):
        virtual.send(one, *"abcde")
        received = virtual.receive(one)
        assert len(received) == most
        with refused("OverLimit", words=str(most)):
            virtual.receive(one)
        assert virtual.receive(one, WaitTimeSeconds=1) == []
        virtual.delete(one, received[0])
        assert len(virtual.receive(one)) == 1


@pytest.mark.differs("roto-aws", aws="In standard queues, using MessageGroupId enables fair queues.")
def test_53_a_busy_tenant_of_a_standard_queue_blocks_no_other(sqs: Sqs) -> None:
    """A message_group_id of a standard queue with all its messages in flight holds back neither itself nor others."""
    url = sqs.queue()
    sqs.send(url, "a0", "a1", "a2", MessageGroupId="a")
    assert sorted(sqs.bodies(url, 2) + sqs.bodies(url, 1)) == ["a0", "a1", "a2"]
    sqs.send(url, "a3", MessageGroupId="a")
    sqs.send(url, "b0", MessageGroupId="b")
    received = sqs.receive(url)
    assert sorted(one["Body"] for one in received) == ["a3", "b0"]
    assert {one["Attributes"]["MessageGroupId"] for one in received} == {"a", "b"}
