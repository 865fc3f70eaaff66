"""I9: no message that a handler could take is dead-lettered unstarted because of its neighbours or a stop."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

import pytest
from hypothesis import strategies as st

from hadoken.local.state.eventlog import What
from hadoken.outcome import Kind, Verdict
from hadoken.pipeline.acknowledger import Batch
from hadoken.pipeline.inflight import Record
from hadoken.worker.endings import RELEASED
from hadoken.worker.pool import Call
from tests.property import machine
from tests.property.mutants import i9
from tests.property.mutants.mutant import Mutant
from tests.property.world import CALM, STILL

MOST_RECEIVES = 10
MOST_STOPS = 6  # drains and long delays together: below maxReceiveCount, as the promise says


class Unstarted(machine.Machine):
    """Counts, for every message, receives that no handler start paid for, and what may have caused them."""

    weathers: ClassVar = (CALM, STILL)
    options: ClassVar = {
        "concurrency": st.integers(1, 4),
        "visibility": st.just(600),
        "max_receives": st.just(MOST_RECEIVES),
        "lookahead": st.sampled_from((None, 10, 60)),
    }

    def prepare(self) -> None:
        """Start with nothing received."""
        self.received: Counter[str] = Counter()
        self.causes = 0
        self.causes_here = 0  # since the last restart
        self.scouted: Counter[str] = Counter()  # message id -> how often a scout had found it for no thread
        self._spy()

    def _spy(self) -> None:
        pool = self.world.pool
        give_back = pool.endings.give_back
        seen = 0

        def spied(record: Record, now: float) -> None:
            nonlocal seen
            scouted = sum(counts.scouted for counts in pool.counts.values())
            self.scouted[record.message.message_id] += scouted - seen
            seen = scouted
            give_back(record, now)

        pool.endings.give_back = spied  # type: ignore[method-assign] -- a spy on one pool

    def allowed(self, verdict: Verdict) -> Verdict:
        """Long delays and releases, which cost a group a receive, are rationed; FIFO heads fail for short times."""
        costly = verdict.kind is Kind.RELEASE or verdict.after > 300
        if costly and self.causes + self.world.drains >= MOST_STOPS:
            return Verdict(Kind.RETRY, after=5, failed=True)
        self.causes += costly
        self.causes_here += costly
        return verdict

    def restart(self) -> None:
        """A new pool has given nothing back yet."""
        super().restart()
        self.causes_here = 0
        self._spy()

    def may_drain(self) -> bool:
        """Stops are rationed likewise."""
        return super().may_drain() and self.causes + self.world.drains < MOST_STOPS

    def may_abandon(self) -> bool:
        """A forced stop is not the subject here."""
        return False

    def sent(self, calls: list[Call]) -> None:
        """At a drain nothing that a thread could take is given back while one is idle."""
        pool = self.world.pool
        if pool.draining and pool.table.active < pool.concurrency:
            started = {ticket for ticket, _ in self.world.hands.started}
            batches = [call for call in calls if isinstance(call, Batch)]
            given_back = [r for batch in batches for r in batch.records if r.verdict is RELEASED and r.group is None]
            unstarted = [record for record in given_back if record.ticket not in started]
            assert not unstarted, f"given back at the drain with {pool.table.active} of {pool.concurrency} busy"

    def check(self) -> None:
        """Each receive beyond the starts has a cause; none was dead-lettered unstarted."""
        starts = self.world.model.starts
        for event in self.world.events():
            if event.what is What.RECEIVED:
                self.received[event.id] += 1
            elif event.what is What.MOVED:
                assert starts[event.id], f"message {event.id} was dead-lettered and never started"
        if not self.causes_here and not self.world.pool.draining:
            for counts in self.world.pool.counts.values():
                assert counts.unstarted == counts.scouted, "given back without a cause"
        most = self.causes + self.world.drains + 1  # and the receive that is in hand now
        for name, count in self.received.items():
            unstarted = count - starts[name]
            assert unstarted <= most + self.scouted[name], (
                f"message {name} was received {count} times and started {starts[name]} times"
            )


def test_i9_dead_lettered_and_never_started_is_none() -> None:
    """A message is received and not started only by a stop, a release, a long delay, or a scout without a thread."""
    machine.run(Unstarted)


@pytest.mark.parametrize("mutant", i9.MUTANTS, ids=str)
def test_i9_fails_on(mutant: Mutant) -> None:
    """The property notices what it is there for."""
    machine.falsified(Unstarted, mutant)
