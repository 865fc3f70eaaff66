"""What a worker in a test costs: bounds on CPU time, which a busy machine does not move."""

from __future__ import annotations

import time

import hadoken
from hadoken.testing import worker


def test_a_worker_starts_and_stops_in_20_ms(app: hadoken.App) -> None:
    """Sixteen handler threads and an engine come and go in under 20 ms of CPU."""
    app.queue("orders", str).handler(lambda body: None)
    costs: list[float] = []
    for _ in range(5):
        before = time.process_time()
        with worker(app):
            pass
        costs.append(time.process_time() - before)
    assert min(costs) < 0.020, costs


def test_days_of_nothing_cost_little(app: hadoken.App) -> None:
    """A day of open polls, 4,320 of them, is passed in under a second of CPU."""
    app.queue("orders", str).handler(lambda body: None)
    with worker(app) as work:
        before = time.process_time()
        work.advance("1d")
        cost = time.process_time() - before
        assert work.snapshot().requests["ReceiveMessage"] > 4_000
    assert cost < 1.0
