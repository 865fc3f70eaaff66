"""What happened to messages, in order: the local SQS's own testimony, by which tests judge a worker."""

from __future__ import annotations

import enum
from collections import deque
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

# A test of 20,000 messages writes about four events each; about 250 bytes an event.
DEFAULT_EVENTS = 200_000


class What(enum.StrEnum):
    """The transitions of a message, and calls."""

    CALL = "call"
    SENT = "sent"
    DELAYED = "delay ended"
    RECEIVED = "received"
    CHANGED = "visibility changed"
    EXPIRED = "expired"  # the lease ended by itself: visible again
    DELETED = "deleted"
    MOVED = "moved"  # to the dead-letter queue
    RETIRED = "retired"  # the retention period ended
    PURGED = "purged"
    DUPLICATE = "duplicate"  # a send that was answered with the message of an earlier one
    REPEATED = "given again"  # to the same receive attempt, under the same handle
    DOUBLED = "doubled"  # harsh: visible although its lease lasts
    RETURNED = "came back"  # harsh: visible although it was deleted


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One transition of one message.

    Attributes:
        at: seconds of the lease clock of the local SQS.
        queue: name.
        id: message id.
        count: how often the message had been received by then.
        handle: RECEIVED: the new receipt handle; DELETED and CHANGED: the one that was used.
        client: who asked, such as "127.0.0.1:40122"; "" where time did it.
        stale: DELETED and CHANGED: the handle was not that of the latest receive, or its lease had ended.
        found: DELETED: False if nothing happened, because the message was gone already or the SQS is a harsh one.
        timeout: RECEIVED and CHANGED: seconds of invisibility asked for.
        target: MOVED: name of the dead-letter queue.
    """

    at: float
    what: What
    queue: str
    id: str
    count: int = 0
    handle: str = ""
    client: str = ""
    stale: bool = False
    found: bool = True
    timeout: int = -1
    target: str = ""


class Call(Event, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One call and what was answered: an event of no single message; only in a log that is asked for calls.

    Attributes:
        at: seconds of the lease clock when it was answered.
        operation: such as "ReceiveMessage"; what was asked for, known or not.
        status: of HTTP; 0 where no answer was given.
        code: shape of the error; "" on success.
        entries: of the batch; 1 for a single call.
        fault: what the fault script did to it; "" for nothing.
    """

    id: str = ""
    operation: str
    status: int = 200
    code: str = ""
    entries: int = 1
    fault: str = ""


class EventLog:
    """The latest events, bounded.

    Attributes:
        on_event: called with each event as it happens, on the thread that caused it; None for nobody.
        calls: whether calls are written too, one `Call` each. They cost a microsecond, and the room of an event.
        total: events ever written; `total - len(log)` of them are no longer held.
    """

    def __init__(
        self,
        max_events: int = DEFAULT_EVENTS,
        on_event: Callable[[Event], None] | None = None,
        *,
        calls: bool = False,
    ) -> None:
        self._events: deque[Event] = deque(maxlen=max_events)
        self.on_event = on_event
        self.calls = calls
        self.total = 0

    def __len__(self) -> int:
        return len(self._events)

    def write(self, event: Event) -> None:
        """Add one event, dropping the oldest if the log is full."""
        self._events.append(event)
        self.total += 1
        if self.on_event is not None:
            self.on_event(event)

    def since(self, number: int = 0) -> list[Event]:
        """The events held from the `number`-th ever written on, in order; pass the last `total` to read on."""
        first = self.total - len(self._events)
        return list(self._events)[max(0, number - first) :]
