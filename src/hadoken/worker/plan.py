"""What a worker will be, computed before its first thread: pools, the queues each serves, the thread budget."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hadoken.errors import ConfigurationError

if TYPE_CHECKING:
    from hadoken.app import AnyHandler, App
    from hadoken.options import WorkerOptions

FLUSH = 5.0  # seconds after the drain deadline for what is still to be told to SQS


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """One pool: handler threads and what they serve; `handlers` and `weights` by logical queue name."""

    name: str
    concurrency: int
    handlers: Mapping[str, AnyHandler]
    weights: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """A worker before it starts.

    Attributes:
        wait_time: of long polls, in seconds; shortened so that one can end within the drain.
        budget: role -> number of threads, in the order of the banner.
        sqs_threads: threads of the botocore transport; 0 with a transport that needs none.
    """

    app: App
    options: WorkerOptions
    pools: tuple[PoolPlan, ...]
    wait_time: int
    budget: Mapping[str, int]
    sqs_threads: int

    @property
    def queues(self) -> list[str]:
        """Logical names of all queues served, in the order of the pools."""
        return [name for pool in self.pools for name in pool.handlers]


def plan(app: App, options: WorkerOptions, *, own_transport: bool = False, longest_wait: float = math.inf) -> Plan:
    """Work out what a worker for this app will be.

    Args:
        app: what to run.
        options: how to run it.
        own_transport: whether SQS is reached without botocore's threads.
        longest_wait: seconds of a long poll that the transport can wait for.

    Raises:
        ConfigurationError: nothing to serve, an unknown queue or pool, or more SQS threads than allowed.
    """
    app.validate()
    pools = tuple(_pools(app, options))
    queues = sum(len(pool.handlers) for pool in pools)
    sqs_threads = 0 if own_transport else queues + 2
    if sqs_threads > options.max_sqs_threads:
        raise ConfigurationError(
            f"{queues} queues need {sqs_threads} threads with the botocore transport; max_sqs_threads is "
            f"{options.max_sqs_threads}",
            hint='raise max_sqs_threads, serve fewer queues, or see whether transport="fast" can be taken',
        )
    budget = {"main": 1, "engine": 1, "watch": 1, "resolver": 1, "credentials": 1}
    budget |= {f"pool {pool.name}": pool.concurrency for pool in pools}
    if sqs_threads:
        budget["sqs"] = sqs_threads
    wait = min(options.wait_time, max(1, int(min(options.drain_timeout - FLUSH, longest_wait))))
    return Plan(app, options, pools, wait, budget, sqs_threads)


def _pools(app: App, options: WorkerOptions) -> list[PoolPlan]:
    served = _served(app, options)
    pools: list[PoolPlan] = []
    for name, declared in app.pools.items():
        handlers = {q: handler for q, handler in served.items() if app.pool_of(handler).name == name}
        if handlers:
            concurrency = declared.concurrency
            if name == "default" and options.concurrency is not None:
                concurrency = options.concurrency
            weights = {queue: declared.queues.get(queue, 1) for queue in handlers}
            pools.append(PoolPlan(name, concurrency, handlers, weights))
    return pools


def _served(app: App, options: WorkerOptions) -> Mapping[str, AnyHandler]:
    handlers = app.handlers
    if not handlers:
        raise ConfigurationError(f"app {app.name} has no handler", hint='declare one with @app.handler("queue")')
    if options.queues is None:
        return handlers
    unknown = [name for name in options.queues if name not in handlers]
    if unknown:
        raise ConfigurationError(
            f"no handler for queue{'s' if len(unknown) > 1 else ''} {', '.join(unknown)}; there are handlers for "
            f"{', '.join(handlers)}"
        )
    return {name: handlers[name] for name in options.queues}
