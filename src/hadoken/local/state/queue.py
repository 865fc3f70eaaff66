"""One queue: its messages, their leases, their way to the dead-letter queue.

Rules of this file:
- Time comes from the clock the queue was given; nothing happens by itself. Every call first lets pass what is due
  (`tick`), so an answer is right however long nobody called.
- No call looks at all messages: the cost depends on what is received, deleted or due, never on what waits.
- Receipt handles live as SQS lets them live (the rows of `docs/reference/local-sqs.md`): generous on standard queues,
  strict on FIFO ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hadoken import limits
from hadoken.local.state import refusals
from hadoken.local.state.attempts import Attempts
from hadoken.local.state.deadlines import Deadlines
from hadoken.local.state.deduplication import Accepted, Deduplication, key_of
from hadoken.local.state.eventlog import Event, EventLog, What
from hadoken.local.state.order import FifoOrder, ShuffledOrder, StandardOrder
from hadoken.local.state.profile import AWS, Profile
from hadoken.local.state.stored import State, Stored, Taken
from hadoken.local.state.whims import Whims

if TYPE_CHECKING:
    from collections.abc import Callable

    from hadoken.clock import Clock
    from hadoken.local.state.handles import Handle, Handles
    from hadoken.local.state.settings import Settings
    from hadoken.local.state.witness import Witness

# In flight per queue, standard and FIFO. SQS developer guide, message quotas; "approximately".
MAX_IN_FLIGHT = 120_000


class House(NamedTuple):
    """What all queues of one local SQS share.

    Attributes:
        touch: told of a queue in which something may have become receivable, or sooner than before.
        find: the queue with an ARN, None if there is none.
        profile: how kind it is.
        seed: of everything that is left to chance.
        max_in_flight: of each queue.
        witness: told of every change; None for nobody.
    """

    clock: Clock
    log: EventLog
    handles: Handles
    touch: Callable[[Queue], None]
    find: Callable[[str], Queue | None]
    profile: Profile = AWS
    seed: int = 0
    max_in_flight: int = MAX_IN_FLIGHT
    witness: Witness[Queue] | None = None


class Queue:
    """One standard or FIFO queue.

    Attributes:
        number: of the queue in its house; its receipt handles carry it.
        settings: what counts now; see `configure`.
        in_flight: messages with a lease.
        delayed: messages whose delay has not ended.
        max_in_flight: see `MAX_IN_FLIGHT`; settable.
        deduplication: FIFO: the sends of the last five minutes.
        attempts: FIFO: the receives that can be repeated.
        tags: replaced as a whole.
        purged_at: seconds of the lease clock of the latest PurgeQueue; None before it.
        last_number: of the newest message that ever came.

    Thread: one at a time; blocks on nothing.
    """

    def __init__(self, house: House, *, number: int, name: str, arn: str, path: str, settings: Settings) -> None:
        self.number = number
        self.name = name
        self.arn = arn
        self.path = path
        self.settings = settings
        self.created = self.modified = int(house.clock.wall())
        self.tags: dict[str, str] = {}
        self.purged_at: float | None = None
        self.max_in_flight = house.max_in_flight
        self.in_flight = 0
        self.delayed = 0
        self.deduplication = Deduplication()
        self.attempts = Attempts()
        self._house = house
        self._witness = house.witness
        self._profile = house.profile
        self._whims = (
            Whims(house.profile, f"{house.seed} {name}", house.clock.lease()) if house.profile.whimsical else None
        )
        self.order: StandardOrder | ShuffledOrder | FifoOrder = self._new_order()
        self._late_counts = (0, 0, 0)
        self._messages: dict[int, Stored] = {}
        self._invisible: Deadlines[int] = Deadlines()
        # By the time from which retention counts, not by its end: a changed period needs no rebuild.
        self._kept: Deadlines[int] = Deadlines()
        self.last_number = 0

    def __len__(self) -> int:
        """All messages: visible, delayed and in flight."""
        return len(self._messages)

    def __repr__(self) -> str:
        return f"<Queue {self.name}: {self.visible} visible, {self.in_flight} in flight, {self.delayed} delayed>"

    @property
    def visible(self) -> int:
        """Messages that are neither in flight nor delayed."""
        return len(self._messages) - self.in_flight - self.delayed

    @property
    def messages(self) -> list[Stored]:
        """Every message, visible or not, in the order in which they came."""
        return list(self._messages.values())

    @property
    def leftovers(self) -> int:
        """Heap entries of messages that are gone: bounded, see `Deadlines`."""
        return self._invisible.size + self._kept.size - len(self._invisible) - len(self._kept)

    def ready(self) -> bool:
        """Whether a receive would bring something or move something to the dead-letter queue."""
        return self.in_flight < self.max_in_flight and self.order.ready()

    def next_change(self) -> float | None:
        """When, on the lease clock, time alone may make something receivable; None if never."""
        visible = self._invisible.next()
        if self._whims is not None and (whim := self._whims.next()) is not None:
            visible = whim if visible is None else min(whim, visible)
        kept = self._kept.next() if self.settings.fifo and visible is not None else None
        if visible is None or kept is None:
            return visible
        return min(visible, kept + self.settings.retention)  # retention may end an invisible head

    def tick(self, now: float) -> None:
        """Let pass what is due: retention, then leases and delays, each in order of time."""
        if self._whims is not None:
            self._follow(self._whims, now)
        if self.settings.fifo:
            self.deduplication.expire(now)
            self.attempts.expire(now)
        self._pass(now)

    def configure(self, settings: Settings) -> None:
        """Change the settings: at once, or as late as the profile says."""
        if self._whims is not None and self._profile.lateness:
            self._whims.postpone(settings, self._house.clock.lease())
        else:
            self.settings = settings
        self._house.touch(self)  # a shorter retention period may end something sooner
        self.note()

    def note(self) -> None:
        """Tell the witness, if there is one, that settings or tags have changed."""
        if self._witness is not None:
            self._witness.queue_changed(self)

    def until(self, message: Stored) -> float | None:
        """When the lease or delay of a message ends, on the lease clock; None if it is visible."""
        return self._invisible.get(message.number)

    def restore(self, message: Stored, until: float | None) -> None:
        """Put a message back as it was; in the order of their numbers, before anything else happens here.

        Args:
            message: with its number, state and receives.
            until: when its lease or delay ends; it may have ended. None if it is visible.
        """
        self._messages[message.number] = message
        self._kept.set(message.number, message.kept_from)
        if until is not None:
            self._invisible.set(message.number, until)
            self.delayed += message.state is State.DELAYED
            self.in_flight += message.state is State.IN_FLIGHT
        self.order.arrive(message)

    @property
    def configured(self) -> Settings:
        """The settings that were asked for last, whether or not they count already."""
        return (self._whims and self._whims.postponed) or self.settings

    def send(self, message: Stored, delay: int | None, client: str) -> Accepted:
        """Take in a new message, unless a FIFO queue has taken in the same one in the last five minutes.

        Args:
            message: checked already.
            delay: seconds; None means the queue's own.
            client: who sends, for the event log.

        Returns:
            What it is known by: of a duplicate, the id and sequence number of the first.
        """
        scope = self.settings.texts.get("DeduplicationScope")
        key = key_of(message, scope) if self.settings.fifo else None
        first = None if key is None else self.deduplication.find(key)
        if first is not None:
            message.id = first.id
            self._tell(What.DUPLICATE, message, client=client)
            return first
        message.sent_ms = int(self._house.clock.wall() * 1000)
        self._enter(message, self.settings.delay if delay is None else delay)
        self._tell(What.SENT, message, client=client)
        accepted = Accepted(message.id, message.sequence)
        if key is not None:
            self.deduplication.remember(key, accepted, self._house.clock.lease())
            if self._witness is not None:
                self._witness.remembered(self, key, accepted)
        return accepted

    def take_over(self, message: Stored) -> None:
        """Take in a message that another queue moved here; a FIFO one gets its id as deduplication id."""
        if self.settings.fifo:
            message.deduplication_id = message.id
        self._enter(message, 0)

    def give_up(self, message: Stored, target: str) -> None:
        """Let a move task take a visible message out; `target` is the name of the queue that gets its content."""
        self._remove(message, What.MOVED, target=target)

    def receive(self, limit: int, timeout: int, client: str, attempt: str | None = None) -> list[Taken]:
        """Lease up to `limit` messages, and move to the dead-letter queue those that had their receives.

        Args:
            limit: 1..10.
            timeout: seconds of invisibility; 0 leaves them visible.
            client: who receives, for the event log.
            attempt: ReceiveRequestAttemptId; a FIFO queue gives again what the same attempt brought before.

        Returns:
            0..limit messages in the queue's order.
        """
        if not self.settings.fifo:
            attempt = None
        if attempt is not None and (before := self.attempts.find(attempt, limit)):
            return self._repeat(before, timeout, client)
        room = min(limit, self.max_in_flight - self.in_flight)
        if self._whims is not None:
            room = self._whims.shorter(room)
        candidates = self.order.candidates(room) if room > 0 else []
        # First what has to go, then the leases: a lease closes its message_group_id for what stands behind it.
        while any([self._moved(one) for one in candidates]):  # noqa: C419 -- all of them move, not only the first
            candidates = self.order.candidates(room)
        taken = [self._lease(one, timeout, client) for one in candidates]
        if not timeout:
            for message, _ in taken:
                self._uncover(message)
        elif attempt is not None:
            self.attempts.remember(attempt, taken, self._house.clock.lease())
        return taken

    def misses(self) -> bool:
        """Whether the profile lets a short poll find nothing, whatever there is."""
        return self._whims is not None and self._whims.misses()

    def delete(self, handle: Handle, text: str, client: str) -> None:
        """Delete by receipt handle.

        Standard: any handle of a message that is still here deletes it, and a message that is gone is no error; a harsh
        queue ignores those of earlier receives. FIFO: only the handle of the latest receive, while its lease lasts.

        Raises:
            Refusal: FIFO, and the lease of this handle has ended.
        """
        message = self._messages.get(handle.message)
        if message is None:
            now, gone = self._house.clock.lease(), What.DELETED
            self._house.log.write(
                Event(at=now, what=gone, queue=self.name, id="", handle=text, client=client, stale=True, found=False)
            )
            return
        stale = not self._holds(handle, message)
        if stale and self.settings.fifo:
            raise refusals.expired_handle(text)
        if message.count != handle.receive and not self._profile.old_handles_delete:
            self._tell(What.DELETED, message, handle=text, client=client, stale=True, found=False)
            return
        self._remove(message, What.DELETED, handle=text, client=client, stale=stale)

    def change(self, handle: Handle, text: str, timeout: int, client: str) -> None:
        """Set how long a message stays invisible, counted from now.

        Standard: an older handle changes the newest lease, and an expired one hides the message again (a harsh queue
        refuses that). FIFO: only the handle of the latest receive, while its lease lasts.

        Raises:
            Refusal: the message is gone; FIFO: the lease has ended; more than 12 h in all since the receive.
        """
        message = self._messages.get(handle.message)
        if message is None:
            raise refusals.not_changeable(text)
        stale = not self._holds(handle, message)
        if stale and self.settings.fifo:
            raise refusals.expired_handle(text)
        if message.state is not State.IN_FLIGHT and not self._profile.late_changes:
            raise refusals.not_in_flight()
        now = self._house.clock.lease()
        if now - message.received_at + timeout > limits.VISIBILITY_TOTAL:
            reason = "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]"
            raise refusals.invalid_value(timeout, "VisibilityTimeout", reason)
        self.attempts.leave(message.number)
        if timeout:
            self._cover(message, State.IN_FLIGHT, now + timeout)
        else:
            self._uncover(message)
        self._tell(What.CHANGED, message, handle=text, client=client, stale=stale, timeout=timeout)

    def purge(self, client: str) -> None:
        """Drop every message, visible, delayed and in flight, and what is remembered of sends and receives.

        PurgeQueue and DeleteQueue need it. A poll that waits on a queue deleted after this ends by its own deadline.

        Args:
            client: who asks, for the event log.
        """
        for message in list(self._messages.values()):
            self._remove(message, What.PURGED, client=client)
        self.deduplication.forget_all()
        if self._witness is not None:
            self._witness.forgot(self)
        if self._whims is not None:
            self._whims.forget_messages()

    def counts(self) -> dict[str, str]:
        """The three counters of GetQueueAttributes, as late as the profile says."""
        counted = self._late_counts if self._profile.lateness else self._counted()
        names = ("", "NotVisible", "Delayed")
        return {f"ApproximateNumberOfMessages{name}": str(count) for name, count in zip(names, counted, strict=True)}

    def _counted(self) -> tuple[int, int, int]:
        return self.visible, self.in_flight, self.delayed

    def _new_order(self) -> StandardOrder | ShuffledOrder | FifoOrder:
        if self.settings.fifo:
            return FifoOrder()
        if self._whims is not None and self._profile.shuffled_order:
            return ShuffledOrder(self._whims.chance)
        return StandardOrder()

    def _pass(self, now: float) -> None:
        for number in self._kept.due(now - self.settings.retention):
            self._remove(self._messages[number], What.RETIRED)
        for number in self._invisible.due(now):
            message = self._messages[number]
            ended = What.DELAYED if message.state is State.DELAYED else What.EXPIRED
            self.attempts.leave(number)
            self._uncover(message)
            self._tell(ended, message)

    def _follow(self, whims: Whims, now: float) -> None:
        """Let pass what a harsh profile makes happen, each thing at its own time."""
        for at, settings in whims.settings(now):
            self._pass(at)
            self.settings = settings
            self.note()
        counting = whims.counting(now)
        if counting is not None:
            self._pass(counting)
            self._late_counts = self._counted()
        for number in whims.doubles(now):
            message = self._messages[number]
            if message.state is State.IN_FLIGHT:
                self._uncover(message)
                self._tell(What.DOUBLED, message)
        for message in whims.returns(now):
            self._return(message)

    def _return(self, message: Stored) -> None:
        """Take in again a message that was deleted; its retention period goes on, and may end it in the same tick."""
        message.state = State.VISIBLE
        self._messages[message.number] = message
        self._kept.set(message.number, message.kept_from)
        self.order.arrive(message)
        if self._witness is not None:
            self._witness.entered(self, message)
        self._house.touch(self)
        self._tell(What.RETURNED, message)

    def _repeat(self, before: list[Taken], timeout: int, client: str) -> list[Taken]:
        """Give a receive again: the same messages and handles, no receive more, their visibility counted from now."""
        now = self._house.clock.lease()
        for message, text in before:
            message.received_at = now
            self._cover(message, State.IN_FLIGHT, now + timeout)
            self._tell(What.REPEATED, message, handle=text, client=client, timeout=timeout)
        if not timeout:
            for message, _ in before:
                self.attempts.leave(message.number)
                self._uncover(message)
        return before

    def _enter(self, message: Stored, delay: int) -> None:
        now = self._house.clock.lease()
        self.last_number += 1
        message.number = self.last_number
        if self.settings.fifo:
            message.sequence = f"{10**19 + message.number * 256}"  # 20 digits, growing with gaps, as AWS's
        if not message.kept_from or self.settings.fifo:
            message.kept_from = now  # a standard dead letter keeps its time, a FIFO one starts anew
        self._messages[message.number] = message
        self._kept.set(message.number, message.kept_from)
        if delay:
            message.state = State.DELAYED
            self.delayed += 1
            self._invisible.set(message.number, now + delay)
        else:
            message.state = State.VISIBLE
        self.order.arrive(message)
        if self._witness is not None:
            self._witness.entered(self, message)
        self._house.touch(self)

    def _lease(self, message: Stored, timeout: int, client: str) -> Taken:
        now = self._house.clock.lease()
        message.count += 1
        message.received_at = now
        if not message.first_received_ms:
            message.first_received_ms = int(self._house.clock.wall() * 1000)
        self._cover(message, State.IN_FLIGHT, now + timeout)
        text = self._house.handles.write(self.number, message.number, message.count)
        self._tell(What.RECEIVED, message, handle=text, client=client, timeout=timeout)
        if timeout and self._whims is not None and not self.settings.fifo:
            self._whims.given(message, timeout, now)
        return Taken(message, text)

    def _moved(self, message: Stored) -> bool:
        """Move a message that had its receives; not if its dead-letter queue does not exist, or is this one."""
        redrive = self.settings.redrive
        if redrive is None or message.count < redrive.max_receives:
            return False
        target = self._house.find(redrive.target_arn)
        if target is None or target is self:
            return False
        self._remove(message, What.MOVED, target=target.name)
        message.source_arn = self.arn
        target.take_over(message)
        return True

    def _holds(self, handle: Handle, message: Stored) -> bool:
        """Whether a handle is that of the latest receive and its lease lasts."""
        return message.state is State.IN_FLIGHT and message.count == handle.receive

    def _cover(self, message: Stored, state: State, until: float) -> None:
        if message.state is State.VISIBLE:
            message.state = state
            self.in_flight += 1
            self.order.hide(message)
        self._invisible.set(message.number, until)
        if self._witness is not None:
            self._witness.changed(self, message)
        self._house.touch(self)

    def _uncover(self, message: Stored) -> None:
        self._uncount(message)
        self._invisible.discard(message.number)
        message.state = State.VISIBLE
        self.order.show(message)
        if self._witness is not None:
            self._witness.changed(self, message)
        self._house.touch(self)

    def _uncount(self, message: Stored) -> None:
        if message.state is State.IN_FLIGHT:
            self.in_flight -= 1
        elif message.state is State.DELAYED:
            self.delayed -= 1

    def _remove(
        self,
        message: Stored,
        what: What,
        *,
        handle: str = "",
        client: str = "",
        stale: bool = False,
        target: str = "",
    ) -> None:
        self._uncount(message)
        message.state = State.GONE
        del self._messages[message.number]
        self._invisible.discard(message.number)
        self._kept.discard(message.number)
        self.attempts.leave(message.number)
        self.order.leave(message)
        if self._whims is not None and not self.settings.fifo:
            self._whims.gone(message, self._house.clock.lease(), deleted=what is What.DELETED)
        if self._witness is not None:
            self._witness.left(self, message)
        self._house.touch(self)
        self._tell(what, message, handle=handle, client=client, stale=stale, target=target)

    def _tell(
        self,
        what: What,
        message: Stored,
        *,
        handle: str = "",
        client: str = "",
        stale: bool = False,
        found: bool = True,
        timeout: int = -1,
        target: str = "",
    ) -> None:
        self._house.log.write(
            Event(
                at=self._house.clock.lease(),
                what=what,
                queue=self.name,
                id=message.id,
                count=message.count,
                handle=handle,
                client=client,
                stale=stale,
                found=found,
                timeout=timeout,
                target=target,
            )
        )
