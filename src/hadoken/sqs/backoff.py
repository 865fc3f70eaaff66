"""How long to wait before SQS is asked again: one table for every transport and every caller.

Rules of this file:
- A transport sends a request once. Whether it is sent again is decided above the seam, by these numbers alone.
- Jitter is full: a wait is drawn evenly between `least` and a bound that grows, so that workers that failed together do
  not come back together. `least` keeps a hot loop away. It is the lower end of the draw, and not a floor under it: a
  floor would bring back all that drew less at the same moment.
- What failed together in one batch is given one draw, so that it goes again in one batch.

Extensions of leases are not in the table: `pipeline.keeper` tries them by what is left of the lease, at a quarter and
then an eighth of it, since a wait that does not know the lease would miss its end.
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec


class Until(enum.Enum):
    """When trying ends."""

    FOR_EVER = "it is tried on for as long as the worker runs"
    LEASE_END = "the message is another worker's to take; a visibility change ends earlier, see the acknowledger"
    TRIES = "the caller is told"


class Backoff(msgspec.Struct, frozen=True):
    """The waits of one class of operations, in seconds.

    Attributes:
        least: no wait is shorter.
        first: bound of the wait after the first failure, or in an outage that has just begun.
        longest: no wait is longer.
        until: when trying ends.
        tries: requests in all; 0 where that is not what ends it.
    """

    least: float
    first: float
    longest: float
    until: Until
    tries: int = 0

    def wait(self, failures: int, draw: float) -> float:
        """The wait after so many failures in a row (>= 1); its bound doubles with each.

        Args:
            failures: how often it has failed.
            draw: 0..1, by chance.
        """
        return self._drawn(min(self.longest, self.first * 2 ** min(failures - 1, 30)), draw)

    def wait_in_outage(self, lasting: float, draw: float) -> float:
        """The wait of who is asked again and again, in an outage that has lasted so many seconds.

        Its bound is half of that time, so the end of a short outage is noticed soon, and an outage is never prolonged
        by more than a half; doubling by the number of failures would wait for twice the outage where they come quickly.

        Args:
            lasting: seconds since the first failure in a row.
            draw: 0..1, by chance.
        """
        return self._drawn(min(self.longest, max(self.first, lasting / 2)), draw)

    def _drawn(self, bound: float, draw: float) -> float:
        return bound - (bound - self.least) * (1.0 - draw)


RECEIVE: Final = Backoff(least=1.0, first=2.0, longest=60.0, until=Until.FOR_EVER)
# A queue that is missing, or denied for good, is no matter of waiting: see `worker.lookup`.
LOOK_UP: Final = Backoff(least=1.0, first=2.0, longest=60.0, until=Until.FOR_EVER)
# Deletes, visibility changes and copies to the dead-letter queue. A lease is 30 s as a rule: several tries must fit in.
ACKNOWLEDGE: Final = Backoff(least=0.05, first=0.2, longest=5.0, until=Until.LEASE_END)
# A sender is often inside a web request: 0.3 s in all at the most, beside the calls. Guess
SEND: Final = Backoff(least=0.02, first=0.1, longest=0.2, until=Until.TRIES, tries=3)
