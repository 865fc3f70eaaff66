"""The keeper: what is due when, in which batches, and what becomes of every answer."""

from __future__ import annotations

import weakref

import pytest

from hadoken.outcome import Kind, Verdict
from hadoken.pipeline.inflight import Record, State, Table
from hadoken.pipeline.keeper import SWEEP, Due, Extension, Keeper
from hadoken.pipeline.lease import Margin
from hadoken.pipeline.queues import QueueInfo
from hadoken.sqs.api import Fault
from tests.unit.pipeline.making import NOW, queue, record


class Held:
    """A keeper with a table; `take(n)` receives n messages of 30 s at once. Its margin is 2 s."""

    def __init__(self, timeout: int = 30) -> None:
        self.table = Table()
        self.queue = queue(visibility_timeout=timeout)
        self.keeper = Keeper(Margin())
        self._names = iter(f"m{n}" for n in range(1, 10_000))

    def take(self, n: int = 1, *, at: float = NOW, of: QueueInfo | None = None) -> list[Record]:
        """Receive n messages at once and hold their leases."""
        of = of or self.queue
        made = [record(self.table, of, next(self._names), at=at) for _ in range(n)]
        self.keeper.hold(made, lease_start=at, length=of.visibility_timeout)
        return made

    def sent(self, at: float) -> Extension:
        """The one batch that is due at a time."""
        (batch,) = self.keeper.due(at).extensions
        return batch


@pytest.fixture
def held() -> Held:
    """A keeper that holds nothing yet."""
    return Held()


def test_a_lease_is_due_at_half_its_life(held: Held) -> None:
    """Nothing is due a moment before half of the visibility timeout, the whole receive at it."""
    records = held.take(3)
    assert held.keeper.next_due() == NOW + 15
    assert held.keeper.due(NOW + 14.99) == Due()
    batch = held.sent(NOW + 15)
    assert batch.records == records
    assert batch.seconds == [30, 30, 30]
    assert batch.request.entries == [("m1#1", 30), ("m2#1", 30), ("m3#1", 30)]
    assert held.keeper.members == 3


def test_a_lease_ends_a_margin_early(held: Held) -> None:
    """What the margin takes is not trusted any more."""
    (one,) = held.take()
    assert one.lease_end == NOW + 28


def test_nothing_held_is_nothing_due(held: Held) -> None:
    """An empty keeper has no deadline and an empty receive gives it none."""
    held.keeper.hold([], lease_start=NOW, length=30)
    assert held.keeper.next_due() is None
    assert held.keeper.due(NOW + 1e6) == Due()
    assert held.keeper.members == 0


def test_batches_hold_ten_of_one_queue(held: Held) -> None:
    """23 leases of one queue and 2 of another go out as 10, 10, 3 and 2."""
    other = queue("mails")
    for _ in range(2):
        held.take(10)
    held.take(3)
    held.take(2, of=other)
    batches = held.keeper.due(NOW + 15).extensions
    assert [(batch.queue.name, len(batch.records)) for batch in batches] == [
        ("orders", 10), ("orders", 10), ("orders", 3), ("mails", 2),
    ]  # fmt: skip


def test_a_batch_is_filled_with_what_is_due_soon(held: Held) -> None:
    """A lease within an eighth of its life of being due joins a batch that goes out anyway; a younger one does not."""
    first, near, far = held.take(at=NOW), held.take(at=NOW + 3.7), held.take(at=NOW + 8)
    assert held.sent(NOW + 15).records == first + near
    assert held.keeper.next_due() == far[0].received_at + 15


def test_what_is_due_soon_alone_is_left_alone(held: Held) -> None:
    """Early filling starts no batch by itself."""
    held.take()
    assert held.keeper.due(NOW + 14).extensions == []


def test_a_confirmed_extension_begins_anew_at_the_call(held: Held) -> None:
    """The new lease counts from when the request was sent, not from its answer."""
    (one,) = held.take()
    batch = held.sent(NOW + 15)
    assert held.keeper.answered(batch, {}, NOW + 20) == []
    assert one.lease_end == NOW + 15 + 28
    assert held.keeper.next_due() == NOW + 30
    assert one.extensions == 1
    assert not one.extending


def test_a_failed_entry_is_tried_at_a_quarter_then_an_eighth(held: Held) -> None:
    """Each failure halves what is left of the lease before the next try; the others of the batch are done."""
    one, two = held.take(2)
    batch = held.sent(NOW + 15)
    held.keeper.answered(batch, {0: Fault.TRANSIENT}, NOW + 16)
    assert (one.extensions, two.extensions) == (0, 1)
    assert held.keeper.next_due() == NOW + 22  # (28 - 16) / 2 from now
    batch = held.sent(NOW + 22)
    assert batch.records == [one]
    held.keeper.answered(batch, {0: Fault.THROTTLE}, NOW + 22)
    assert held.keeper.next_due() == NOW + 25
    held.keeper.answered(held.sent(NOW + 25), {}, NOW + 25)
    assert one.lease_end == NOW + 25 + 28


def test_failures_to_the_end_are_a_lapse(held: Held) -> None:
    """With less than a tenth of a second left nothing more is sent; at the lease's end the record is lost, once."""
    (one,) = held.take()
    at = NOW + 15
    tries = 0
    while (found := held.keeper.due(at)).extensions:
        tries += 1
        held.keeper.answered(found.extensions[0], {0: Fault.TRANSIENT}, at)
        due = held.keeper.next_due()
        assert due is not None
        at = due
    assert tries == 9  # 13 s were left at the first, 0.05 s at the last
    assert at == one.lease_end
    assert found.lost == [one]
    assert one.lost
    assert held.keeper.members == 0
    assert held.keeper.due(at + 100) == Due()


def test_a_call_that_hangs_does_not_hide_the_lapse(held: Held) -> None:
    """While an extension is on the wire its lease still ends, and a late answer does not bring it back."""
    (one,) = held.take()
    batch = held.sent(NOW + 15)
    assert held.keeper.next_due() == one.lease_end
    assert held.keeper.due(NOW + 27.9) == Due()
    assert held.keeper.due(NOW + 28).lost == [one]
    assert held.keeper.answered(batch, {}, NOW + 40) == []
    assert one.lost
    assert one.extensions == 0
    assert held.keeper.members == 0


def test_sqs_says_the_lease_is_lost(held: Held) -> None:
    """A refused handle is lost at once: returned, marked, kept no longer; the rest of the batch goes on."""
    one, two = held.take(2)
    batch = held.sent(NOW + 15)
    assert held.keeper.answered(batch, {1: Fault.LEASE_LOST}, NOW + 16) == [two]
    assert (one.lost, two.lost) == (False, True)
    assert held.keeper.members == 1


@pytest.mark.parametrize("kind", [Kind.ACK, Kind.DISCARD, Kind.RETRY, Kind.DEAD_LETTER])
def test_an_extension_overtaken_by_our_own_delete_is_no_lost_lease(held: Held, kind: Kind) -> None:
    """SQS refuses to extend what was just deleted; whether it was ours the delete's answer tells, not this one."""
    (one,) = held.take()
    batch = held.sent(NOW + 15)
    held.table.move(one, State.SETTLING)
    one.verdict = Verdict(kind)
    deleted = kind in {Kind.ACK, Kind.DISCARD}
    assert held.keeper.answered(batch, {0: Fault.LEASE_LOST}, NOW + 16) == ([] if deleted else [one])
    assert one.lost != deleted
    assert held.keeper.due(NOW + 27.9) == Due()
    assert held.keeper.due(NOW + 28).lost == ([one] if deleted else [])


def test_a_record_finished_on_the_wire_is_passed_over(held: Held) -> None:
    """Neither success nor failure of an entry brings back what was forgotten meanwhile."""
    one, two = held.take(2)
    batch = held.sent(NOW + 15)
    held.keeper.forget(one)
    held.keeper.forget(two)
    assert held.keeper.answered(batch, {0: Fault.LEASE_LOST, 1: Fault.TRANSIENT}, NOW + 16) == []
    assert not one.lost
    assert held.keeper.members == 0
    assert held.keeper.next_due() is None


def test_forgetting_twice_is_harmless(held: Held) -> None:
    """`forget` counts a member off once."""
    one, _ = held.take(2)
    held.keeper.forget(one)
    held.keeper.forget(one)
    assert held.keeper.members == 1


def test_a_change_on_the_wire_is_not_crossed(held: Held) -> None:
    """While the acknowledger's change is on the wire the lease is watched but not extended."""
    (one,) = held.take()
    one.changing = True
    at = NOW + 15
    while not (found := held.keeper.due(at)).lost:
        assert found.extensions == []
        due = held.keeper.next_due()
        assert due is not None
        at = due
    assert at == one.lease_end


def test_a_change_that_failed_leaves_the_lease_to_be_kept(held: Held) -> None:
    """After the failure of the change that was on the wire the lease is extended in time."""
    (one,) = held.take()
    one.changing = True
    assert held.keeper.due(NOW + 15) == Due()
    one.changing = False
    due = held.keeper.next_due()
    assert due == NOW + 15 + 13 / 2
    assert held.sent(due).records == [one]


def test_a_lease_that_is_not_to_be_kept_lapses(held: Held) -> None:
    """Once `keep` is off nothing is sent, not even on asking, and the lease ends by itself."""
    (one,) = held.take()
    one.keep = False
    held.keeper.ask(one, 600)
    assert held.keeper.due(NOW + 15) == Due()
    assert held.keeper.due(NOW + 28).lost == [one]


def test_twelve_hours_are_all(held: Held) -> None:
    """The last extension asks for what the 12 h since the receive leave, less the margin; then the lease ends."""
    (one,) = held.take()
    at = NOW
    asked: list[int] = []
    while not (found := held.keeper.due(at)).lost:
        for batch in found.extensions:
            asked += batch.seconds
            assert at - NOW + batch.seconds[0] <= 43_200
            held.keeper.answered(batch, {}, at)
        due = held.keeper.next_due()
        assert due is not None
        at = due
    assert found.lost == [one]
    assert set(asked[:-1]) == {30}
    assert 43_200 - 8 <= at - NOW <= 43_200


def test_a_wish_goes_out_at_the_next_turn(held: Held) -> None:
    """`ask` is due at once and asks for as much as was wished."""
    (one,) = held.take()
    held.keeper.ask(one, 600)
    assert held.keeper.next_due() == float("-inf")
    batch = held.sent(NOW + 1)
    assert batch.seconds == [600]
    held.keeper.answered(batch, {}, NOW + 1)
    assert one.lease_end == NOW + 1 + 598
    assert held.keeper.next_due() == NOW + 601 - 15


def test_a_wish_replaces_the_routine_extension(held: Held) -> None:
    """A lease that is due and asked for goes out once, with the wish."""
    one, two = held.take(2)
    held.keeper.ask(one, 600)
    batch = held.sent(NOW + 15)
    assert dict(zip([r.message.message_id for r in batch.records], batch.seconds, strict=True)) == {"m2": 30, "m1": 600}
    assert two.extending
    assert held.keeper.members == 2


def test_a_wish_for_less_than_there_is_changes_nothing(held: Held) -> None:
    """The lease is never made shorter by asking."""
    (one,) = held.take()
    held.keeper.ask(one, 10)
    assert held.keeper.due(NOW + 1) == Due()
    assert held.keeper.next_due() == NOW + 15


def test_a_wish_waits_for_what_is_on_the_wire(held: Held) -> None:
    """Beside an extension on the wire a wish is kept back, then sent."""
    (one,) = held.take()
    batch = held.sent(NOW + 15)
    held.keeper.ask(one, 600)
    assert held.keeper.due(NOW + 16) == Due()
    assert held.keeper.next_due() == one.lease_end
    held.keeper.answered(batch, {}, NOW + 17)
    assert held.sent(NOW + 17).seconds == [600]


@pytest.mark.parametrize("hangs", [True, False], ids=["while a call hangs", "in the same turn"])
def test_a_wish_does_not_revive_a_lapsed_lease(held: Held, hangs: bool) -> None:
    """After a lapse no visibility change is sent, whatever was asked for before it (I4)."""
    (one,) = held.take()
    batch = held.sent(NOW + 15) if hangs else None
    held.keeper.ask(one, 600)
    assert held.keeper.due(NOW + 28).lost == [one]
    if batch is not None:
        held.keeper.answered(batch, {}, NOW + 40)
    assert held.keeper.due(NOW + 41) == Due()
    assert held.keeper.next_due() is None
    assert held.keeper.members == 0


def test_a_wish_for_what_is_not_held_is_dropped(held: Held) -> None:
    """A record that is finished cannot be asked for, before or after."""
    one, two = held.take(2)
    held.keeper.forget(one)
    held.keeper.ask(one, 600)
    held.keeper.ask(two, 600)
    held.keeper.forget(two)
    assert held.keeper.next_due() is None
    assert held.keeper.due(NOW + 100) == Due()


def test_a_record_is_not_kept_beyond_its_end(held: Held) -> None:
    """Forgotten, a record dies by reference count although its entry is still in the heap (I8)."""
    records = held.take(10)
    ghost = weakref.ref(records[0])
    held.keeper.forget(records[0])
    held.table.remove(records[0])
    del records
    assert ghost() is None


def test_empty_entries_are_swept(held: Held) -> None:
    """The heap holds at most as many empty entries as full ones, above a handful."""
    records = [held.take()[0] for _ in range(100)]
    for one in records[:90]:
        held.keeper.forget(one)
        full = held.keeper.members
        assert len(held.keeper._heap) <= max(2 * full, full + SWEEP) + 1
    assert held.keeper.members == 10
    assert len(held.sent(NOW + 15).records) == 10


def test_empty_entries_are_no_deadline(held: Held) -> None:
    """`next_due` and `due` pass over entries whose records are all gone."""
    (one,) = held.take(at=NOW)
    (two,) = held.take(at=NOW + 10)
    (three,) = held.take(at=NOW + 1)
    held.keeper.forget(one)
    assert held.keeper.next_due() == three.received_at + 15
    held.keeper.forget(three)
    assert held.sent(NOW + 25).records == [two]
