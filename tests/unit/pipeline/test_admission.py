"""Admission and the shares of queues: who may receive how many."""

from __future__ import annotations

from hadoken.errors import SQSUnavailable
from hadoken.pipeline.admission import PATIENCE, Admission, Grant
from hadoken.pipeline.inflight import Record, State, Table
from hadoken.pipeline.places import Places
from hadoken.pipeline.poller import Poller
from tests.unit.pipeline.making import NOW, queue, record

DOWN = SQSUnavailable("no answer", transient=True)
MIB = 2**20


class Gate:
    """An admission with its table and pollers."""

    def __init__(
        self, *names: str, concurrency: int = 2, lookahead: int = 10, max_bytes: int = 64 * MIB, **weights: int
    ) -> None:
        self.table = Table()
        self.pollers = [Poller(queue(name, weight=weights.get(name, 1))) for name in names]
        self.places = Places(concurrency, linger=0.1, lookahead=lookahead)
        self.admission = Admission(self.places, self.table, self.pollers, max_bytes=max_bytes)

    def grants(self, now: float = NOW) -> list[Grant]:
        """What is granted now."""
        return self.admission.grants(now)

    def heat(self, *names: str) -> None:
        """Let queues be found full by their first receive."""
        for grant in self.grants():
            hot = grant.poller.queue.name in names
            self.admission.received(grant, grant.size if hot else 0, 0)

    def active(self, count: int, *, size: int = 1) -> list[Record]:
        """Let so many messages be active."""
        made = []
        for _ in range(count):
            one = record(self.table, queue("orders"), f"m{self.table.entered}", body="x" * size)
            self.table.move(one, State.ACTIVE)
            made.append(one)
        return made

    def fail(self, grant: Grant, now: float = NOW) -> None:
        """Let a receive fail."""
        grant.poller.failed(DOWN, grant.size, now)
        self.admission.failed(grant)


def test_one_queue_alone_polls_for_all_that_is_free() -> None:
    """It needs no scout: nobody else wants its places."""
    gate = Gate("orders", concurrency=4)
    (grant,) = gate.grants()
    assert (grant.size, grant.wait_time, grant.scout) == (10, 20, False)
    assert gate.admission.granted == gate.pollers[0].granted == 10
    assert gate.admission.free() == 4
    assert gate.grants() == []
    gate.admission.received(grant, 3, 0)
    gate.active(11)
    (grant,) = gate.grants()
    assert grant.size == 3


def test_a_busy_queue_waits_for_a_full_receive() -> None:
    """After a full receive it is asked again when ten places are free; `missing` says how many are not."""
    gate = Gate("orders", concurrency=4)
    gate.heat("orders")
    active = gate.active(10)
    assert gate.grants() == []
    assert gate.admission.missing() == 6
    for done in active[:6]:
        gate.table.remove(done)
    assert gate.admission.missing() == 0
    assert [grant.size for grant in gate.grants()] == [10]


def test_without_lookahead_any_free_place_is_asked_for() -> None:
    """Slow handlers: a thread that is free is worth a receive, and nothing is received that none could start."""
    gate = Gate("orders", concurrency=3, lookahead=0)
    (grant,) = gate.grants()
    assert grant.size == 3
    gate.admission.received(grant, 3, 0)
    active = gate.active(3)
    assert gate.grants() == []
    assert gate.admission.missing() == 1
    gate.table.remove(active[0])
    assert [grant.size for grant in gate.grants()] == [1]


def test_threads_that_idle_wait_for_a_fuller_receive_only_for_a_while() -> None:
    """Of many threads with long handlers a few wait for company, not for the hours that the next handler may take."""
    gate = Gate("orders", concurrency=200, lookahead=0)
    gate.heat("orders")
    gate.active(193)
    assert gate.grants() == []
    assert gate.admission.missing() == 3
    assert gate.admission.next_try() == NOW + PATIENCE
    assert gate.grants(NOW + PATIENCE / 2) == []
    assert gate.admission.next_try() == NOW + PATIENCE
    assert [grant.size for grant in gate.grants(NOW + PATIENCE)] == [7]
    assert gate.admission.next_try() is None


def test_no_time_is_kept_for_threads_that_have_found_work() -> None:
    """The next that idle wait as long again, and a deadline that is over never makes the engine turn and turn."""
    gate = Gate("orders", concurrency=200, lookahead=0)
    gate.heat("orders")
    gate.active(193)
    assert gate.grants() == []
    late = gate.active(7)
    assert gate.grants(NOW + PATIENCE) == []
    assert gate.admission.next_try() is None
    for done in late:
        gate.table.remove(done)
    assert gate.grants(NOW + 10) == []
    assert gate.admission.next_try() == NOW + 10 + PATIENCE
    for poller in gate.pollers:
        poller.quiet = True
    assert gate.grants(NOW + 20) == []
    assert gate.admission.next_try() is None


def test_places_beyond_busy_threads_wait_for_a_full_receive_however_long() -> None:
    """Nobody idles, so nothing is won by receiving less at once."""
    gate = Gate("orders", concurrency=4)
    gate.heat("orders")
    gate.active(5)
    assert gate.grants() == []
    assert gate.admission.next_try() is None
    assert gate.grants(NOW + 1_000) == []


def test_a_deep_queue_gets_more_receives_at_once() -> None:
    """One more for each full one while ten places are free; only the first of a queue alone waits long."""
    gate = Gate("orders", concurrency=10, lookahead=40)
    open_ = gate.grants()
    assert len(open_) == 1
    for expected in (2, 3, 4, 5, 5):  # five times ten are all the places
        gate.admission.received(open_.pop(0), 10, 0)
        open_ += gate.grants()
        assert len(open_) == expected
        assert gate.admission.granted == 10 * expected <= gate.places.total
    assert {grant.wait_time for grant in open_} == {1}
    while open_:
        gate.admission.received(open_.pop(0), 0, 0)
        assert gate.admission.granted == 10 * len(open_)
        if open_:
            assert gate.grants() == []
    assert gate.admission.free() == gate.places.total
    assert [(grant.size, grant.wait_time) for grant in gate.grants()] == [(10, 20)]


def test_a_receive_that_fails_beside_others_gives_its_places_back() -> None:
    """No other is started for it; after the last has failed too the queue rests, and is then asked again."""
    gate = Gate("orders", concurrency=10, lookahead=40)
    gate.heat("orders")
    first, second = gate.grants()
    gate.fail(first)
    assert gate.admission.granted == 10
    assert gate.grants() == []
    assert gate.admission.next_try() is None
    gate.fail(second)
    assert gate.admission.granted == 0
    at = gate.admission.next_try()
    assert at is not None
    assert at > NOW
    assert gate.grants(at - 0.01) == []
    assert [grant.size for grant in gate.grants(at)] == [10]
    assert gate.admission.next_try() is None


def test_an_answer_beside_a_failure_ends_the_rest() -> None:
    """SQS works after all: the queue is asked at once, with one receive."""
    gate = Gate("orders", concurrency=10, lookahead=40)
    gate.heat("orders")
    first, second = gate.grants()
    gate.fail(first)
    gate.admission.received(second, 5, 0)
    assert gate.admission.next_try() is None
    assert len(gate.grants()) == 1


def test_queues_that_were_empty_keep_a_scout_each() -> None:
    """One message, the long wait, a place of its own: so an empty queue delays no other."""
    gate = Gate("orders", "mails")
    gate.active(12)
    scouts = gate.grants()
    assert [(g.size, g.wait_time, g.scout) for g in scouts] == [(1, 20, True), (1, 20, True)]
    assert gate.admission.free() == gate.admission.granted == 0
    assert gate.grants() == []
    gate.admission.received(scouts[1], 0, 0)
    assert [grant.poller.queue.name for grant in gate.grants()] == ["mails"]


def test_a_blocked_queue_sends_no_scout_until_a_thread_is_free() -> None:
    """Not while every thread has something, whatever happens to its other receives; others are not concerned."""
    gate = Gate("orders", "mails")
    scout, other = gate.grants()
    active = gate.active(2)
    gate.admission.block(scout.poller)
    gate.admission.received(scout, 0, 0)
    gate.admission.received(other, 0, 0)
    assert [grant.poller.queue.name for grant in gate.grants()] == ["mails"]
    gate.table.remove(active[0])
    assert [grant.poller.queue.name for grant in gate.grants()] == ["orders"]


def test_a_busy_queue_beside_others_may_not_wait_long() -> None:
    """Its poll holds ten places."""
    gate = Gate("orders", "mails", concurrency=10)
    gate.heat("orders")
    grants = {grant.poller.queue.name: grant for grant in gate.grants()}
    assert (grants["orders"].size, grants["orders"].wait_time) == (10, 1)
    assert grants["mails"].scout


def test_over_full_is_no_place() -> None:
    """FIFO heads take their place without asking; then nothing is free, and not less than nothing."""
    gate = Gate("orders")
    gate.active(20)
    assert gate.admission.free() == 0
    assert gate.grants() == []


def test_nothing_is_received_while_too_much_settles() -> None:
    """Finished messages whose outcome SQS does not take hold everything back, scouts too."""
    gate = Gate("orders", "mails")
    for _ in range(gate.admission.max_settling):
        record(gate.table, queue(), f"m{gate.table.entered}", state=State.SETTLING)
    assert gate.grants() == []
    assert gate.admission.missing() == 0
    gate.table.remove(next(iter(gate.table.records.values())))
    assert len(gate.grants()) == 2


def test_fifo_queues_pause_while_too_much_waits() -> None:
    """Standard ones go on; they go on too when there is room."""
    gate = Gate("orders", "steps.fifo")
    for _ in range(gate.admission.max_waiting):
        record(gate.table, gate.pollers[1].queue, f"m{gate.table.entered}", group="a")
    assert [grant.poller.queue.name for grant in gate.grants()] == ["orders"]
    gate.table.remove(next(iter(gate.table.records.values())))
    assert [grant.poller.queue.name for grant in gate.grants()] == ["steps.fifo"]


def test_a_quiet_queue_is_not_asked() -> None:
    """Wherever it waits: for places, with a scout's wish, or resting."""
    gate = Gate("orders", "mails", "news")
    scouts = {grant.poller.queue.name: grant for grant in gate.grants()}
    gate.admission.received(scouts["orders"], 1, 0)
    gate.admission.received(scouts["mails"], 0, 0)
    gate.fail(scouts["news"])
    for poller in gate.pollers:
        poller.quiet = True
    assert gate.grants(NOW + 100) == []
    assert gate.admission.next_try() is None


def test_bytes_in_flight_are_bounded() -> None:
    """By what is held, and what open receives will probably bring by what their queue's messages were."""
    gate = Gate("orders", concurrency=10, lookahead=90, max_bytes=30 * MIB)
    (grant,) = gate.grants()
    held = gate.active(10, size=MIB)
    gate.admission.received(grant, 10, gate.table.bytes)
    opened = gate.grants()
    assert [grant.size for grant in opened] == [10, 9]  # a text is a little more than its characters
    assert gate.grants() == []
    gate.admission.received(opened[0], 0, 0)
    gate.admission.received(opened[1], 0, 0)
    assert gate.admission.granted_bytes == 0
    held += gate.active(20, size=MIB)
    assert gate.grants() == []
    for one in held[:3]:
        gate.table.remove(one)
    assert [grant.size for grant in gate.grants()] == [2]


def test_a_message_beyond_the_bound_stops_receives_until_it_is_done() -> None:
    """It is handled, then the queue is asked for one: with nothing held there is always room for one."""
    gate = Gate("orders", max_bytes=MIB)
    (grant,) = gate.grants()
    (huge,) = gate.active(1, size=3 * MIB)
    gate.admission.received(grant, 1, gate.table.bytes)
    assert gate.grants() == []
    gate.table.remove(huge)
    assert [grant.size for grant in gate.grants()] == [1]


def test_scouts_wait_for_memory_too() -> None:
    """They are sent once there is some."""
    gate = Gate("orders", "mails", max_bytes=MIB)
    (huge,) = gate.active(1, size=2 * MIB)
    assert gate.grants() == []
    gate.table.remove(huge)
    assert len(gate.grants()) == 2


def test_shares_follow_the_weights() -> None:
    """Queues of 3, 2 and 1 that all have messages: each within one receive of its ideal share, at every moment."""
    gate = Gate("a", "b", "c", concurrency=1, lookahead=9, a=3, b=2, c=1)
    gate.heat("a", "b", "c")
    got = dict.fromkeys("abc", 0)
    for _ in range(120):
        (grant,) = gate.grants()
        gate.admission.received(grant, grant.size, 0)
        got[grant.poller.queue.name] += grant.size
        total = sum(got.values())
        for name, weight in (("a", 3), ("b", 2), ("c", 1)):
            assert abs(got[name] - total * weight / 6) <= 10
    assert got == {"a": 600, "b": 400, "c": 200}


def test_open_receives_count_for_the_share() -> None:
    """With places for many receives at once: what was received and what may come are shared, once both may have all."""
    gate = Gate("a", "b", concurrency=10, lookahead=40)
    gate.heat("a", "b")
    opened = gate.grants()
    taken = dict.fromkeys("ab", 0)
    for receive in range(40):
        grant = opened.pop(0)
        taken[grant.poller.queue.name] += grant.size
        gate.admission.received(grant, grant.size, 0)
        opened += gate.grants()
        both = [taken[poller.queue.name] + poller.granted for poller in gate.pollers]
        assert abs(both[0] - both[1]) <= 10 or receive < 10  # at first each has to earn its receives
    assert len(opened) == 5


def test_a_queue_that_comes_back_claims_nothing_from_before() -> None:
    """After a long time of emptiness it starts level with the others."""
    gate = Gate("a", "b", concurrency=1, lookahead=9)
    first, scout = gate.grants()
    gate.admission.received(first, 1, 0)
    for _ in range(50):
        (grant,) = gate.grants()
        gate.admission.received(grant, grant.size, 0)
    gate.admission.received(scout, 1, 0)
    got = {"a": 0, "b": 0}
    for _ in range(20):
        (grant,) = gate.grants()
        gate.admission.received(grant, grant.size, 0)
        got[grant.poller.queue.name] += 1
    assert abs(got["a"] - got["b"]) <= 1
