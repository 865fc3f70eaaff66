"""The connections of a loop to one endpoint, kept open between requests.

Rules of this file:
- The one used last is used next: the others grow idle and close at their deadline, so there are as many as are needed.
- A request that finds none waits for the first that becomes free, an old one or a new one, whichever comes first.
- Few are opened at once: a handshake of TLS takes the loop about a millisecond, and two hundred would starve it.
- One that failed to open fails the request that has waited longest, and those that have waited for the time of a
  connection; the others may still be lucky.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, Protocol

from hadoken.sqs.api import NOT_CONNECTED
from hadoken.sqs.deadlines import Deadlines
from hadoken.sqs.dialling import Dialler, reason_of
from hadoken.sqs.kept import MAX_IDLE
from hadoken.sqs.line import Line, Request
from hadoken.sqs.target import Target

MAX_OPENING: Final = 8  # connections on their way at once; see the rules. Guess


class Sent(Request, Protocol):
    """A request with its time limit.

    Attributes:
        seconds: for the whole exchange, once it has a connection.
        deadline: seconds of the loop's clock; set here.
    """

    seconds: float
    deadline: float

    def expire(self) -> None:
        """Take in that the deadline is over."""
        ...


class Lines:
    """Connections that are kept, and those who wait for one.

    Args:
        loop: where they live.
        target: where they lead.
        dialler: opens them.
        connect_timeout: seconds that a request may wait for one, beside its own.

    Thread: that of the loop.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, target: Target, dialler: Dialler, *, connect_timeout: float
    ) -> None:
        self._loop = loop
        self._target = target
        self._dialler = dialler
        self._connect_timeout = connect_timeout
        self._idle: dict[Line, None] = {}  # in the order in which they came back
        self._waiting: deque[Sent] = deque()
        self._waiting_for_new: deque[Sent] = deque()
        self._opening: set[asyncio.Task[Line]] = set()
        self._open: set[Line] = set()
        self._ending: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()
        self._deadlines = Deadlines(loop)
        self._closed = False

    def send(self, request: Sent) -> None:
        """Send a request by an idle line, or by the next that is there."""
        now = self._loop.time()
        while self._idle:
            line, _ = self._idle.popitem()
            self._deadlines.discard(line)
            if line.good_until > now:
                self._send(line, request, now + request.seconds)
                return
            line.close()
        self._wait(self._waiting, request, now)

    def is_fresh(self, request: Sent) -> bool:
        """Whether a request was sent so lately that there is time to send it once more: that of opening a line."""
        return self._loop.time() - (request.deadline - request.seconds) <= self._connect_timeout

    def send_by_new(self, request: Sent) -> None:
        """Send a request by a line that is still to be opened."""
        self._deadlines.discard(request)
        self._wait(self._waiting_for_new, request, self._loop.time())

    def watch(self, request: Sent) -> None:
        """Watch a request that waits for something else, for as long as for an answer."""
        self._deadlines.discard(request)
        request.deadline = self._loop.time() + request.seconds
        self._deadlines.add(request)

    def done(self, request: Sent) -> None:
        """Watch a request no more: it has its answer, or wants none any more."""
        self._deadlines.discard(request)
        if self._closed:
            self._deadlines.rest()

    def leave(self, request: Sent) -> None:
        """Forget a request that waits."""
        for waiting in (self._waiting, self._waiting_for_new):
            if request in waiting:
                waiting.remove(request)
        self._stop_opening()

    def close(self) -> None:
        """Close idle lines now, and each that is in use when its answer is there.

        A loop that ends before cancels its tasks, one of ours among them: then they close at once.
        """
        self._closed = True
        for line in list(self._idle):
            line.close()
        self._stop_opening()
        self._deadlines.rest()
        if (self._open or self._opening) and self._ending is None and not self._loop.is_closed():
            self._ending = self._loop.create_task(self._see_off())

    # ---- called by lines ---------------------------------------------------------------------------------------------

    def back(self, line: Line) -> None:
        """See `line.Owner.back`."""
        now = self._loop.time()
        if line.good_until <= now:
            line.close()
        elif self._waiting:
            request = self._waiting.popleft()
            self._send(line, request, now + request.seconds)
        elif self._closed:
            line.close()
        else:
            self._dialler.remember(line)
            line.deadline = min(now + MAX_IDLE, line.good_until)
            self._idle[line] = None
            self._deadlines.add(line)

    def gone(self, line: Line) -> None:
        """See `line.Owner.gone`."""
        self._open.discard(line)
        self._look_for_the_end()
        if line in self._idle:
            del self._idle[line]
            self._deadlines.discard(line)

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _send(self, line: Line, request: Sent, deadline: float) -> None:
        deadlines = self._deadlines
        if request.deadline:  # it has waited
            deadlines.discard(request)
            deadline = min(deadline, request.deadline)
        request.deadline = deadline
        deadlines.add(request)
        line.send(request)

    def _wait(self, waiting: deque[Sent], request: Sent, now: float) -> None:
        if self._closed:
            request.fail(NOT_CONNECTED, "the transport is closed")
            return
        request.deadline = now + self._connect_timeout + request.seconds
        self._deadlines.add(request)
        waiting.append(request)
        self._open_more()

    def _open_more(self) -> None:
        wanted = min(len(self._waiting) + len(self._waiting_for_new), MAX_OPENING)
        while len(self._opening) < wanted:
            opening = self._loop.create_task(self._dialler.open(self))
            self._opening.add(opening)
            opening.add_done_callback(self._opened)

    def _stop_opening(self) -> None:
        """At the end, give up connections that nobody waits for."""
        if self._closed and not self._waiting and not self._waiting_for_new and not self._loop.is_closed():
            for opening in self._opening:
                opening.cancel()

    def _opened(self, opening: asyncio.Task[Line]) -> None:
        self._opening.discard(opening)
        if not opening.cancelled():  # else by us, since nobody waits, or at the end of the loop
            error = opening.exception()
            if error is None:
                self._use(opening.result())
            else:
                self._tell(reason_of(error, self._target))
            self._open_more()
        self._look_for_the_end()

    async def _see_off(self) -> None:
        """Wait for what is in use. Whoever waits for it is told nothing where the loop ends: he has ended, too."""
        try:
            await self._ended.wait()
        finally:
            for line in list(self._open):
                line.close()
            await asyncio.sleep(0)  # so that the transports take notice

    def _look_for_the_end(self) -> None:
        if self._closed and not self._open and not self._opening:
            self._ended.set()

    def _use(self, line: Line) -> None:
        if line.closed:  # since it was opened: nobody was told, for nobody had it yet
            self._tell("the other side closed the connection at once")
            return
        self._open.add(line)
        waiting = self._waiting_for_new or self._waiting
        if waiting:  # however short its certificate may still last: else nobody would ever be told
            request = waiting.popleft()
            self._send(line, request, self._loop.time() + request.seconds)
        else:
            self.back(line)

    def _tell(self, reason: str) -> None:
        """Tell the requests that a failed connection concerns."""
        now = self._loop.time()
        waiting = [*self._waiting_for_new, *self._waiting]
        told = [request for at, request in enumerate(waiting) if not at or request.deadline - request.seconds <= now]
        for request in told:
            self.leave(request)
            request.fail(NOT_CONNECTED, reason)
