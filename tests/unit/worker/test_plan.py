"""What a worker will be: pools, queues, the thread budget, all before the first thread."""

from __future__ import annotations

import pytest

from hadoken import App
from hadoken.errors import ConfigurationError
from hadoken.options import WorkerOptions
from hadoken.worker.plan import plan


@pytest.fixture
def app() -> App:
    """Two pools; the default one serves one queue, "slow" two, one of them with weight 3."""
    made = App("test")
    made.pool("slow", concurrency=2, queues={"films": 3, "books": 1})
    for name in ("orders", "films", "books"):
        pool = "default" if name == "orders" else "slow"

        @made.queue(name, str).handler(pool=pool)
        def handle(body: str) -> None:
            """Do nothing."""

    return made


def test_the_budget_is_the_sum_of_the_roles(app: App) -> None:
    """Fixed ones, one line a pool, and botocore's threads: queues + 2."""
    made = plan(app, WorkerOptions())
    assert dict(made.budget) == {
        "main": 1, "engine": 1, "watch": 1, "resolver": 1, "credentials": 1, "pool default": 16, "pool slow": 2,
        "sqs": 5,
    }  # fmt: skip
    assert made.sqs_threads == 5
    assert sorted(made.queues) == ["books", "films", "orders"]
    slow = next(pool for pool in made.pools if pool.name == "slow")
    assert slow.weights == {"films": 3, "books": 1}


def test_a_transport_of_ones_own_needs_no_threads(app: App) -> None:
    """Then there is no such line in the budget."""
    made = plan(app, WorkerOptions(), own_transport=True)
    assert made.sqs_threads == 0
    assert "sqs" not in made.budget


def test_concurrency_is_that_of_the_default_pool(app: App) -> None:
    """Other pools keep theirs."""
    made = plan(app, WorkerOptions(concurrency=3))
    assert {pool.name: pool.concurrency for pool in made.pools} == {"default": 3, "slow": 2}


def test_only_pools_with_a_served_queue_get_threads(app: App) -> None:
    """A worker for some queues has no threads for the others."""
    made = plan(app, WorkerOptions(queues=("films",)))
    assert [pool.name for pool in made.pools] == ["slow"]
    assert made.queues == ["films"]
    assert "pool default" not in made.budget


@pytest.mark.parametrize(("drain", "wait"), [(25, 20), (10, 5), (5.5, 1), (0, 1)])
def test_a_long_poll_ends_within_the_drain(app: App, drain: float, wait: int) -> None:
    """Five seconds before its deadline, but it is never shorter than a second."""
    assert plan(app, WorkerOptions(drain_timeout=drain)).wait_time == wait


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"queues": ("film",)}, "no handler for queue film; there are handlers for"),
        ({"queues": ("film", "book")}, "no handler for queues film, book; there are handlers for"),
        ({"max_sqs_threads": 4}, "3 queues need 5 threads with the botocore transport; max_sqs_threads is 4"),
    ],
)
def test_what_cannot_work_is_refused(app: App, options: dict[str, object], says: str) -> None:
    """Before any thread."""
    with pytest.raises(ConfigurationError, match=says):
        plan(app, WorkerOptions(**options))


def test_an_app_without_handlers_is_refused() -> None:
    """There would be nothing to do."""
    with pytest.raises(ConfigurationError, match="app empty has no handler"):
        plan(App("empty"), WorkerOptions())
