"""The acknowledger: when batches go out, what each answer means, and what is never sent."""

from __future__ import annotations

import random

import pytest

from hadoken import limits
from hadoken.message import KEY_ATTRIBUTE, REASON_ATTRIBUTE
from hadoken.outcome import Kind
from hadoken.pipeline.acknowledger import LINGER, Acknowledger, Batch, End, Operation, dead_letter
from hadoken.pipeline.inflight import Record, State, Table
from hadoken.pipeline.lease import Margin
from hadoken.sqs.api import NO_ANSWER, Attribute, ChangeVisibilityBatch, DeleteBatch, EntryFailure, SendBatch
from hadoken.sqs.backoff import ACKNOWLEDGE
from tests.unit.pipeline.making import CLIENT, DENIED, LEASE_LOST, NOW, TRANSIENT, queue, record, settling

SILENCE = EntryFailure(NO_ANSWER, sender_fault=False)

ORDERS = queue(dead_letter_url="http://sqs.local/000000000000/dead")


class Acks:
    """An acknowledger with a table; `add` finishes a message and hands it over."""

    def __init__(self) -> None:
        self.table = Table()
        self.acknowledger = Acknowledger(Margin(), randomness=random.Random(1))

    def add(
        self, name: str, kind: Kind = Kind.ACK, *, at: float = NOW, urgent: bool = False, after: float = 0
    ) -> Record:
        """Finish a message and hand it over."""
        made = settling(self.table, ORDERS, name, kind, at=at, after=after, reason="no good")
        self.acknowledger.add(made, at, urgent=urgent)
        return made

    def sent(self, at: float) -> Batch:
        """The one batch that goes out at a time."""
        (batch,) = self.acknowledger.flush_due(at)
        return batch


@pytest.fixture
def acks() -> Acks:
    """An acknowledger with nothing to do."""
    return Acks()


def test_a_single_outcome_lingers(acks: Acks) -> None:
    """It waits a tenth of a second for others, not longer."""
    assert acks.acknowledger.next_flush() is None
    acks.add("m1")
    assert acks.acknowledger.next_flush() == NOW + LINGER
    acks.add("m2", at=NOW + 0.05)
    assert acks.acknowledger.flush_due(NOW + 0.09) == []
    assert acks.sent(NOW + LINGER).request == DeleteBatch(ORDERS.url, ["m1#1", "m2#1"])
    assert acks.acknowledger.next_flush() is None
    assert acks.acknowledger.pending == 0


def test_ten_go_at_once(acks: Acks) -> None:
    """A full batch does not linger; what is over waits for its own time."""
    for n in range(13):
        acks.add(f"m{n}")
    assert acks.acknowledger.next_flush() == float("-inf")
    assert len(acks.sent(NOW).records) == 10
    assert acks.acknowledger.pending == 3
    assert len(acks.sent(NOW + LINGER).records) == 3


def test_an_urgent_one_takes_all_along(acks: Acks) -> None:
    """An urgent outcome goes at the next turn, with those that linger."""
    acks.add("m1")
    acks.add("m2", urgent=True)
    assert len(acks.sent(NOW).records) == 2


def test_everything_goes_when_asked_to(acks: Acks) -> None:
    """At a drain nothing lingers."""
    acks.add("m1")
    acks.add("m2", Kind.RETRY, after=5)
    batches = acks.acknowledger.flush_due(NOW, everything=True)
    assert [batch.operation for batch in batches] == [Operation.DELETE, Operation.CHANGE]


@pytest.mark.parametrize(
    ("kind", "operation"),
    [
        (Kind.ACK, Operation.DELETE),
        (Kind.DISCARD, Operation.DELETE),
        (Kind.RETRY, Operation.CHANGE),
        (Kind.RELEASE, Operation.CHANGE),
        (Kind.DEAD_LETTER, Operation.COPY),
    ],
)
def test_each_outcome_has_its_operation(acks: Acks, kind: Kind, operation: Operation) -> None:
    """What is told to SQS follows the outcome."""
    acks.add("m1", kind, urgent=True)
    assert acks.sent(NOW).operation is operation


def test_operations_and_queues_do_not_mix(acks: Acks) -> None:
    """One batch is of one queue and one operation."""
    acks.add("m1", urgent=True)
    acks.add("m2", Kind.RELEASE, urgent=True)
    other = settling(acks.table, queue("mails"), "m3")
    acks.acknowledger.add(other, NOW, urgent=True)
    batches = acks.acknowledger.flush_due(NOW)
    assert sorted((b.queue.name, b.operation.name, len(b.records)) for b in batches) == [
        ("mails", "DELETE", 1), ("orders", "CHANGE", 1), ("orders", "DELETE", 1),
    ]  # fmt: skip


def test_success_ends_what_was_sent(acks: Acks) -> None:
    """A delete or a change that SQS confirmed is the end of it."""
    one, two = acks.add("m1", urgent=True), acks.add("m2", Kind.RETRY, urgent=True, after=5)
    ends = [e for batch in acks.acknowledger.flush_due(NOW) for e in acks.acknowledger.answered(batch, {}, NOW)]
    assert ends == [(one, End.DELETED), (two, End.CHANGED)]


def test_each_failure_is_handled_by_itself(acks: Acks) -> None:
    """Entries are known by position; the failed one is tried again, alone and later, the others are done (I3)."""
    records = [acks.add(f"m{n}", urgent=True) for n in range(4)]
    ends = acks.acknowledger.answered(acks.sent(NOW), {2: TRANSIENT}, NOW + 1)
    assert [done for done, _ in ends] == [records[0], records[1], records[3]]
    due = acks.acknowledger.next_flush()
    assert due is not None
    assert NOW + 1 + ACKNOWLEDGE.least <= due <= NOW + 1 + ACKNOWLEDGE.first
    assert acks.sent(due).request == DeleteBatch(ORDERS.url, ["m2#1"])


def test_waits_between_tries_double_up_to_five_seconds(acks: Acks) -> None:
    """The bound of each try's wait is twice that of the one before; what is drawn below it is never nothing."""
    acks.add("m1", urgent=True)
    at = NOW
    waits: list[float] = []
    for _ in range(9):
        assert acks.acknowledger.answered(acks.sent(at), {0: TRANSIENT}, at) == []
        due = acks.acknowledger.next_flush()
        assert due is not None
        waits.append(due - at)
        at = due
    bounds = [0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5, 5]
    assert all(ACKNOWLEDGE.least <= wait <= bound + 1e-9 for bound, wait in zip(bounds, waits, strict=True))


def test_what_failed_together_goes_again_together(acks: Acks) -> None:
    """Ten entries of one failed call are one call again, not ten at ten times."""
    for n in range(10):
        acks.add(f"m{n}")
    acks.acknowledger.answered(acks.sent(NOW), dict.fromkeys(range(10), TRANSIENT), NOW)
    due = acks.acknowledger.next_flush()
    assert due is not None
    assert len(acks.sent(due).records) == 10
    assert acks.acknowledger.pending == 0


def test_second_tries_and_fresh_ones_share_a_batch(acks: Acks) -> None:
    """What is tried again is taken first and filled up with what is fresh."""
    acks.add("m1", urgent=True)
    acks.acknowledger.answered(acks.sent(NOW), {0: TRANSIENT}, NOW)
    for n in range(2, 14):
        acks.add(f"m{n}", at=NOW + 1)
    batch = acks.sent(NOW + 1)
    assert [r.message.message_id for r in batch.records] == ["m1", *(f"m{n}" for n in range(2, 11))]


def test_a_change_waits_for_an_extension_on_the_wire(acks: Acks) -> None:
    """The last word on a message's visibility is the outcome's; a delete need not wait."""
    one = acks.add("m1", Kind.RETRY, urgent=True, after=5)
    two = acks.add("m2", Kind.RETRY, urgent=True, after=6)
    three = acks.add("m3", urgent=True)
    one.extending = three.extending = True
    batches = acks.acknowledger.flush_due(NOW)
    assert [batch.records for batch in batches] == [[two], [three]]
    assert two.changing
    assert acks.acknowledger.next_flush() is None
    assert acks.acknowledger.flush_due(NOW + 9, everything=True) == []
    one.extending = False
    assert acks.acknowledger.next_flush() == NOW
    assert acks.sent(NOW).records == [one]


def test_a_retried_change_waits_for_an_extension_too(acks: Acks) -> None:
    """A change whose first call failed waits in the same way, and goes as soon as the extension is answered."""
    one = acks.add("m1", Kind.RETRY, urgent=True, after=5)
    acks.acknowledger.answered(acks.sent(NOW), {0: TRANSIENT}, NOW)
    one.extending = True
    assert acks.acknowledger.flush_due(NOW + 1) == []
    assert acks.acknowledger.next_flush() is None
    one.extending = False
    assert acks.acknowledger.next_flush() == NOW + 1
    assert acks.sent(NOW + 1).records == [one]


def test_seconds_count_from_the_call(acks: Acks) -> None:
    """What a retry waited here is not waited again in SQS; a linger does not round it up; the past is 0."""
    acks.add("m1", Kind.RETRY, urgent=True, after=5)
    acks.add("m2", Kind.RETRY, urgent=True, after=30)
    acks.add("m3", Kind.RELEASE, urgent=True)
    request = acks.sent(NOW + 10).request
    assert request == ChangeVisibilityBatch(ORDERS.url, [("m1#1", 0), ("m2#1", 20), ("m3#1", 0)])
    acks.add("m4", Kind.RETRY, at=NOW + 20, after=5)
    assert acks.sent(NOW + 20 + LINGER).request == ChangeVisibilityBatch(ORDERS.url, [("m4#1", 5)])


def test_a_retry_is_shortened_to_the_twelve_hours(acks: Acks) -> None:
    """12 h are a total since the receive: after 2 h only 10 are left, less the margin; never less than 0."""
    acks.add("m1", Kind.RETRY, urgent=True, after=43_200)
    acks.add("m2", Kind.RETRY, urgent=True, after=50_000)
    request = acks.sent(NOW + 7_200).request
    assert request == ChangeVisibilityBatch(ORDERS.url, [("m1#1", 35_998), ("m2#1", 35_998)])
    acks.add("m3", Kind.RETRY, urgent=True, after=50_000)
    assert acks.sent(NOW + 43_300).request == ChangeVisibilityBatch(ORDERS.url, [("m3#1", 0)])


def test_a_lost_lease_ends_it(acks: Acks) -> None:
    """What SQS does not accept because the handle is old is never tried again (I4)."""
    one, two = acks.add("m1", urgent=True), acks.add("m2", urgent=True)
    assert acks.acknowledger.answered(acks.sent(NOW), {0: LEASE_LOST}, NOW) == [(one, End.LOST), (two, End.DELETED)]
    assert acks.acknowledger.pending == 0


def test_a_delete_after_the_lapse_is_tried_once_and_proves_nothing(acks: Acks) -> None:
    """A late delete goes out at once; whether it succeeds or fails, the lease counts as lost."""
    one, two = acks.add("m1"), acks.add("m2")
    for lapsed in (one, two):
        lapsed.lost = True
        assert acks.acknowledger.lapsed(lapsed, NOW + 0.01) is None
    batch = acks.sent(NOW + 0.01)
    assert acks.acknowledger.answered(batch, {1: TRANSIENT}, NOW + 1) == [(one, End.LOST), (two, End.LOST)]
    assert acks.acknowledger.next_flush() is None


@pytest.mark.parametrize("kind", [Kind.RETRY, Kind.RELEASE, Kind.DEAD_LETTER])
@pytest.mark.parametrize("tried", [False, True], ids=["never sent", "to be sent again"])
def test_after_a_lapse_no_change_and_no_copy_goes(acks: Acks, kind: Kind, tried: bool) -> None:
    """What waits to be sent is dropped, be it fresh or waiting for another try (I4)."""
    one = acks.add("m1", kind, urgent=True)
    if tried:
        acks.acknowledger.answered(acks.sent(NOW), {0: TRANSIENT}, NOW)
    one.lost = True
    assert acks.acknowledger.lapsed(one, NOW) is End.LOST
    assert acks.acknowledger.flush_due(NOW + 100, everything=True) == []


@pytest.mark.parametrize("failed", [False, True])
def test_a_lapse_on_the_wire_is_judged_by_the_answer(acks: Acks, failed: bool) -> None:
    """A delete that travels while its lease lapses is not sent a second time."""
    one = acks.add("m1", urgent=True)
    batch = acks.sent(NOW)
    one.lost = True
    assert acks.acknowledger.lapsed(one, NOW) is None
    assert acks.acknowledger.pending == 0
    assert acks.acknowledger.answered(batch, {0: TRANSIENT} if failed else {}, NOW) == [(one, End.LOST)]


def test_a_copy_is_followed_by_a_delete(acks: Acks) -> None:
    """Only once SQS has the copy is the original deleted."""
    one = acks.add("m1", Kind.DEAD_LETTER, urgent=True)
    copy = acks.sent(NOW)
    assert isinstance(copy.request, SendBatch)
    assert copy.request.queue_url == ORDERS.dead_letter_url
    assert acks.acknowledger.answered(copy, {}, NOW) == []
    assert one.verdict is not None
    assert (one.verdict.kind, one.verdict.reason) == (Kind.DISCARD, "no good")
    delete = acks.sent(NOW + LINGER)
    assert delete.operation is Operation.DELETE
    assert acks.acknowledger.answered(delete, {}, NOW) == [(one, End.DELETED)]


def test_a_failed_copy_is_sent_again_before_any_delete(acks: Acks) -> None:
    """While SQS does not have the copy nothing else is sent for the message."""
    acks.add("m1", Kind.DEAD_LETTER, urgent=True)
    assert acks.acknowledger.answered(acks.sent(NOW), {0: TRANSIENT}, NOW) == []
    assert [batch.operation for batch in acks.acknowledger.flush_due(NOW + 1)] == [Operation.COPY]


@pytest.mark.parametrize("failure", [CLIENT, DENIED, EntryFailure("QueueDoesNotExist")])
def test_a_refused_copy_is_given_up_and_the_lease_kept(
    acks: Acks, failure: EntryFailure, caplog: pytest.LogCaptureFixture
) -> None:
    """A copy that SQS will not take is not tried again here; nothing is deleted, and the refusal is told."""
    one = acks.add("m1", Kind.DEAD_LETTER, urgent=True)
    assert acks.acknowledger.answered(acks.sent(NOW), {0: failure}, NOW) == [(one, End.REFUSED)]
    assert acks.acknowledger.pending == 0
    assert one.keep
    assert f"copy is refused, trying on while leases last: {failure.code}" in caplog.text


def test_a_copy_confirmed_after_the_lapse_deletes_nothing(acks: Acks) -> None:
    """The copy is there, but the original may be another worker's now."""
    one = acks.add("m1", Kind.DEAD_LETTER, urgent=True)
    copy = acks.sent(NOW)
    one.lost = True
    assert acks.acknowledger.lapsed(one, NOW) is None
    assert acks.acknowledger.answered(copy, {}, NOW) == [(one, End.LOST)]
    assert acks.acknowledger.pending == 0


def test_a_refused_delete_lets_the_lease_go(acks: Acks, caplog: pytest.LogCaptureFixture) -> None:
    """A delete that can never work is named and given up; one that is denied is tried until the lease ends."""
    one, two = acks.add("m1", urgent=True), acks.add("m2", urgent=True)
    ends = acks.acknowledger.answered(acks.sent(NOW), {0: CLIENT, 1: DENIED}, NOW)
    assert ends == [(one, End.REFUSED)]
    assert not one.keep
    assert not two.keep
    assert [b.records for b in acks.acknowledger.flush_due(NOW + 1)] == [[two]]
    assert "delete is refused, trying on while leases last: AccessDenied" in caplog.text


def test_a_refusal_is_told_once_until_it_is_over(acks: Acks, caplog: pytest.LogCaptureFixture) -> None:
    """Not each message and each try is logged; after a success of the same kind the next refusal is told again."""
    for n in range(5):
        acks.add(f"m{n}", urgent=True)
    acks.acknowledger.answered(acks.sent(NOW), dict.fromkeys(range(5), DENIED), NOW)
    again = acks.sent(NOW + 1)
    acks.acknowledger.answered(again, dict.fromkeys(range(5), DENIED), NOW + 1)
    assert len(caplog.records) == 1
    acks.acknowledger.answered(acks.sent(NOW + 2), {}, NOW + 2)
    acks.add("m9", at=NOW + 3, urgent=True)
    acks.acknowledger.answered(acks.sent(NOW + 3), {0: DENIED}, NOW + 3)
    assert len(caplog.records) == 2


def test_answers_for_what_is_gone_change_nothing(acks: Acks) -> None:
    """A record that left while the call was on the wire is neither ended twice nor tried again."""
    one = acks.add("m1", urgent=True)
    batch = acks.sent(NOW)
    acks.acknowledger.forget(one)
    acks.table.remove(one)
    assert acks.acknowledger.answered(batch, {0: TRANSIENT}, NOW) == []
    assert acks.acknowledger.pending == 0


@pytest.mark.parametrize("failed", [False, True])
def test_a_message_received_anew_is_deleted_by_its_new_handle(acks: Acks, failed: bool) -> None:
    """An answer to the old handle says nothing of the new lease: the delete goes again, at once, with the new one."""
    one = acks.add("m1", urgent=True)
    batch = acks.sent(NOW)
    one.handle = "m1#2"
    assert acks.acknowledger.answered(batch, {0: LEASE_LOST} if failed else {}, NOW) == []
    assert acks.sent(NOW).request == DeleteBatch(ORDERS.url, ["m1#2"])


def test_a_copy_needs_no_new_handle(acks: Acks) -> None:
    """A copy confirmed for a message that was received anew is not sent twice."""
    one = acks.add("m1", Kind.DEAD_LETTER, urgent=True)
    copy = acks.sent(NOW)
    one.handle = "m1#2"
    assert acks.acknowledger.answered(copy, {}, NOW) == []
    assert acks.sent(NOW + LINGER).request == DeleteBatch(ORDERS.url, ["m1#2"])


def test_forgetting_takes_out_both_kinds(acks: Acks) -> None:
    """What is fresh and what waits for another try are both dropped; forgetting nothing is harmless."""
    one, two = acks.add("m1", urgent=True), acks.add("m2", Kind.RELEASE, urgent=True)
    for batch in acks.acknowledger.flush_due(NOW):
        acks.acknowledger.answered(batch, {0: TRANSIENT}, NOW)
    three = acks.add("m3")
    for gone in (one, two, three, record(acks.table, queue("mails"), "m4")):
        acks.acknowledger.forget(gone)
    assert acks.acknowledger.pending == 0
    assert acks.acknowledger.next_flush() is None
    assert acks.acknowledger.lapsed(one, NOW) is None


def test_a_dead_letter_keeps_all_and_tells_why() -> None:
    """The copy has body, attributes and group as received, the key and the reason."""
    fifo = queue("orders.fifo")
    attributes = {"colour": Attribute("String", text="red"), "raw": Attribute("Binary", data=b"\0\1")}
    one = settling(Table(), fifo, "m1", Kind.DEAD_LETTER, reason="broken\0 beyond repair")
    one.message = one.message.__class__("m1", "h", "the body", {"MessageGroupId": "g"}, attributes)
    copy = dead_letter(one)
    assert (copy.body, copy.message_group_id, copy.deduplication_id) == ("the body", "g", "m1")
    assert copy.attributes == attributes | {
        KEY_ATTRIBUTE: Attribute("String", text="m1"),
        REASON_ATTRIBUTE: Attribute("String", text="broken? beyond repair"),
    }


def test_a_dead_letter_without_verdict_or_reason_says_so() -> None:
    """An empty attribute would be refused by SQS. On standard queues there is no deduplication id."""
    one = record(Table(), ORDERS, state=State.SETTLING)
    copy = dead_letter(one)
    assert copy.attributes[REASON_ATTRIBUTE].text == "no reason was given"
    assert copy.deduplication_id is None


def test_a_key_that_is_there_is_kept() -> None:
    """A copy of a copy has the key of the first message and the latest reason."""
    attributes = {KEY_ATTRIBUTE: Attribute("String", text="first"), REASON_ATTRIBUTE: Attribute("String", text="old")}
    one = settling(Table(), ORDERS, "m2", Kind.DEAD_LETTER, reason="new")
    one.message = one.message.__class__("m2", "h", "body", {}, attributes)
    copied = dead_letter(one).attributes
    assert (copied[KEY_ATTRIBUTE].text, copied[REASON_ATTRIBUTE].text) == ("first", "new")


@pytest.mark.parametrize(("had", "left"), [(8, 10), (9, 10), (10, 10)])
def test_ten_attributes_are_all(had: int, left: int) -> None:
    """Where there is no room the reason is left out first, then the key; the sender's own never."""
    attributes = {f"a{n}": Attribute("String", text="x") for n in range(had)}
    one = settling(Table(), ORDERS, "m1", Kind.DEAD_LETTER, reason="why")
    one.message = one.message.__class__("m1", "h", "body", {}, attributes)
    copied = dead_letter(one).attributes
    assert len(copied) == left
    assert attributes.items() <= copied.items()
    assert (KEY_ATTRIBUTE in copied, REASON_ATTRIBUTE in copied) == (had < 10, had < 9)


@pytest.mark.parametrize(
    ("spare", "key", "reason"), [(0, False, False), (25, True, False), (400, True, True)], ids=["none", "key", "both"]
)
def test_a_mebibyte_is_all(spare: int, key: bool, reason: bool) -> None:
    """A copy is never bigger than SQS takes: bodies at the limit go without reason, then without key."""
    one = settling(Table(), ORDERS, "m1", Kind.DEAD_LETTER, reason="r" * 300)
    one.message = one.message.__class__("m1", "h", "b" * (limits.MESSAGE_BYTES - spare), {}, {})
    copied = dead_letter(one).attributes
    assert (KEY_ATTRIBUTE in copied, REASON_ATTRIBUTE in copied) == (key, reason)


def test_copies_that_are_too_much_for_one_batch_go_in_several(acks: Acks) -> None:
    """SQS takes 1 MiB a batch; what does not fit follows at once, in its order."""
    records = [acks.add(f"m{n}", Kind.DEAD_LETTER, urgent=True) for n in range(4)]
    for one in records:
        one.message = one.message.__class__(
            one.message.message_id, "h", "b" * (limits.BATCH_BYTES // 2 - 1_000), {}, {}
        )
    batches = acks.acknowledger.flush_due(NOW)
    assert [batch.records for batch in batches] == [records[:2], records[2:]]
    assert acks.acknowledger.pending == 0


def test_one_copy_of_a_mebibyte_goes_alone(acks: Acks) -> None:
    """The first of a batch goes whatever its size."""
    records = [acks.add(f"m{n}", Kind.DEAD_LETTER, urgent=True) for n in range(2)]
    for one in records:
        one.message = one.message.__class__(one.message.message_id, "h", "b" * limits.MESSAGE_BYTES, {}, {})
    assert [batch.records for batch in acks.acknowledger.flush_due(NOW)] == [records[:1], records[1:]]


def test_a_change_that_may_have_been_applied_ends_the_lease(acks: Acks) -> None:
    """Nobody knows whether it was: once the message may be visible, no second change is sent for it (I4)."""
    one = acks.add("m1", Kind.RELEASE, urgent=True)
    two = acks.add("m2", Kind.RETRY, urgent=True, after=20)
    batch = acks.sent(NOW)
    assert acks.acknowledger.answered(batch, {0: SILENCE, 1: SILENCE}, NOW + 1) == [(one, End.UNKNOWN)]
    assert (one.lease_end, two.lease_end) == (NOW, NOW + 20)
    assert acks.acknowledger.flush_due(NOW + 2)[0].records == [two]


def test_a_delete_that_may_have_been_applied_is_tried_again(acks: Acks) -> None:
    """Twice deleted is once deleted: its lease goes on."""
    one = acks.add("m1", urgent=True)
    batch = acks.sent(NOW)
    before = one.lease_end
    assert acks.acknowledger.answered(batch, {0: SILENCE}, NOW + 1) == []
    assert one.lease_end == before
