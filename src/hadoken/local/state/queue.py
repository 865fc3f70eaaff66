"""One queue: what it is, what it holds, and how messages come into it and leave it.

What is asked of it stands in files of its own, in the order in which a message meets them: `sending`, `receiving`,
`returning` (deleted, or given back, by receipt handle), and `passing`, what time does meanwhile.

Rules of these files:
- Time comes from the clock the queue was given; nothing happens by itself. Every call first lets pass what is due
  (`tick`), so an answer is right however long nobody called.
- No call looks at all messages, but a purge: the cost depends on what is received, deleted or due, never on what waits.
- Receipt handles live as SQS lets them live (the rows of `docs/reference/local-sqs.md`): generous on standard queues,
  strict on FIFO ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hadoken.local.state import passing
from hadoken.local.state.attempts import Attempts
from hadoken.local.state.deduplication import Deduplication
from hadoken.local.state.eventlog import What
from hadoken.local.state.holding import Holding
from hadoken.local.state.order import FifoOrder, ShuffledOrder, StandardOrder
from hadoken.local.state.telling import Telling
from hadoken.local.state.whims import Whims

if TYPE_CHECKING:
    from hadoken.local.state.house import House
    from hadoken.local.state.order import Order
    from hadoken.local.state.settings import Settings
    from hadoken.local.state.stored import Stored

# Visible, in flight, delayed: the counters of GetQueueAttributes, in this order everywhere.
_COUNTERS = ("", "NotVisible", "Delayed")


class Queue:
    """One standard or FIFO queue.

    Attributes:
        house: what it shares with the others.
        number: of the queue in its house; its receipt handles carry it.
        settings: what counts now; see `configure`.
        max_in_flight: see `house`; settable.
        holding: its messages, and where each stands.
        deduplication: FIFO: the sends of the last five minutes.
        attempts: FIFO: the receives that can be repeated.
        telling: whom it tells what happens.
        whims: its harsh side, None under a profile that has none.
        tags: replaced as a whole.
        purged_at: seconds of the lease clock of the latest PurgeQueue; None before it.
        last_number: of the newest message that ever came.
        late_counts: what `counts` says where counters are late.

    Thread: one at a time; blocks on nothing.
    """

    def __init__(self, house: House, *, number: int, name: str, arn: str, path: str, settings: Settings) -> None:
        self.house = house
        self.number = number
        self.name = name
        self.arn = arn
        self.path = path
        self.settings = settings
        self.created = self.modified = int(house.clock.wall())
        self.tags: dict[str, str] = {}
        self.purged_at: float | None = None
        self.max_in_flight = house.max_in_flight
        self.deduplication = Deduplication()
        self.attempts = Attempts()
        self.telling = Telling(house, self)
        self.whims = (
            Whims(house.profile, f"{house.seed} {name}", house.clock.lease()) if house.profile.whimsical else None
        )
        self.holding = Holding(self._new_order(), self.telling)
        self.late_counts: tuple[int, int, int] = (0, 0, 0)
        self.last_number = 0

    def __len__(self) -> int:
        """All messages: visible, delayed and in flight."""
        return len(self.holding)

    def __repr__(self) -> str:
        return f"<Queue {self.name}: {self.visible} visible, {self.in_flight} in flight, {self.delayed} delayed>"

    @property
    def in_flight(self) -> int:
        """Messages with a lease."""
        return self.holding.in_flight

    @property
    def delayed(self) -> int:
        """Messages whose delay has not ended."""
        return self.holding.delayed

    @property
    def visible(self) -> int:
        """Messages that are neither in flight nor delayed."""
        return len(self.holding) - self.holding.in_flight - self.holding.delayed

    @property
    def messages(self) -> list[Stored]:
        """Every message, visible or not, in the order in which they came."""
        return list(self.holding)

    @property
    def order(self) -> Order:
        """In which order its visible messages can be received."""
        return self.holding.order

    def ready(self) -> bool:
        """Whether a receive would bring something or move something to the dead-letter queue."""
        return self.holding.in_flight < self.max_in_flight and self.holding.order.ready()

    def misses(self) -> bool:
        """Whether the profile lets a short poll find nothing, whatever there is."""
        return self.whims is not None and self.whims.misses()

    def next_change(self) -> float | None:
        """When, on the lease clock, time alone may make something receivable; None if never."""
        return passing.next_change(self)

    def tick(self, now: float) -> None:
        """Let pass what is due: retention, then leases and delays, each in order of time."""
        passing.let_pass(self, now)

    def configure(self, settings: Settings) -> None:
        """Change the settings: at once, or as late as the profile says."""
        if self.whims is not None and self.whims.profile.lateness:
            self.whims.postpone(settings, self.house.clock.lease())
        else:
            self.settings = settings
        self.house.touched[self] = None  # a shorter retention period may end something sooner
        self.note()

    @property
    def configured(self) -> Settings:
        """The settings that were asked for last, whether or not they count already."""
        return (self.whims and self.whims.postponed) or self.settings

    def note(self) -> None:
        """Tell the witness, if there is one, that settings or tags have changed."""
        self.telling.described()

    def enter(self, message: Stored, delay: int) -> None:
        """Take in a message of whatever origin, under a number of this queue; visible after `delay` seconds."""
        now = self.house.clock.lease()
        self.last_number += 1
        message.number = self.last_number
        if self.settings.fifo:
            message.sequence = f"{10**19 + message.number * 256}"  # 20 digits, growing with gaps, as AWS's
        if not message.kept_from or self.settings.fifo:
            message.kept_from = now  # a standard dead letter keeps its time, a FIFO one starts anew
        self.holding.enter(message, now + delay if delay else None)

    def take_over(self, message: Stored) -> None:
        """Take in a message that another queue moved here; a FIFO one gets its id as deduplication id."""
        if self.settings.fifo:
            message.deduplication_id = message.id
        self.enter(message, 0)

    def restore(self, message: Stored, until: float | None) -> None:
        """Put a message back as it was; in the order of their numbers, before anything else happens here.

        Args:
            message: with its number, state and receives.
            until: when its lease or delay ends; it may have ended. None if it is visible.
        """
        self.holding.restore(message, until)

    def until(self, message: Stored) -> float | None:
        """When the lease or delay of a message ends, on the lease clock; None if it is visible."""
        return self.holding.until(message)

    def give_up(self, message: Stored, target: str) -> None:
        """Let a message go to another queue, whose name is `target`."""
        self.let_go(message, What.MOVED)
        self.telling.happened(What.MOVED, message, target=target)

    def let_go(self, message: Stored, what: What) -> None:
        """Be without a message from now on; the caller writes down `what` happened to it."""
        self.holding.remove(message)
        self.attempts.leave(message.number)
        if self.whims is not None and not self.settings.fifo:
            self.whims.gone(message, self.house.clock.lease(), deleted=what is What.DELETED)

    def purge(self, client: str) -> None:
        """Drop every message, visible, delayed and in flight, and what is remembered of sends and receives.

        PurgeQueue and DeleteQueue need it. A poll that waits on a queue deleted after this ends by its own deadline.

        Args:
            client: who asks, for the event log.
        """
        for message in self.messages:
            self.let_go(message, What.PURGED)
            self.telling.happened(What.PURGED, message, client=client)
        self.deduplication.forget_all()
        self.telling.forgot()
        if self.whims is not None:
            self.whims.forget_messages()

    def counts(self) -> dict[str, str]:
        """The three counters of GetQueueAttributes, as late as the profile says."""
        counted = self.late_counts if self.house.profile.lateness else self.counted()
        return {f"ApproximateNumberOfMessages{name}": str(one) for name, one in zip(_COUNTERS, counted, strict=True)}

    def counted(self) -> tuple[int, int, int]:
        """How many messages are visible, in flight, delayed."""
        return self.visible, self.in_flight, self.delayed

    @property
    def leftovers(self) -> int:
        """What is still held of messages that are gone: bounded, see `Holding`."""
        return self.holding.leftovers

    def _new_order(self) -> Order:
        if self.settings.fifo:
            return FifoOrder()
        if self.whims is not None and self.whims.profile.shuffled_order:
            return ShuffledOrder(self.whims.chance)
        return StandardOrder()
