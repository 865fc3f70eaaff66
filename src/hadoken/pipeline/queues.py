"""What the engine knows of one queue: looked up once, then only changed by its own poller."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from hadoken import limits
from hadoken.errors import ConfigurationError

SHORT_TIMEOUT = 10  # seconds; below this a slow call to SQS can cost a lease, so the boot warns


@dataclass(slots=True)
class QueueInfo:
    """Settings of one queue in this worker; all durations in seconds.

    Attributes:
        name: the logical name, as declared.
        url: of SQS.
        visibility_timeout: of the handler, else of the queue; sent with every receive.
        wait_time: of a long poll.
        weight: share of the pool's receives while several queues have messages.
        max_receive_count: of the redrive policy; None where there is none or it is not known.
        dead_letter_url: where copies go; None where there is no dead-letter queue or it is not known.
        time_limit: of one run of the handler; None for no limit.
        hold_limit: FIFO: the longest delay for which a failed head is retried in place.
        handler: dotted name, for reports.
        fifo: whether order within message groups is kept; by the URL.
    """

    name: str
    url: str
    visibility_timeout: int = limits.DEFAULT_VISIBILITY
    wait_time: int = 20
    weight: int = 1
    max_receive_count: int | None = None
    dead_letter_url: str | None = None
    time_limit: float | None = 900.0
    hold_limit: float = 300.0
    handler: str = ""
    fifo: bool = field(init=False)

    def __post_init__(self) -> None:
        self.fifo = limits.is_fifo(self.url)


@dataclass(frozen=True, slots=True)
class RedrivePolicy:
    """A queue's redrive policy.

    Attributes:
        dead_letter_queue: name of the dead-letter queue.
        max_receive_count: receives after which SQS moves a message there.
    """

    dead_letter_queue: str
    max_receive_count: int


def visibility_timeout(name: str, attributes: Mapping[str, str], wanted: int | None) -> int:
    """The visibility timeout to receive with: the handler's, else the queue's.

    Raises:
        ConfigurationError: the queue's is 0 and the handler sets none.
    """
    timeout = int(attributes.get("VisibilityTimeout", limits.DEFAULT_VISIBILITY)) if wanted is None else wanted
    if timeout < 1:
        raise ConfigurationError(
            f"queue {name!r} has a visibility timeout of 0 s: every message would be handed out again at once",
            hint="set visibility_timeout= on its handler, 1..43200 s",
        )
    return timeout


def redrive_policy(attributes: Mapping[str, str]) -> RedrivePolicy | None:
    """Read a queue's RedrivePolicy attribute; None where there is none."""
    text = attributes.get("RedrivePolicy")
    if not text:
        return None
    policy = json.loads(text)
    return RedrivePolicy(policy["deadLetterTargetArn"].rpartition(":")[2], int(policy["maxReceiveCount"]))
