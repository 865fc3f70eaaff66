"""Visibility changes whose call failed: repeated where nothing was applied, given up where it may have been (I4)."""

from __future__ import annotations

import pytest

from hadoken.errors import SQSError, SQSUnavailable
from hadoken.local.faults import Faults, Rule
from hadoken.local.inprocess import LocalSQS
from hadoken.pipeline.acknowledger import LINGER, Operation
from hadoken.sqs.api import NOT_CONNECTED, Receive, SendBatch, SendEntry, sqs_error
from hadoken.sqs.backoff import ACKNOWLEDGE
from hadoken.worker.endings import RELEASED
from tests.unit.pipeline.making import message, queue
from tests.unit.worker.bench import Bench

CHANGE = "ChangeMessageVisibilityBatch"


def releasing() -> Bench:
    """Release m1 at once; the visibility change to 0 is on the wire."""
    bench = Bench(queue("orders"), concurrency=1)
    bench.receive(message("m1"))
    bench.run("m1", RELEASED)
    bench.turn(LINGER)
    assert [batch.operation for batch in bench.batches()] == [Operation.CHANGE]
    return bench


@pytest.mark.parametrize("code", [NOT_CONNECTED, "EndpointConnectionError", "ConnectTimeoutError"])
def test_a_release_that_was_never_sent_is_sent_again(code: str) -> None:
    """Without a connection nothing can have been applied: the message need not wait for its lease to lapse."""
    bench = releasing()
    bench.fail(bench.batches()[0], SQSUnavailable("no connection", code=code, transient=True))
    assert bench.batches() == []
    bench.turn(ACKNOWLEDGE.first)
    (again,) = bench.batches()
    assert again.request.entries == [("m1#1", 0)]
    bench.answer_all()
    bench.check_empty()
    assert bench.pool.counts["orders"].lost == 0


def test_a_release_that_is_never_sent_is_given_up_with_the_lease() -> None:
    """It is tried on while the message is surely ours, and not a moment longer."""
    bench = releasing()
    tries = 0
    for _ in range(400):  # 40 s; the lease is one of 30
        for call in (*bench.batches(), *bench.extensions()):
            tries += call in bench.batches()
            bench.fail(call, SQSUnavailable("no connection", code=NOT_CONNECTED, transient=True))
        bench.turn(0.1)
    assert tries > 5
    bench.check_empty()
    assert bench.pool.counts["orders"].lost == 1


@pytest.mark.parametrize(
    "error",
    [
        sqs_error(CHANGE, "InternalError", "We encountered an internal error.", status=500),
        sqs_error(CHANGE, "ServiceUnavailable", "", status=503),
        sqs_error(CHANGE, "", "<html>bad gateway</html>", status=502),
        SQSUnavailable("half an answer", code="UnreadableAnswer", transient=True),
    ],
    ids=["500", "503", "502", "unreadable"],
)
def test_a_release_that_a_server_failed_is_not_repeated(error: SQSError) -> None:
    """A server's error does not say that nothing was done; the message comes back when its lease ends at the latest."""
    bench = releasing()
    bench.fail(bench.batches()[0], error)
    bench.turn(10)
    assert bench.batches() == []
    assert bench.pool.counts["orders"].lost == 1
    bench.check_empty()


def test_what_a_repeat_would_do_on_a_standard_queue() -> None:
    """Why it is not repeated: after a 500 that was applied, a second change to 0 ends the next worker's lease."""
    lost = Rule(operation=CHANGE, nth=1, code="InternalError", status=500, applied=True)
    sqs = LocalSQS(faults=Faults([lost]))
    url = sqs.create_queue("orders")
    sqs.execute(SendBatch(url, [SendEntry("x")]))
    bench = Bench(queue("orders", url=url), concurrency=1)
    (poll,) = bench.polls()
    bench.receive(*sqs.execute(poll.request).messages)
    (held,) = bench.pool.table.records.values()
    bench.run(held.message.message_id, RELEASED)
    bench.turn(LINGER)
    (change,) = bench.batches(Operation.CHANGE)
    with pytest.raises(SQSUnavailable) as caught:
        sqs.execute(change.request)
    elsewhere = Receive(url, 10, 0, 30)
    assert len(sqs.execute(elsewhere).messages) == 1
    bench.fail(change, caught.value)
    bench.turn(10)
    assert bench.batches() == []
    assert sqs.execute(elsewhere).messages == [], "the other worker has it alone"
    sqs.execute(change.request)  # what the repeat would have been
    assert len(sqs.execute(elsewhere).messages) == 1, "now a third one has it beside the second"
