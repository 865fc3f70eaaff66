"""A worker that a test drives: it runs when told, time moves when told, and nothing happens between two calls."""

from __future__ import annotations

import hadoken
from hadoken.testing import FakeSQS, worker


def test_nothing_runs_before_it_is_told() -> None:
    """What is sent waits for `drain`, which runs it, deletes it and says so."""
    app = hadoken.App("t")
    orders = app.queue("orders", dict)
    seen: list[object] = []
    orders.handler(seen.append)
    sqs = FakeSQS()
    with worker(app, sqs=sqs) as work:
        orders.send({"id": 1})
        assert not seen
        (run,) = work.drain()
        assert (run.body, run.attempt, type(run.outcome)) == ({"id": 1}, 1, hadoken.Ack)
        assert seen == [{"id": 1}]
        assert len(sqs.queues.named("orders")) == 0
        assert work.drain() == []
