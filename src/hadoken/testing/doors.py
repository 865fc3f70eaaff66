"""The doors of the kit: the function `worker`, and the type of the fixture of that name."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from hadoken.testing.driven import PATIENCE, TIMEOUT, DrivenWorker
from hadoken.testing.fake_sqs import FakeSQS

if TYPE_CHECKING:
    from hadoken.app import App


class StartWorker(Protocol):
    """What the fixture `worker` gives: it starts a worker that runs until the test ends."""

    def __call__(
        self,
        app: App,
        *,
        sqs: FakeSQS = ...,
        concurrency: int | None = None,
        queues: Iterable[str] | None = None,
        drain_timeout: float | timedelta = 25,
        raise_errors: bool = True,
        timeout: float = TIMEOUT,
        patience: float = PATIENCE,
    ) -> DrivenWorker:
        """Start it; arguments as for `DrivenWorker`, `sqs` is the test's own unless given."""
        ...


def worker(
    app: App,
    *,
    sqs: FakeSQS | None = None,
    concurrency: int | None = None,
    queues: Iterable[str] | None = None,
    drain_timeout: float | timedelta = 25,
    raise_errors: bool = True,
    timeout: float = TIMEOUT,
    patience: float = PATIENCE,
) -> DrivenWorker:
    """Run the app's handlers on the real engine, as long as a block lasts.

    `with worker(app) as work:` gives what a test drives. No AWS settings are read, nothing of botocore is loaded, and
    time is virtual. Arguments as for `DrivenWorker`; `sqs` is a new one unless given.
    """
    return DrivenWorker(
        app,
        sqs=FakeSQS() if sqs is None else sqs,
        concurrency=concurrency,
        queues=queues,
        drain_timeout=drain_timeout,
        raise_errors=raise_errors,
        timeout=timeout,
        patience=patience,
    )
