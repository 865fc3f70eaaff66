"""How many messages a pool may hold that no thread has finished: its threads, and a lookahead for each receive's way.

    lookahead = max(10, rate x (round trip + linger))

where the rate is what the threads can handle: their number by the mean time of a run. While one receive travels,
threads live on it. Two bounds: nothing waits here longer than `max_local_wait`, so at most rate x `max_local_wait` and
nothing at all for handlers that take longer than that; and above one full receive it is at most four messages a thread.
Engine loop only; blocks on nothing.
"""

from __future__ import annotations

from hadoken import limits

FULL = limits.RECEIVE_MESSAGES
LOCAL_WAIT = 1.0  # seconds that a message may wait here for a thread, while other workers might have one for it
PER_THREAD = 4  # messages of lookahead a thread: more would only hide messages from other workers
SMOOTH = 0.02  # weight of one run in the mean: about the last fifty count
TRIP_SMOOTH = 0.2  # weight of one receive in the mean of round trips
IDLE_SHARE = 20  # one thread in so many may wait for a fuller receive: their idleness is half of that, 2.5 %


class Places:
    """The places of one pool.

    Args:
        concurrency: handler threads.
        linger: seconds that outcomes wait for each other before SQS is told.
        lookahead: fixed; None: measured, and none before the first run has ended.
        max_local_wait: seconds.

    Attributes:
        concurrency: as given.
        total: messages that may be active or asked for at once, scouts apart.
        enough: free places that are worth a receive from a queue that has many messages: a full receive where the
            threads have work meanwhile, less where they would idle, and that for a second at the most (`Admission`).
    """

    def __init__(
        self, concurrency: int, *, linger: float, lookahead: int | None = None, max_local_wait: float = LOCAL_WAIT
    ) -> None:
        self.concurrency = concurrency
        self._linger = linger
        self._fixed = lookahead
        self.max_local_wait = max_local_wait
        self._run: float | None = None
        self._trip = 0.0
        self._set(lookahead or 0)

    @property
    def lookahead(self) -> int:
        """Places beyond one for each thread."""
        return self.total - self.concurrency

    def ran(self, count: int, seconds: float) -> None:
        """Take in that `count` handlers ended, which took so long together."""
        if not count or self._fixed is not None:
            return
        mean = seconds / count
        self._run = mean if self._run is None else self._run + (mean - self._run) * min(1.0, count * SMOOTH)
        self._measure()

    def travelled(self, seconds: float) -> None:
        """Take in the round trip of a receive that SQS answered at once, since it was full."""
        self._trip += (seconds - self._trip) * TRIP_SMOOTH

    def ending(self, active: int, seconds: float) -> float:
        """How many of the active messages will probably have been handled within so many seconds; 0 when not known."""
        return 0.0 if self._run is None else min(active, self.concurrency) * seconds / max(self._run, 1e-6)

    def _measure(self) -> None:
        run = self._run
        if run is None or run >= self.max_local_wait:
            self._set(0)
            return
        rate = self.concurrency / max(run, 1e-6)
        wanted = max(FULL, min(rate * (self._trip + self._linger), PER_THREAD * self.concurrency))
        self._set(round(min(wanted, rate * self.max_local_wait)))

    def _set(self, lookahead: int) -> None:
        self.total = self.concurrency + lookahead
        self.enough = max(1, min(FULL, lookahead + self.concurrency // IDLE_SHARE))
