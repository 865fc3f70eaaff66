"""I4: no lease lapses while SQS answers within the margin; one that does lapse is told, counted, and left alone."""

from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import strategies as st

from hadoken import limits
from hadoken.local.state.eventlog import What
from hadoken.outcome import Kind, Verdict
from hadoken.pipeline.acknowledger import Batch, Operation
from hadoken.pipeline.inflight import Record, State
from hadoken.pipeline.keeper import Extension
from hadoken.worker.pool import Call
from tests.property import machine
from tests.property.mutants import i4
from tests.property.mutants.mutant import Mutant
from tests.property.world import CALM, STILL, STORM, Weather

# Calls and entries fail, deletes for long, but no extension twice in a row: leases outlive that. A visibility change
# that fails when the lease is nearly over has no time left for another try, so these go through. No answer is lost: of
# a delete whose answers were all lost nobody can say that it was in time.
ROUGH = Weather(before=0.2, entries=0.6, slow=0.4, changes=False, streak=1)


class Kept(machine.Machine):
    """SQS answers within the margin."""

    weathers: ClassVar = (CALM, STILL, ROUGH)
    options: ClassVar = {
        "concurrency": st.integers(1, 8),
        "visibility": st.sampled_from((8, 30, 600)),
    }

    def check(self) -> None:
        """Nothing that was held has expired, and nothing counts as lost."""
        lost = {name: counts.lost for name, counts in self.world.pool.counts.items() if counts.lost}
        assert not lost, f"leases lost although SQS answered in time: {lost}"
        held = {record.handle: record for record in self.world.pool.table.records.values()}
        for event in self.world.events():
            if event.what is What.EXPIRED:
                receive = (event.id, event.count)
                handles = [h for h, r in held.items() if (r.message.message_id, r.message.receive_count) == receive]
                assert all(handle in self.world.model.changed for handle in handles), "a lease expired while held"

    def may_abandon(self) -> bool:
        """At the deadline leases are left on purpose: that is the other machine's."""
        return False


class Broken(machine.Machine):
    """SQS answers when it likes."""

    weathers: ClassVar = (STORM,)
    options: ClassVar = {
        "concurrency": st.integers(1, 8),
        "visibility": st.sampled_from((1, 8, 30, 43_200)),
    }

    def sent(self, calls: list[Call]) -> None:
        """No visibility change goes out with a lost handle, and none asks for more than 12 h in all."""
        for call in calls:
            if isinstance(call, Extension):
                self._look_at(call.records, call.seconds)
            elif isinstance(call, Batch) and call.operation is Operation.CHANGE:
                self._look_at(call.records, [seconds for _, seconds in call.request.entries])  # type: ignore[misc,union-attr] -- a change

    def _look_at(self, records: list[Record], seconds: list[int]) -> None:
        for record, asked in zip(records, seconds, strict=True):
            assert not record.lost, f"a visibility change for {record}, whose lease is lost"
            assert 0 <= asked <= limits.VISIBILITY_TOTAL - (self.world.now - record.received_at)

    def check(self) -> None:
        """No lease is thought to be held beyond its end in SQS; whoever runs a lost one knows it."""
        world = self.world
        expired = {(event.id, event.count) for event in world.events() if event.what is What.EXPIRED}
        for record in world.pool.table.records.values():
            if not record.lost and record.handle not in world.model.changed:
                receive = (record.message.message_id, record.message.receive_count)
                assert receive not in expired, f"{record} expired unseen"
        for slot in world.hands.busy:
            assert slot.in_hand is not None
            running = world.pool.table.records.get(slot.in_hand.ticket)
            if running is not None and running.lost and running.state is State.ACTIVE:
                assert world.hands.ctx(slot).lease_lost, f"{running} is lost and its handler does not know"

    def allowed(self, verdict: Verdict) -> Verdict:
        """Now and then a handler wants all of the 12 hours."""
        whole = verdict.kind is Kind.RETRY and verdict.after >= 5
        return Verdict(Kind.RETRY, after=limits.VISIBILITY_TOTAL, failed=True) if whole else verdict


def test_i4_no_lease_lapses_while_sqs_answers_in_time() -> None:
    """While calls are answered within the margin, nothing held expires, in whatever state it is."""
    machine.run(Kept)


def test_i4_a_lapse_is_seen_told_and_left_alone() -> None:
    """When calls take longer, a lapse is seen before SQS hands the message out, and no change is sent after it."""
    machine.run(Broken)


@pytest.mark.parametrize("mutant", i4.MUTANTS_KEPT, ids=str)
def test_i4_fails_on_a_lapse_by(mutant: Mutant) -> None:
    """The property notices leases that lapse for no reason."""
    machine.falsified(Kept, mutant)


@pytest.mark.parametrize("mutant", i4.MUTANTS_BROKEN, ids=str)
def test_i4_fails_on(mutant: Mutant) -> None:
    """The property notices lapses that are not seen, not told, or not respected."""
    machine.falsified(Broken, mutant)
