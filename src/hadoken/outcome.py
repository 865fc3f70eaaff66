"""How the handling of one message ends: exactly one of five outcomes.

A handler returns or raises one; returning None is `Ack`. The raisable ones derive from BaseException, so that a user's
`except Exception` cannot swallow them. What crosses from a handler thread to the engine is a `Verdict`: plain data
without an exception, a traceback or a reference to the message (I8).
"""

from __future__ import annotations

import enum
from datetime import timedelta

import msgspec


class OutcomeSignal(BaseException):
    """Base of the outcomes that may be returned or raised."""


class Ack(OutcomeSignal):
    """Handled: delete the message."""

    def __repr__(self) -> str:
        return "Ack()"


class Retry(OutcomeSignal):
    """Handle it again later.

    Args:
        after: seconds (or a timedelta) until the next try, >= 0; None takes the handler's retry policy. SQS allows 12
            h in all from the receive: a longer wait is shortened to what is left.
        reason: why, for logs and error hooks.
    """

    def __init__(self, after: float | timedelta | None = None, reason: str = "") -> None:
        seconds = after.total_seconds() if isinstance(after, timedelta) else after
        if seconds is not None and not 0 <= seconds < float("inf"):
            raise ValueError(f"Retry(after={seconds!r}): after is a number of seconds >= 0")
        super().__init__(reason or f"retry after {seconds} s")
        self.after = seconds
        self.reason = reason

    def __repr__(self) -> str:
        return f"Retry(after={self.after!r}, reason={self.reason!r})"


class Release(OutcomeSignal):
    """Give the message back now, for any worker to take; counts as a receive for SQS, not as a failure."""


class DeadLetter(OutcomeSignal):
    """Send a copy with this reason to the dead-letter queue, then delete the message."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __repr__(self) -> str:
        return f"DeadLetter({self.reason!r})"


class Discard(OutcomeSignal):
    """Delete the message although it was not handled; the reason is logged."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __repr__(self) -> str:
        return f"Discard({self.reason!r})"


Outcome = Ack | Retry | Release | DeadLetter | Discard


class Kind(enum.IntEnum):
    """The five outcomes, as data."""

    ACK = 0
    RETRY = 1
    RELEASE = 2
    DEAD_LETTER = 3
    DISCARD = 4


class Verdict(msgspec.Struct, frozen=True):
    """An outcome as it crosses from a handler thread to the engine.

    Attributes:
        after: RETRY only: seconds until the next try, >= 0; the engine shortens it to what SQS allows.
        reason: RETRY, DEAD_LETTER and DISCARD: why, in words, at most 1,024 characters.
        failed: whether the handler failed (an exception, or Retry); a release or an explicit discard is no failure.
    """

    kind: Kind
    after: float = 0.0
    reason: str = ""
    failed: bool = False


ACKED = Verdict(Kind.ACK)
