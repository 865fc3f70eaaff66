"""Long polls, parked until something can be received or their time is up.

Whoever owns the parking calls `flush` after every operation on the queues, and `wake` when the time of `next` has come.
There are no ticks: between two known times nothing runs. The cost of an operation does not depend on how many polls are
parked elsewhere.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from hadoken.local.state.deadlines import Deadlines

if TYPE_CHECKING:
    from collections.abc import Callable

    from hadoken.local.state.answers import ReceiveMessage
    from hadoken.local.state.poll import Poll
    from hadoken.local.state.queue import Queue
    from hadoken.local.state.queues import Queues


class Parked:
    """One poll that waits.

    Attributes:
        answer: called once, with what it brought; never after `Parking.withdraw`.
        alive: whether its client is still there; a poll of a client that is gone must take no message.
    """

    __slots__ = ("alive", "answer", "number", "poll")

    def __init__(
        self, number: int, poll: Poll, answer: Callable[[ReceiveMessage], None], alive: Callable[[], bool]
    ) -> None:
        self.number = number
        self.poll = poll
        self.answer = answer
        self.alive = alive


class Parking:
    """All parked polls of one local SQS.

    Thread: that of its `Queues`. Answers are given from inside `receive`, `flush` and `wake`; they must not call back.
    """

    def __init__(self, queues: Queues) -> None:
        self._queues = queues
        self._waiting: dict[Queue, OrderedDict[int, Parked]] = {}
        self._ends: Deadlines[Parked] = Deadlines()
        self._changes: Deadlines[Queue] = Deadlines()
        self._last_number = 0

    def __len__(self) -> int:
        """How many polls are parked."""
        return len(self._ends)

    def receive(self, poll: Poll, answer: Callable[[ReceiveMessage], None], alive: Callable[[], bool]) -> Parked | None:
        """Answer a poll now if it brings something or may not wait; else park it.

        Returns:
            What to `withdraw` if the client goes away; None if the poll was answered.

        Raises:
            Refusal: a short poll with too many messages in flight.
        """
        poll.refuse_over_limit()
        found = poll.take()
        if found.messages or not poll.wait:
            self._give(poll, found, answer)
            return None
        self._last_number += 1
        parked = Parked(self._last_number, poll, answer, alive)
        self._waiting.setdefault(poll.queue, OrderedDict())[parked.number] = parked
        self._ends.set(parked, self._queues.clock.lease() + poll.wait)
        self._watch(poll.queue)
        return parked

    def withdraw(self, parked: Parked) -> bool:
        """Forget a poll, and say whether it was still parked; does nothing if it was answered."""
        waiting = self._waiting.get(parked.poll.queue)
        if waiting is None or waiting.pop(parked.number, None) is None:
            return False
        self._ends.discard(parked)
        if not waiting:
            del self._waiting[parked.poll.queue]
            self._changes.discard(parked.poll.queue)
        return True

    def flush(self) -> None:
        """Give what the last operation made receivable to those who wait for it, longest wait first."""
        touched = self._queues.touched
        while touched:
            queue, _ = touched.popitem()
            if queue in self._waiting:
                self._serve(queue)

    def wake(self, now: float) -> None:
        """Let time pass: move tasks that go on, leases and delays that end, polls whose wait is over.

        Args:
            now: seconds of the lease clock.
        """
        self._queues.run(now)
        for queue in self._changes.due(now):
            queue.tick(now)
            self._serve(queue)
        for parked in self._ends.due(now):
            if self.withdraw(parked) and parked.alive():
                self._give(parked.poll, parked.poll.take(), parked.answer)
        self.flush()

    def next(self) -> float | None:
        """When `wake` is due, on the lease clock; None if nothing is."""
        times = [at for at in (self._ends.next(), self._changes.next(), self._queues.next()) if at is not None]
        return min(times, default=None)

    def _serve(self, queue: Queue) -> None:
        waiting = self._waiting.get(queue)
        while waiting and queue.ready():
            parked = next(iter(waiting.values()))
            found = parked.poll.take() if parked.alive() else None
            if found is not None and not found.messages:
                break  # all that was ready went to the dead-letter queue
            self.withdraw(parked)
            if found is not None:
                self._give(parked.poll, found, parked.answer)
        self._watch(queue)

    def _watch(self, queue: Queue) -> None:
        change = queue.next_change() if queue in self._waiting else None
        if change is None:
            self._changes.discard(queue)
        else:
            self._changes.set(queue, change)

    def _give(self, poll: Poll, found: ReceiveMessage, answer: Callable[[ReceiveMessage], None]) -> None:
        poll.count(found)
        answer(found)
