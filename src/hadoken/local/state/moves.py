"""Message move tasks at work: what an operator starts to bring the messages of a dead-letter queue back.

Rules of this file:
- A task is a series of known times: its n-th message moves n/rate seconds after the start. `next` says when the next
  one is due and `run` does what is due; between the two nothing happens.
- A moved message is a new one, with an id, a time and a receive count of its own.
- A queue remembers its latest ten tasks; only the newest of them can be active.

Source: SQS API Reference, StartMessageMoveTask; recorded AWS answers.
"""

from __future__ import annotations

import base64
import enum
import uuid
from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec

from hadoken.local.state import answers, sending
from hadoken.local.state.deadlines import Deadlines
from hadoken.local.state.refusals import no_queue
from hadoken.local.state.stored import Stored

if TYPE_CHECKING:
    from collections.abc import Callable

    from hadoken.clock import Clock
    from hadoken.local.state.queue import Queue

CLIENT: Final = "move task"  # who sends what is moved, in the event log
RATES: Final = (1, 500)  # messages a second. SQS API Reference
MAX_LISTED: Final = 10
NO_SOURCE: Final = "CouldNotDetermineMessageSource"


class Status(enum.StrEnum):
    """Where a task is in its life; the last three are ends."""

    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


class MoveTask:
    """One task.

    Attributes:
        target: where messages go; "" sends each back to the queue it came from.
        rate: messages a second as asked for; None goes at the fastest.
        to_move: messages that were visible at the start.
        begun: seconds of the lease clock.
        started_ms: the same, ms since 1970.
        failure: why it failed, "" if it did not.
    """

    __slots__ = ("begun", "failure", "id", "moved", "rate", "source", "started_ms", "status", "target", "to_move")

    def __init__(self, source: Queue, target: str, rate: int | None, clock: Clock) -> None:
        self.id = str(uuid.uuid4())
        self.source = source
        self.target = target
        self.rate = rate
        self.to_move = source.visible
        self.moved = 0
        self.begun = clock.lease()
        self.started_ms = int(clock.wall() * 1000)
        self.status = Status.RUNNING
        self.failure = ""

    @property
    def active(self) -> bool:
        """Whether it has not ended."""
        return self.status in {Status.RUNNING, Status.CANCELLING}

    @property
    def handle(self) -> str:
        """The TaskHandle: opaque to clients; names the source and the task."""
        return base64.b64encode(msgspec.json.encode(TaskName(self.id, self.source.arn))).decode("ascii")

    def next_step(self) -> float:
        """When the next message is due, on the lease clock."""
        return self.begun + (self.moved + 1) / (self.rate or RATES[1])

    def listed(self) -> answers.MoveTask:
        """This task as SQS lists it."""
        return answers.MoveTask(
            task_handle=self.handle if self.status is Status.RUNNING else None,
            status=self.status,
            source_arn=self.source.arn,
            destination_arn=self.target or None,
            max_number_of_messages_per_second=self.rate,
            approximate_number_of_messages_moved=self.moved,
            approximate_number_of_messages_to_move=self.to_move,
            failure_reason=self.failure or None,
            started_timestamp=self.started_ms,
        )


class TaskName(msgspec.Struct, rename="camel", frozen=True):
    """What a TaskHandle says, as JSON in base64."""

    task_id: str
    source_arn: str


class Moves:
    """The move tasks of one local SQS.

    Args:
        clock: what time it is.
        find: the queue with an ARN, None if there is none.

    Thread: that of its `Queues`; blocks on nothing.
    """

    def __init__(self, clock: Clock, find: Callable[[str], Queue | None]) -> None:
        self._clock = clock
        self._find = find
        self._tasks: dict[Queue, deque[MoveTask]] = {}
        self._steps: Deadlines[MoveTask] = Deadlines()

    def of(self, source: Queue) -> list[MoveTask]:
        """The tasks of a source, newest first; may be empty."""
        return list(reversed(self._tasks.get(source, ())))

    def start(self, source: Queue, target: str, rate: int | None) -> MoveTask:
        """Begin a task; see `MoveTask` for the arguments. The first message moves at the first step, not now."""
        task = MoveTask(source, target, rate, self._clock)
        self._tasks.setdefault(source, deque(maxlen=MAX_LISTED)).append(task)
        self._steps.set(task, task.next_step())
        return task

    def forget(self, source: Queue) -> None:
        """Drop the tasks of a queue that is deleted."""
        for task in self._tasks.pop(source, ()):
            self._steps.discard(task)

    def next(self) -> float | None:
        """When `run` is due, on the lease clock; None if no task is active."""
        return self._steps.next()

    def run(self, now: float) -> None:
        """Do every step that is due, in order of time, those of a clock that jumped included."""
        while (at := self._steps.next()) is not None and at <= now:
            for task in self._steps.due(at):
                self._step(task, now)

    def _step(self, task: MoveTask, now: float) -> None:
        if task.status is Status.CANCELLING:
            task.status = Status.CANCELLED
            return
        task.source.tick(now)
        waiting = task.source.order.candidates(1)
        if waiting and not self._move(task, waiting[0]):
            task.status = Status.FAILED
        elif task.source.order.ready():
            self._steps.set(task, task.next_step())
        else:
            task.status = Status.COMPLETED

    def _move(self, task: MoveTask, message: Stored) -> bool:
        arn = task.target or message.source_arn
        target = self._find(arn)
        if target is None:
            task.failure = no_queue().legacy if arn else NO_SOURCE
            return False
        task.source.give_up(message, target.name)
        sending.send(target, _renewed(message, fifo=target.settings.fifo), None, CLIENT)
        task.moved += 1
        return True


def _renewed(message: Stored, *, fifo: bool) -> Stored:
    """The same content as a message of its own; its new id keeps a FIFO queue from taking it for a repeat."""
    own = str(uuid.uuid4())
    return Stored(
        id=own,
        body=message.body,
        attributes=message.attributes,
        trace=message.trace,
        message_group_id=message.message_group_id,
        deduplication_id=own if fifo else None,
    )
