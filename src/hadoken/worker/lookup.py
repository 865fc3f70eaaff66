"""Looking queues up: once per queue at boot, never on the path of a message.

A queue that does not exist is the user's mistake and ends the boot, with all missing ones named at once. An SQS that
does not answer is not: the worker stays up and tries on.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from hadoken.errors import ConfigurationError, QueueNotFound, SQSError
from hadoken.pipeline.queues import SHORT_TIMEOUT, QueueInfo, redrive_policy, visibility_timeout
from hadoken.sqs import backoff
from hadoken.sqs.address import url_of
from hadoken.sqs.api import NO_CREDENTIALS, SQS, Fault, fault_of

if TYPE_CHECKING:
    from hadoken.worker.plan import Plan, PoolPlan

log = logging.getLogger("hadoken.worker")


async def look_up(
    sqs: SQS,
    plan: Plan,
    *,
    where: str,
    on_trouble: Callable[[SQSError], None],
    randomness: random.Random | None = None,
) -> Mapping[str, QueueInfo]:
    """Find all queues of a worker.

    Args:
        sqs: what to ask.
        plan: which queues.
        where: region and endpoint in words, for the error that names missing queues.
        on_trouble: called once, with the first error, when SQS cannot be asked; the search goes on.
        randomness: of the waits between tries.

    Returns:
        Logical name -> what is known of the queue, for every queue of the plan.

    Raises:
        QueueNotFound: names every queue that is missing.
        ConfigurationError: a queue's settings cannot work, or there are no credentials at all.
    """
    found: dict[str, QueueInfo] = {}
    jitter = randomness or random.Random()  # noqa: S311 -- jitter, not a secret
    failures = 0
    while True:
        trouble = await _pass(sqs, plan, found, where)
        if trouble is None:
            return found
        failures += 1
        if failures == 1:
            on_trouble(trouble)
        await asyncio.sleep(backoff.LOOK_UP.wait(failures, jitter.uniform(0.0, 1.0)))


async def _pass(sqs: SQS, plan: Plan, found: dict[str, QueueInfo], where: str) -> SQSError | None:
    """Ask for what is not found yet, all side by side; returns an error that another pass may mend."""
    wanted = [(pool, name) for pool in plan.pools for name in pool.handlers if name not in found]
    answers = await asyncio.gather(*(_one(sqs, plan, pool, name) for pool, name in wanted), return_exceptions=True)
    missing: list[str] = []
    trouble: SQSError | None = None
    for (_, name), answer in zip(wanted, answers, strict=True):
        if isinstance(answer, QueueInfo):
            found[name] = answer
        elif isinstance(answer, SQSError) and fault_of(answer) is Fault.NO_QUEUE:
            missing.append(name)
        elif isinstance(answer, SQSError) and answer.code == NO_CREDENTIALS:
            raise ConfigurationError("no AWS credentials are found", hint=answer.hint) from answer
        elif isinstance(answer, SQSError):
            trouble = answer
        else:
            raise answer
    if missing:
        names = ", ".join(_described(plan, name) for name in missing)
        raise QueueNotFound(
            f"missing queue{'s' if len(missing) > 1 else ''}: {names}, in {where}",
            queues=missing,
            hint=f"create {'them' if len(missing) > 1 else 'it'}, or map to another by HADOKEN_QUEUES__<NAME>",
        )
    return trouble


async def _one(sqs: SQS, plan: Plan, pool: PoolPlan, name: str) -> QueueInfo:
    handler = pool.handlers[name]
    address = plan.app.queues[name].address()
    url = url_of(address) or await sqs.queue_url(address)
    attributes = await _attributes(sqs, name, url)
    timeout = visibility_timeout(name, attributes, handler.options.visibility_timeout)
    if timeout < SHORT_TIMEOUT:
        log.warning("queue %s: a visibility timeout of %d s leaves little time to extend leases", name, timeout)
    policy = redrive_policy(attributes)
    return QueueInfo(
        name=name,
        url=url,
        visibility_timeout=timeout,
        wait_time=plan.wait_time,
        weight=pool.weights[name],
        max_receive_count=policy.max_receive_count if policy else None,
        dead_letter_url=await _dead_letter_url(sqs, name, policy.dead_letter_queue) if policy else None,
        time_limit=handler.options.time_limit,
        hold_limit=handler.options.hold_limit,
        handler=handler.name,
    )


async def _attributes(sqs: SQS, name: str, url: str) -> Mapping[str, str]:
    try:
        return await sqs.queue_attributes(url)
    except SQSError as error:
        if fault_of(error) is not Fault.DENIED or error.code == NO_CREDENTIALS:
            raise
        log.warning("queue %s: its attributes may not be read, defaults are assumed: %s", name, error)
        return {}


async def _dead_letter_url(sqs: SQS, name: str, dead_letter_queue: str) -> str | None:
    try:
        return await sqs.queue_url(dead_letter_queue)
    except SQSError as error:
        if fault_of(error) not in (Fault.DENIED, Fault.NO_QUEUE):
            raise
        log.warning("queue %s: its dead-letter queue %s cannot be sent to: %s", name, dead_letter_queue, error)
        return None


def _described(plan: Plan, name: str) -> str:
    address = plan.app.queues[name].address()
    return name if address == name else f"{name} ({address})"
