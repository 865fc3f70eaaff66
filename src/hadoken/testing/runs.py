"""What handlers did in a test: one `Run` for each time one was started, with the exception it raised, whole."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hadoken.message import Message
from hadoken.outcome import Ack, DeadLetter, Discard, Kind, Outcome, Release, Retry, Verdict

if TYPE_CHECKING:
    from hadoken.app import AnyHandler
    from hadoken.clock import Clock
    from hadoken.message import Context
    from hadoken.sqs.api import ReceivedMessage


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One run of a handler.

    Attributes:
        handler: its dotted name.
        queue: logical name of its queue.
        message: what it was given; where the body did not decode, the body is the text.
        attempt: which start of a handler on this message it was, from 1.
        at: seconds of the virtual lease clock when it was started.
        thread: name of the thread it ran on, such as "hadoken-default-1".
        outcome: how it ended: what it returned or raised, `Ack()` for None; for an exception what the retry policy
            makes of it.
        error: the exception it raised, or the body's DecodeError; None where it raised none, or an outcome.
    """

    handler: str
    queue: str
    message: Message[Any]
    attempt: int
    at: float
    thread: str
    outcome: Outcome
    error: BaseException | None = None

    @property
    def body(self) -> Any:  # noqa: ANN401 -- of whatever type the queue holds
        """The decoded body."""
        return self.message.body


def outcome_of(verdict: Verdict) -> Outcome:
    """A verdict in the words of a handler."""
    match verdict.kind:
        case Kind.ACK:
            return Ack()
        case Kind.RETRY:
            return Retry(verdict.after, verdict.reason)
        case Kind.RELEASE:
            return Release()
        case Kind.DEAD_LETTER:
            return DeadLetter(verdict.reason)
        case Kind.DISCARD:
            return Discard(verdict.reason)


class Runs:
    """All runs of one worker, as they end.

    Thread: handler threads add, the test reads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the lists; never held while calling out
        self._all: list[Run] = []
        self._raw: list[tuple[str, ReceivedMessage]] = []
        self._seen = 0

    def add(self, run: Run, raw: ReceivedMessage) -> None:
        """Note a run that has ended; of those that handled their message, the message as it was received."""
        with self._lock:
            self._all.append(run)
            if isinstance(run.outcome, Ack | Discard):
                self._raw.append((run.queue, raw))

    def all(self) -> list[Run]:
        """Every run so far, in the order in which they ended."""
        with self._lock:
            return list(self._all)

    def fresh(self) -> list[Run]:
        """Those since the last call of this method."""
        with self._lock:
            found = self._all[self._seen :]
            self._seen = len(self._all)
            return found

    def take_handled(self) -> list[tuple[str, ReceivedMessage]]:
        """Take what was handled since the last call of this method: (logical queue, message as received)."""
        with self._lock:
            found, self._raw = self._raw, []
            return found


class Observed:
    """A handler whose runs are noted."""

    def __init__(self, handler: AnyHandler, note: Callable[[Run, ReceivedMessage], None]) -> None:
        self._handler = handler
        self._note = note

    @property
    def name(self) -> str:
        """Dotted name, for reports."""
        return self._handler.name

    def run(self, raw: ReceivedMessage, ctx: Context, clock: Clock) -> Verdict:
        """Handle one message and note what came of it; never raises."""
        verdict, run = observed(self._handler, raw, ctx, clock)
        self._note(run, raw)
        return verdict


def observed(handler: AnyHandler, raw: ReceivedMessage, ctx: Context, clock: Clock) -> tuple[Verdict, Run]:
    """Run a handler as a handler thread does, without jitter, and keep what it raised."""
    raised: list[BaseException] = []
    at = clock.lease()
    verdict = handler.without_jitter().run(raw, ctx, clock, keep=raised.append)
    message = getattr(ctx, "message", None) or handler.undecoded(raw)
    error = raised[0] if raised else None
    thread = threading.current_thread().name
    return verdict, Run(handler.name, handler.queue_name, message, ctx.attempt, at, thread, outcome_of(verdict), error)
