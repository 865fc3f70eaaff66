"""A worker looked at before it is run: what it would be, and what SQS says of its queues. Starts no thread.

Rules of this file:
- It asks by the transport that the worker would take, and receives nothing.
- A finding never ends the look, but an SQS that cannot be reached does: every further question would wait as long.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from hadoken.clock import SYSTEM
from hadoken.errors import ConfigurationError, SQSDenied, SQSError
from hadoken.pipeline.queues import SHORT_TIMEOUT, RedrivePolicy, redrive_policy, visibility_timeout
from hadoken.sqs.address import url_of
from hadoken.sqs.api import NO_CREDENTIALS, Fault, fault_of
from hadoken.worker.banner import budget_line, drain_line, tracing_line, transport_line
from hadoken.worker.plan import plan

if TYPE_CHECKING:
    from hadoken.app import AnyHandler, App
    from hadoken.options import WorkerOptions
    from hadoken.sqs.connection import Connection
    from hadoken.sqs.opening import Opening
    from hadoken.worker.plan import Plan

FEW_RECEIVES: Final = 5  # below this a restart or two of the worker costs a message all of its chances
SKEW: Final = 60.0  # seconds; SQS refuses a signature from 900 on, and a clock that is off this much goes on drifting

# Codes of keys that nobody knows, or that do not fit: with them nothing is allowed.
_WRONG_KEYS: Final = frozenset(
    {"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidSignatureException"}
)

Level = Literal["ok", "WARN", "FAIL"]


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at.

    Attributes:
        what: "transport", "credentials", "queue orders", ...
        level: WARN works, and may surprise; with FAIL the worker does not start.
        said: what was found, in words.
        fix: what to do; "" where nothing has to be.
        facts: the same as data.
    """

    what: str
    level: Level
    said: str
    fix: str = ""
    facts: Mapping[str, Any] = {}


def check(app: App, options: WorkerOptions, connection: Connection) -> Iterator[Finding]:
    """Look at a worker; findings come as they are made, in the order in which a worker would meet them.

    Args:
        app: what it would run.
        options: how.
        connection: how SQS would be reached.

    Raises:
        ConfigurationError: app, options, transport or region cannot work.
        SQSError: SQS was not reached, or does not let us ask for a queue.

    Thread: any; blocks for a request and a few for each queue.
    """
    planned = plan(app, options, own_transport=True)
    from hadoken.sqs.opening import Opening  # noqa: PLC0415 -- it loads botocore

    opening = Opening(connection)
    if not opening.is_fast:
        planned = plan(app, options, longest_wait=opening.longest_wait)
    yield from _worker(planned, opening)
    credentials = _credentials(opening)
    yield credentials
    if credentials.level == "FAIL":
        return
    yield _clock(opening)
    client = opening.asking()
    try:
        for pool in planned.pools:
            for name, handler in pool.handlers.items():
                yield _queue(client, planned, name, handler, opening.where)
    finally:
        client.close()


def _worker(planned: Plan, opening: Opening) -> Iterator[Finding]:
    choice, threads = opening.choice, planned.sqs_threads
    facts = {**msgspec.to_builtins(choice), "threads": threads, "endpoint": opening.endpoint_url}
    yield Finding("transport", "ok", transport_line(choice, opening.endpoint_url, threads), facts=facts)
    if missing := tracing_line(choice):
        yield Finding(
            "tracing", "WARN", missing, fix="--transport botocore where traces must go through the queue", facts=facts
        )
    yield Finding("region", "ok", opening.region, facts={"region": opening.region})
    yield Finding("threads", "ok", budget_line(planned.budget), facts=dict(planned.budget))
    facts = {"drain_timeout": planned.options.drain_timeout, "wait_time": planned.wait_time}
    yield Finding("drain", "ok", drain_line(planned), facts=facts)


def _credentials(opening: Opening) -> Finding:
    credentials = opening.credentials()
    try:
        keys = credentials.keys
    except SQSDenied as error:
        if error.code != NO_CREDENTIALS:
            raise
        return Finding("credentials", "FAIL", "none are found", fix=error.hint, facts={"found": False})
    kind = "temporary" if keys.token else "permanent"
    said = f"found, {kind}, access key {_masked(keys.access_key)}"
    return Finding("credentials", "ok", said, facts={"found": True, "temporary": bool(keys.token)})


def _clock(opening: Opening) -> Finding:
    """How far this machine's clock is from that of SQS, which is known to the second."""
    theirs = opening.server_time()
    if theirs is None:
        return Finding("clock", "WARN", "not known: the endpoint does not tell its time", facts={"ahead": None})
    ahead = round(SYSTEM.wall() - theirs)
    facts = {"ahead": ahead}
    if abs(ahead) <= SKEW:
        return Finding("clock", "ok", f"within {max(abs(ahead), 1)} s of SQS", facts=facts)
    said = f"{abs(ahead)} s {'ahead of' if ahead > 0 else 'behind'} SQS, which refuses signatures from 900 s on"
    return Finding("clock", "WARN", said, fix="let NTP set the clock of this machine", facts=facts)


def _queue(client: Any, planned: Plan, name: str, handler: AnyHandler, where: str) -> Finding:  # noqa: ANN401 -- one of two clients that have no common name
    what = f"queue {name}"
    address = planned.app.queues[name].address()
    try:
        url = url_of(address) or client.queue_url(address)
        attributes = client.queue_attributes(url)
        timeout = visibility_timeout(name, attributes, handler.options.visibility_timeout)
    except ConfigurationError as error:
        return Finding(what, "FAIL", error.args[0], fix=error.hint)
    except SQSError as error:
        return _refused(what, name, address, where, error)
    policy = redrive_policy(attributes)
    facts = {
        "url": url,
        "visibility_timeout": timeout,
        "dead_letter_queue": policy.dead_letter_queue if policy else None,
        "max_receive_count": policy.max_receive_count if policy else None,
    }
    said = f"visibility timeout {timeout} s, {_dead_letters(policy)}"
    warned = _warning(policy, timeout)
    return Finding(what, "WARN" if warned else "ok", said, fix=warned, facts=facts)


def _refused(what: str, name: str, address: str, where: str, error: SQSError) -> Finding:
    fault = fault_of(error)
    if fault is Fault.NO_QUEUE:
        mapped = "" if address == name else f" ({address})"
        fix = "create it, or map to another by HADOKEN_QUEUES__<NAME>"
        return Finding(what, "FAIL", f"missing{mapped}, in {where}", fix=fix, facts={"address": address})
    if (fault is Fault.DENIED and error.operation == "GetQueueUrl") or error.code in _WRONG_KEYS:
        raise error  # a worker would ask again and again, and receive nothing meanwhile
    if fault is Fault.DENIED:
        fix = f"allow sqs:{error.operation}; until then the timeout of SQS's default is assumed"
        return Finding(what, "WARN", str(error), fix=fix, facts={"address": address, "code": error.code})
    raise error


def _dead_letters(policy: RedrivePolicy | None) -> str:
    if policy is None:
        return "no dead-letter queue"
    return f"dead-letter queue {policy.dead_letter_queue} after {policy.max_receive_count} receives"


def _warning(policy: RedrivePolicy | None, timeout: int) -> str:
    """What to do about a queue's settings; "" where they are sound."""
    if timeout < SHORT_TIMEOUT:
        return f"set visibility_timeout= on the handler, {SHORT_TIMEOUT} s or more: leases are extended in time then"
    if policy is None:
        return "give it a RedrivePolicy: a message that always fails is tried until its retention ends"
    if policy.max_receive_count < FEW_RECEIVES:
        return (
            f"raise maxReceiveCount to {FEW_RECEIVES} or more: every restart of a worker may cost a message a receive"
        )
    return ""


def _masked(key: str) -> str:
    return f"{key[:4]}...{key[-4:]}" if len(key) > 12 else key
