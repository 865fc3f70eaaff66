"""One queue's polls: how many receives may be open, a back-off that never gives up, a log line for a change of state.

A queue has one open receive, and more while it has more messages than one brings: one more after each full receive,
back to one after an empty or failed one. A FIFO queue never has more than one: two answers that cross would mix up the
order within a message group, and an attempt id belongs to one receive.

Engine loop only; blocks on nothing. The engine sends what `request` builds and reports back with `answered` or
`failed`.
"""

from __future__ import annotations

import logging
import random
import uuid
from typing import TYPE_CHECKING

from hadoken import limits
from hadoken.sqs import backoff
from hadoken.sqs.api import Fault, Receive, fault_of

if TYPE_CHECKING:
    from hadoken.errors import SQSError
    from hadoken.pipeline.queues import QueueInfo

log = logging.getLogger("hadoken.poller")

# Receives of one queue that may be open at once. Each brings ten messages a round trip, so eight at 20 ms are about
# 4,000 messages a second of one queue, and at 5 ms more than one process handles; what is open when a queue runs empty
# comes back empty, once.
MOST_OPEN = 8


class Poller:
    """The polls of one queue.

    Args:
        most_open: receives that may be open at once; always one on a FIFO queue.

    Attributes:
        queue: whose.
        receives: how many are open.
        granted: messages that they may bring in all; 0 when none is open.
        allowed: how many may be open now, 1..most_open.
        scout: whether the open receive is a scout, whose place is not one of the pool's; it is then the only one.
        hot: whether the last receive was full: there is probably more.
        quiet: no receive is started any more.
        failing_since: lease clock of the first of the failures in a row; None while it works.
        bytes_each: what a message held in the last receives that brought any, on average.
    """

    def __init__(
        self, queue: QueueInfo, *, most_open: int = MOST_OPEN, randomness: random.Random | None = None
    ) -> None:
        self.queue = queue
        self.receives = 0
        self.granted = 0
        self.allowed = 1
        self.scout = False
        self.hot = False
        self.quiet = False
        self.failing_since: float | None = None
        self.not_before = float("-inf")
        self.bytes_each = 0.0
        self._most_open = 1 if queue.fifo else most_open
        self._last_code = ""
        self._attempt_id: str | None = None
        self._random = randomness or random.Random()  # noqa: S311 -- jitter, not a secret

    def may_ask(self, now: float) -> bool:
        """Whether a receive may be started now, places permitting."""
        return self.wants_more and not self.quiet and now >= self.not_before

    @property
    def wants_more(self) -> bool:
        """Whether fewer receives are open than it is worth."""
        return not self.receives or (self.hot and self.receives < self.allowed)

    def open(self, size: int, *, scout: bool) -> None:
        """Note that one more receive, of up to `size` messages, is open."""
        self.receives += 1
        self.granted += size
        self.scout = scout

    def request(self, size: int, wait_time: int) -> Receive:
        """Build the receive. On FIFO queues its attempt id stays the same until an answer comes.

        Source: SQS API Reference, ReceiveRequestAttemptId: a repeat within five minutes brings the same messages.
        """
        if self.queue.fifo and self._attempt_id is None:
            self._attempt_id = uuid.uuid4().hex
        return Receive(self.queue.url, size, wait_time, self.queue.visibility_timeout, self._attempt_id)

    def answered(self, count: int, asked: int) -> None:
        """Take in that an open receive of up to `asked` messages brought `count`."""
        self._close(asked)
        self.hot = count >= asked
        if not count:
            self.allowed = 1
        elif self.hot and asked == limits.RECEIVE_MESSAGES and self.allowed < self._most_open:
            self.allowed += 1
        self._attempt_id = None
        if self.failing_since is not None:
            log.info("queue %s: receiving again", self.queue.name)
            self.failing_since = None
            self.not_before = float("-inf")
            self._last_code = ""

    def failed(self, error: SQSError, asked: int, now: float) -> None:
        """Take in that an open receive of up to `asked` messages failed: back off, for ever if need be."""
        self._close(asked)
        self.allowed = 1
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
        return None if self.failing_since is None or self.receives or self.quiet else self.not_before

    def _close(self, asked: int) -> None:
        self.receives -= 1
        self.granted -= asked
        self.scout = False
