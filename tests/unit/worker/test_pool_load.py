"""One pool under load in virtual time, on queues that are full for ever: what it asks of SQS, how busy threads are."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from hadoken.clock import VirtualClock
from hadoken.pipeline.acknowledger import Batch, Operation
from hadoken.pipeline.executor import Executor
from hadoken.sqs.api import BatchAnswer, Received
from hadoken.worker.pool import Pool
from hadoken.worker.receipts import Poll
from tests.unit.pipeline.making import NOW, message, queue
from tests.unit.worker.hands import Hands, Unrun


class Load:
    """A pool whose threads take as long as the test says, and an SQS that always has ten messages."""

    def __init__(
        self, run: Callable[[], float], *, concurrency: int = 10, trip: float = 0.005, queues: int = 1
    ) -> None:
        self.clock = VirtualClock(NOW)
        infos = [queue(f"q{number}") for number in range(queues)]
        handlers = {info.name: Unrun(info.name) for info in infos}
        self.executor = Executor(handlers, concurrency, wake=self._woken, ask_extend=lambda *_: None, clock=self.clock)
        self.pool = Pool("default", infos, self.executor, randomness=random.Random(1))
        self.hands = Hands(self.executor, self.clock)
        self.requests: Counter[str] = Counter()
        self.busy = 0.0
        self.wakes = 0
        self.turns = 0
        self.most_unstarted = 0
        self._run = run
        self.left = math.inf  # messages that SQS still has
        self._trip = trip
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()
        self._names = (f"m{number}" for number in itertools.count())
        self._awake = True

    def go(self, seconds: float) -> None:
        """Let time pass."""
        end = self.clock.lease() + seconds
        while True:
            if self._awake:
                self._turn()
            due = self.pool.next_due()
            event = self._events[0][0] if self._events else end
            at = max(self.clock.lease(), min(event, end if due is None else due))
            if at >= end:
                return
            self.clock.advance(at - self.clock.lease())
            if event <= at:
                heapq.heappop(self._events)[2]()
                self._start()
            else:
                self._awake = True

    @property
    def per_message(self) -> float:
        """Requests per message deleted."""
        return sum(self.requests.values()) / self.deleted

    @property
    def deleted(self) -> int:
        """Messages whose delete SQS has confirmed."""
        return sum(counts.deleted for counts in self.pool.counts.values())

    def _woken(self) -> None:
        self.wakes += 1
        self._awake = True

    def _turn(self) -> None:
        self.turns += 1
        self._awake = False
        for call in self.pool.turn(self.clock.lease()):
            self.requests[type(call).__name__] += 1
            self._after(self._trip, lambda call=call: self._answer(call))  # type: ignore[misc] -- bound here and now
        self._start()

    def _answer(self, call: object) -> None:
        now = self.clock.lease()
        if isinstance(call, Poll):
            if not self.left:
                return  # it waits for messages
            self.pool.answered(call, Received([message(n) for n in self._take(call.request.max_messages)]), now)
        else:
            assert isinstance(call, Batch)
            assert call.operation is Operation.DELETE
            self.pool.answered(call, BatchAnswer(), now)
        self._awake = True

    def _take(self, count: int) -> Iterator[str]:
        some = int(min(count, self.left))
        self.left -= some
        return itertools.islice(self._names, some)

    def _start(self) -> None:
        for slot in self.hands.take_all():
            took = self._run()
            self.busy += took
            self._after(took, lambda slot=slot: self.hands.finish(slot) and None)  # type: ignore[misc] -- bound here and now
        self.most_unstarted = max(self.most_unstarted, self.hands.waiting)

    def _after(self, seconds: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.clock.lease() + seconds, next(self._number), what))


def jitter(mean: float, seed: int = 3) -> Callable[[], float]:
    """Times of a half to three halves of the mean."""
    chance = random.Random(seed)
    return lambda: chance.uniform(0.5, 1.5) * mean


@pytest.mark.parametrize(
    ("mean", "limit"), [(0.0001, 0.21), (0.01, 0.21), (0.05, 0.21), (0.2, 0.28)]
)  # of 0.2 s only five end within the linger
@pytest.mark.parametrize("trip", [0.001, 0.02])
def test_receives_and_deletes_are_full_under_load(mean: float, limit: float, trip: float) -> None:
    """Of the best there is, two calls for ten messages, hardly more, and the threads do not wait for them."""
    load = Load(jitter(mean), trip=trip)
    load.go(2)  # until it knows its handlers
    load.requests.clear()
    before, load.busy = load.deleted, 0.0
    seconds = max(2.0, 300 * mean)
    load.go(seconds)
    deleted = load.deleted - before
    assert sum(load.requests.values()) / deleted <= limit
    if mean >= 0.01:  # shorter ones are bound by the round trip
        assert load.busy / (10 * seconds) >= 0.95


def test_slow_handlers_hold_nothing_that_they_cannot_start() -> None:
    """Not at the start, when nothing is known of them, nor later."""
    load = Load(jitter(3.0))
    load.go(60)
    assert load.deleted > 100
    assert load.most_unstarted == 0
    assert load.pool.places.lookahead == 0


def test_many_slow_handlers_still_receive_in_tens() -> None:
    """One thread in twenty may wait for that."""
    load = Load(jitter(3.0), concurrency=256)
    load.go(30)
    assert load.per_message <= 0.23


def test_many_queues_share_places_with_full_receives() -> None:
    """Whatever there is of them."""
    load = Load(jitter(0.01), queues=40)
    load.go(5)
    load.requests.clear()
    before = load.deleted
    load.go(5)
    assert sum(load.requests.values()) / (load.deleted - before) <= 0.21


def test_busy_threads_call_the_engine_once_for_ten_outcomes() -> None:
    """While so many come that it looks anyway, the first of a batch need not call it."""
    load = Load(jitter(0.02))
    load.go(2)
    before, load.wakes = load.deleted, 0
    load.go(4)
    assert load.wakes / (load.deleted - before) <= 0.11


def test_the_last_outcomes_of_a_burst_are_told_in_time() -> None:
    """Nobody calls for them: the engine looks, they linger, they go; and then it has nothing more to look for."""
    load = Load(jitter(0.02))
    load.go(2)
    load.left = 7
    load.go(1)
    assert not load.pool.table.active
    assert not load.pool.table.settling
    load.turns = 0
    load.go(60)
    assert load.turns == 0


def test_slow_outcomes_call_the_engine_at_once() -> None:
    """Where few end in the time of a look, each lingers for a tenth of a second and no longer."""
    load = Load(lambda: 0.4, concurrency=1)
    load.go(20)
    assert load.deleted >= 47  # each takes 0.4 s, and its delete as long as it lingers and travels
    assert load.wakes >= load.deleted
