"""One queue's poll: at most one open receive, a back-off that never gives up, one log line for each change of state.

Engine loop only; blocks on nothing. The engine sends what `request` builds and reports back with `answered` or
`failed`.
"""

from __future__ import annotations

import logging
import random
import uuid
from typing import TYPE_CHECKING

from hadoken.sqs import backoff
from hadoken.sqs.api import Fault, Receive, fault_of

if TYPE_CHECKING:
    from hadoken.errors import SQSError
    from hadoken.pipeline.queues import QueueInfo

log = logging.getLogger("hadoken.poller")


class Poller:
    """The poll of one queue.

    Attributes:
        queue: whose.
        granted: messages that the open receive may bring; 0 when none is open.
        scout: whether the open receive is a scout, whose place is not one of the pool's.
        hot: whether the last receive was full: there is probably more.
        quiet: no receive is started any more.
        failing_since: lease clock of the first of the failures in a row; None while it works.
    """

    def __init__(self, queue: QueueInfo, *, randomness: random.Random | None = None) -> None:
        self.queue = queue
        self.granted = 0
        self.scout = False
        self.hot = False
        self.quiet = False
        self.failing_since: float | None = None
        self.not_before = float("-inf")
        self._last_code = ""
        self._attempt_id: str | None = None
        self._random = randomness or random.Random()  # noqa: S311 -- jitter, not a secret

    def may_ask(self, now: float) -> bool:
        """Whether a receive may be started now, places permitting."""
        return not self.granted and not self.quiet and now >= self.not_before

    def open(self, size: int, *, scout: bool) -> None:
        """Note that a receive of up to `size` messages is open."""
        self.granted = size
        self.scout = scout

    def request(self, size: int, wait_time: int) -> Receive:
        """Build the receive. On FIFO queues its attempt id stays the same until an answer comes.

        Source: SQS API Reference, ReceiveRequestAttemptId: a repeat within five minutes brings the same messages.
        """
        if self.queue.fifo and self._attempt_id is None:
            self._attempt_id = uuid.uuid4().hex
        return Receive(self.queue.url, size, wait_time, self.queue.visibility_timeout, self._attempt_id)

    def answered(self, count: int) -> None:
        """Take in that the open receive brought `count` messages."""
        self.hot = count >= self.granted
        self._close()
        self._attempt_id = None
        if self.failing_since is not None:
            log.info("queue %s: receiving again", self.queue.name)
            self.failing_since = None
            self._last_code = ""

    def failed(self, error: SQSError, now: float) -> None:
        """Take in that the open receive failed: back off, for ever if need be, by `backoff.RECEIVE`."""
        self._close()
        if self.failing_since is None:
            self.failing_since = now
        if error.code != self._last_code:
            log.warning("queue %s: cannot receive, trying on: %s", self.queue.name, error)
            self._last_code = error.code
        if fault_of(error) not in (Fault.TRANSIENT, Fault.THROTTLE, Fault.REFRESH):
            self._attempt_id = None
        draw = self._random.uniform(0.0, 1.0)
        self.not_before = now + backoff.RECEIVE.wait_in_outage(now - self.failing_since, draw)

    def next_try(self) -> float | None:
        """When a poller that backs off may ask again; None when it does not back off."""
        return None if self.failing_since is None or self.granted or self.quiet else self.not_before

    def _close(self) -> None:
        self.granted = 0
        self.scout = False
