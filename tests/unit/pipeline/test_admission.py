"""Admission and the shares of queues: who may receive how many."""

from __future__ import annotations

from hadoken.pipeline.admission import Admission
from hadoken.pipeline.inflight import State, Table
from hadoken.pipeline.poller import Poller
from tests.unit.pipeline.making import NOW, queue, record


def pollers(*names: str, **weights: int) -> list[Poller]:
    """Pollers of queues."""
    return [Poller(queue(name, weight=weights.get(name, 1))) for name in names]


def active(table: Table, count: int, name: str = "orders") -> None:
    """Let so many messages be active."""
    for _ in range(count):
        record(table, queue(name), f"m{table.entered}", state=State.ACTIVE)


def test_one_queue_alone_polls_for_all_that_is_free() -> None:
    """It needs no scout: nobody else wants its places."""
    admission, table, (one,) = Admission(4), Table(), pollers("orders")
    (grant,) = admission.grants(table, [one], NOW)
    assert (grant.size, grant.wait_time, grant.scout) == (10, 20, False)
    assert one.granted == 10
    assert admission.free(table, [one]) == 4
    admission.received(one, 3)
    active(table, 11)
    (grant,) = admission.grants(table, [one], NOW)
    assert grant.size == 3


def test_a_busy_queue_waits_for_a_full_receive() -> None:
    """After a full receive it is asked again when ten places are free; `missing` says how many are not."""
    admission, table, (one,) = Admission(4), Table(), pollers("orders")
    one.open(10, scout=False)
    admission.received(one, 10)
    active(table, 10)
    assert admission.grants(table, [one], NOW) == []
    assert admission.missing(table, [one], NOW) == 6
    for done in list(table.records.values())[:6]:
        table.remove(done)
    assert admission.missing(table, [one], NOW) == 0
    assert [grant.size for grant in admission.grants(table, [one], NOW)] == [10]


def test_few_places_are_a_full_receive_of_their_own() -> None:
    """With less than ten places in all, a full receive is as many as there are."""
    admission, table, (one,) = Admission(2, lookahead=1), Table(), pollers("orders")
    one.open(3, scout=False)
    admission.received(one, 3)
    assert [grant.size for grant in admission.grants(table, [one], NOW)] == [3]


def test_queues_that_were_empty_keep_a_scout_each() -> None:
    """One message, the long wait, a place of its own: so an empty queue delays no other."""
    admission, table, two = Admission(2), Table(), pollers("orders", "mails")
    active(table, 12)
    assert [(g.size, g.wait_time, g.scout) for g in admission.grants(table, two, NOW)] == [(1, 20, True), (1, 20, True)]
    assert admission.free(table, two) == 0
    assert admission.grants(table, two, NOW) == []


def test_a_busy_queue_beside_others_may_not_wait_long() -> None:
    """Its poll holds ten places."""
    admission, table, two = Admission(10), Table(), pollers("orders", "mails")
    two[0].hot = True
    grants = {grant.poller.queue.name: grant for grant in admission.grants(table, two, NOW)}
    assert (grants["orders"].size, grants["orders"].wait_time) == (10, 1)
    assert grants["mails"].scout


def test_over_full_is_no_place() -> None:
    """FIFO heads take their place without asking; then nothing is free, and not less than nothing."""
    admission, table, (one,) = Admission(2), Table(), pollers("orders")
    active(table, 20)
    assert admission.free(table, [one]) == 0
    assert admission.grants(table, [one], NOW) == []


def test_nothing_is_received_while_too_much_settles() -> None:
    """Finished messages whose outcome SQS does not take hold everything back, scouts too."""
    admission, table, two = Admission(2), Table(), pollers("orders", "mails")
    for _ in range(admission.max_settling):
        record(table, queue(), f"m{table.entered}", state=State.SETTLING)
    assert admission.grants(table, two, NOW) == []
    assert admission.missing(table, two, NOW) == 0


def test_fifo_queues_pause_while_too_much_waits() -> None:
    """Standard ones go on."""
    admission, table, two = Admission(2), Table(), pollers("orders", "steps.fifo")
    for _ in range(admission.max_waiting):
        record(table, two[1].queue, f"m{table.entered}", group="a")
    assert [grant.poller.queue.name for grant in admission.grants(table, two, NOW)] == ["orders"]


def test_shares_follow_the_weights() -> None:
    """Queues of 3, 2 and 1 that all have messages: each within one receive of its ideal share, at every moment."""
    admission, table = Admission(1, lookahead=9), Table()
    three = pollers("a", "b", "c", a=3, b=2, c=1)
    for poller in three:
        poller.open(1, scout=True)
        admission.received(poller, 1)
    got = dict.fromkeys("abc", 0)
    for _ in range(120):
        (grant,) = admission.grants(table, three, NOW)
        admission.received(grant.poller, grant.size)
        got[grant.poller.queue.name] += grant.size
        total = sum(got.values())
        for name, weight in (("a", 3), ("b", 2), ("c", 1)):
            assert abs(got[name] - total * weight / 6) <= 10
    assert got == {"a": 600, "b": 400, "c": 200}


def test_a_queue_that_comes_back_claims_nothing_from_before() -> None:
    """After a long time of emptiness it starts level with the others."""
    admission, table = Admission(1, lookahead=9), Table()
    both = pollers("a", "b")
    both[0].open(10, scout=False)
    admission.received(both[0], 10)
    for _ in range(50):
        grant = next(g for g in admission.grants(table, both, NOW) if g.poller is both[0])
        admission.received(both[0], grant.size)
    admission.received(both[1], 1)
    got = {"a": 0, "b": 0}
    for _ in range(20):
        (grant,) = admission.grants(table, both, NOW)
        admission.received(grant.poller, grant.size)
        got[grant.poller.queue.name] += 1
    assert abs(got["a"] - got["b"]) <= 1
