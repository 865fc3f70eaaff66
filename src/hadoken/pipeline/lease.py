"""Visibility arithmetic: when a lease began, how far it may be trusted, how far it may still go.

All times are seconds of the lease clock. Source: SQS API Reference, ChangeMessageVisibility: seconds count from the
call, and 12 hours are a total since the receive.
"""

from __future__ import annotations

from collections import deque

from hadoken import limits

SAMPLES = 128  # calls over which the 99th percentile is taken: enough that the slowest one or two are above it
RECENT = 32  # answers from which the server's clock is learnt: a jump of it is forgotten after so many
DATE_JITTER = 2.0  # seconds by which Dates may differ for no reason: one of rounding, one between machines


class Margin:
    """How long before its end a lease is no longer trusted: a call to SQS must still fit in."""

    def __init__(self) -> None:
        self._durations: deque[float] = deque(maxlen=SAMPLES)
        self._slow = 0.0

    def note(self, duration: float) -> None:
        """Learn how long a delete or visibility call took, in seconds."""
        self._durations.append(duration)
        if duration > self._slow or len(self._durations) % 16 == 0:
            ordered = sorted(self._durations)
            self._slow = ordered[int(len(ordered) * 0.99)]

    def of(self, timeout: float) -> float:
        """The margin for a lease of `timeout` seconds: min(max(2 s, 3 x p99 of the calls), a quarter of the lease)."""
        return min(max(2.0, 3 * self._slow), timeout / 4)


class ServerClock:
    """The offset between the server's Date and our lease clock, learnt from answers.

    An answer was made before it arrived, so the largest recent `date - arrival` is the best lower bound of the offset,
    and `date - offset` is about when an answer was made. It matters when an answer lay unread, because the process was
    stopped or the interpreter was held: then the lease is older than it looks. A small difference is no sign of that:
    Dates are whole seconds, and SQS answers from many machines.
    """

    def __init__(self) -> None:
        self._offsets: deque[float] = deque(maxlen=RECENT)

    def lease_start(self, date: float | None, *, sent: float, arrived: float) -> float:
        """When the messages of an answer became ours: between `sent` and `arrived`.

        Args:
            date: the answer's Date in seconds since 1970, rounded down by the server; None where it had none.
            sent: lease clock when the request was sent.
            arrived: lease clock when the answer arrived.
        """
        if date is None:
            return arrived
        self._offsets.append(date - arrived)
        made = date - max(self._offsets)
        if made < sent - DATE_JITTER:  # no answer is older than its request: the server's clock was set back
            self._offsets.clear()
            self._offsets.append(date - arrived)
            return arrived
        return arrived if arrived - made < DATE_JITTER else max(sent, made)


def extension(timeout: float, *, received_at: float, now: float, margin: float) -> int:
    """Whole seconds that a visibility change may ask for now: `timeout`, or what the 12 hours leave; never negative."""
    left = limits.VISIBILITY_TOTAL - (now - received_at) - margin
    return max(0, int(min(timeout, left)))
