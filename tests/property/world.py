"""A pool against the local SQS, in virtual time: every call has a fate, every event its moment, nothing a thread.

Rules of this file:
- The pool, its stages and the local SQS are the real ones. Only the threads are played (`Hands`) and the wire is ours.
- Time moves from event to event: deadlines of the pool, requests that arrive at SQS, answers that arrive at the pool.
- The fates of calls are drawn from one seeded generator, within the limits of the weather.
"""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from hadoken.clock import VirtualClock
from hadoken.errors import SQSError, SQSUnavailable
from hadoken.local.inprocess import LocalSQS
from hadoken.local.state.eventlog import Event
from hadoken.outcome import ACKED, Verdict
from hadoken.pipeline.acknowledger import Batch, Operation
from hadoken.pipeline.admission import MAX_BYTES
from hadoken.pipeline.executor import Executor
from hadoken.pipeline.inflight import Record, State
from hadoken.pipeline.keeper import Extension
from hadoken.pipeline.queues import QueueInfo
from hadoken.sqs import api
from hadoken.worker.pool import Call, Pool
from hadoken.worker.receipts import Poll
from tests.unit.worker.hands import Hands, Unrun

AT_ONCE = 40  # turns that may follow each other at one moment; a busy loop takes more
STANDARD, OTHER, FIFO = "orders", "mails", "steps.fifo"
Answer = api.Received | api.BatchAnswer | api.SentBatch | SQSError


@dataclass(frozen=True)
class Weather:
    """How calls fare.

    Attributes:
        before: chance that a call fails without being applied.
        after: chance that it is applied and its answer lost.
        entries: chance that an entry of a batch fails by itself.
        slow: longest time of a call, seconds, half of it on the way there.
        changes: whether visibility changes of the acknowledger may fail, too.
        streak: how often in a row the extension of one message may fail.
    """

    before: float = 0.0
    after: float = 0.0
    entries: float = 0.0
    slow: float = 0.2
    changes: bool = True
    streak: int = 1_000


CALM = Weather()
STORM = Weather(before=0.2, after=0.2, entries=0.3, slow=12.0)
STILL = Weather(slow=0.0)


@dataclass(slots=True)
class Wire:
    """One call on its way: when it arrives at SQS, when its answer arrives here, and what that is."""

    call: Call
    applies: float
    answers: float
    lost_before: bool
    lost_after: bool
    answer: Answer | None = None


@dataclass
class Model:
    """What a test remembers of the past, as plain data.

    Attributes:
        outcomes: ticket -> verdict, of every handler that ended in time.
        confirmed: tickets whose delete or visibility change was confirmed by an answer that the pool has seen.
        told_lost: tickets of which SQS said that the lease is lost.
        refused: records with an entry that failed by itself, by ticket; forgotten once it is confirmed.
        copies: message ids with a confirmed copy.
        deleted: message ids that handlers wanted deleted.
        changed: receipt handles of which a visibility change of the acknowledger was applied.
        dead: receipt handles whose lease the pool has seen lost.
        streaks: ticket -> failed extensions in a row.
        starts: message id -> handler starts, over all pools of the test.
        given_back: message group, or message id -> how often it was given back on purpose.
    """

    outcomes: dict[int, Verdict] = field(default_factory=dict)
    confirmed: set[int] = field(default_factory=set)
    told_lost: set[int] = field(default_factory=set)
    refused: dict[int, Record] = field(default_factory=dict)
    copies: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    dead: set[str] = field(default_factory=set)
    streaks: Counter[int] = field(default_factory=Counter)
    starts: Counter[str] = field(default_factory=Counter)
    given_back: Counter[str] = field(default_factory=Counter)


class World:
    """One worker's pool and SQS.

    Attributes:
        on_turn: called after every turn with the new calls: where invariants look at what is sent.
        drains: how many drains there have been.
    """

    def __init__(
        self,
        seed: int,
        *,
        concurrency: int = 3,
        visibility: int = 30,
        max_receives: int = 4,
        names: tuple[str, ...] = (STANDARD, FIFO),
        hold_limit: float = 300.0,
        lookahead: int | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.clock = VirtualClock()
        self.sqs = LocalSQS(clock=self.clock)
        self.random = random.Random(seed)
        self.weather = CALM
        self.names = names
        self.infos = [self._queue(name, visibility, max_receives, hold_limit) for name in names]
        self._concurrency = concurrency
        self._lookahead = lookahead
        self._max_bytes = max_bytes
        self.model = Model()
        self.drains = 0
        self.on_turn: list[Callable[[list[Call]], None]] = []
        self.wires: list[Wire] = []
        self.woken = False
        self.log_read = 0
        self._boot()

    def _boot(self) -> None:
        handlers = {info.name: Unrun(info.name) for info in self.infos}
        self.executor = Executor(handlers, self._concurrency, wake=self._wake, ask_extend=self._asked, clock=self.clock)
        self.pool = Pool("default", self.infos, self.executor, lookahead=self._lookahead, max_bytes=self._max_bytes)
        self.pool.acknowledger._random = random.Random(self.random.random())
        for poller in self.pool.pollers:
            poller._random = random.Random(self.random.random())
        self.hands = Hands(self.executor, self.clock)
        self.model.outcomes.clear()
        self.model.confirmed.clear()
        self.model.told_lost.clear()
        self.model.refused.clear()
        self.model.streaks.clear()

    def _queue(self, name: str, visibility: int, max_receives: int, hold_limit: float) -> QueueInfo:
        dead = f"dead-{name}"
        dead_url = self.sqs.create_queue(dead)
        policy = {"deadLetterTargetArn": f"arn:aws:sqs:us-east-1:000000000000:{dead}", "maxReceiveCount": max_receives}
        url = self.sqs.create_queue(name, {"RedrivePolicy": json.dumps(policy)})
        return QueueInfo(
            name,
            url,
            visibility_timeout=visibility,
            max_receive_count=max_receives,
            dead_letter_url=dead_url,
            time_limit=None,
            hold_limit=hold_limit,
        )

    @property
    def now(self) -> float:
        """Lease clock."""
        return self.clock.lease()

    # ---- what a schedule does ----------------------------------------------------------------------------------------

    def send(self, name: str, count: int, group: str = "g") -> None:
        """Put messages in a queue."""
        url = next(info.url for info in self.infos if info.name == name)
        for start in range(0, count, 10):
            entries = [
                api.SendEntry(
                    "body",
                    message_group_id=group if name == FIFO else None,
                    deduplication_id=f"{self.now}-{self.random.random()}" if name == FIFO else None,
                )
                for _ in range(start, min(count, start + 10))
            ]
            self.sqs.execute(api.SendBatch(url, entries))

    def take(self) -> None:
        """Let idle threads take what waits for them."""
        for slot in self.hands.take_all():
            assert slot.in_hand is not None
            self.model.starts[slot.in_hand.message_id] += 1
        self._turn_if_woken()

    def finish(self, nth: int, verdict: Verdict) -> None:
        """End one running handler, if there is any."""
        busy = self.hands.busy
        if not busy:
            return
        slot = busy[nth % len(busy)]
        assert slot.in_hand is not None
        record = self.pool.table.records.get(slot.in_hand.ticket)
        if record is not None:
            self.model.outcomes[record.ticket] = verdict
            if verdict.kind.name in {"ACK", "DISCARD"}:
                self.model.deleted.add(record.message.message_id)
        self.hands.finish(slot, verdict)
        self._turn_if_woken()

    def advance(self, seconds: float) -> None:
        """Let time pass, from event to event."""
        end = self.now + seconds
        while (due := self.next_event()) <= end:
            self._move(max(self.now, due))
            self._happen()
        self._move(end)

    def settle(self, seconds: float = 120.0, *, until: Callable[[], bool] = lambda: False) -> None:
        """In calm weather, let handlers end well until nothing happens any more, or something is true."""
        self.weather = CALM
        end = self.now + seconds
        while self.now < end and not until():
            self.take()
            while self.hands.busy:
                self.finish(0, ACKED)
            self.advance(1.0)

    def drain(self) -> None:
        """Begin the drain."""
        if not self.pool.draining:
            self.drains += 1
            self.pool.drain()
            self.turn()

    def abandon(self) -> None:
        """Let the drain deadline pass."""
        self.drain()
        self.pool.abandon(self.now)
        self.turn()

    def restart(self) -> None:
        """Drain in calm weather, then begin anew with another pool on the same queues."""
        self.drain()
        self.settle(until=lambda: self.pool.idle)
        assert self.pool.idle
        self.wires.clear()
        self._boot()
        self.turn()

    def next_event(self) -> float:
        """When something happens next."""
        due = self.pool.next_due()
        times = [wire.applies if wire.answer is None else wire.answers for wire in self.wires]
        return min([math.inf if due is None else due, *times])

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        self.woken = True

    def _turn_if_woken(self) -> None:
        """A thread has brought an outcome back: whether the engine hears of it is the executor's decision."""
        if self.woken:
            self.turn()

    def turn(self) -> None:
        """Take a turn and put its calls on the wire."""
        self.woken = False
        calls = self.pool.turn(self.now)
        for call in calls:
            self.wires.append(self._fate(call))
        for look in self.on_turn:
            look(calls)

    def _move(self, to: float) -> None:
        self.clock.advance(max(0.0, to - self.now))
        for info in self.infos:
            self.sqs.queues.named(info.name)  # lets leases that are over expire

    def _happen(self) -> None:
        """Do all that is due at this moment."""
        turns = 0
        while self.next_event() <= self.now:
            turns += 1
            assert turns < AT_ONCE, f"the pool is busy at one moment: {self._whys()}"
            for wire in [wire for wire in self.wires if wire.answer is None and wire.applies <= self.now]:
                self._apply(wire)
            for wire in [wire for wire in self.wires if wire.answer is not None and wire.answers <= self.now]:
                self._deliver(wire)
            self.turn()

    def _whys(self) -> str:
        pool = self.pool
        polls = [poller.next_try() for poller in pool.pollers]
        return (
            f"now {self.now}, keeper {pool.keeper.next_due()}, acknowledger {pool.acknowledger.next_flush()}, "
            f"held {pool.groups.next_try()}, time limits {pool._limits.next_look()}, polls {polls}"
        )

    def _fate(self, call: Call) -> Wire:
        weather, draw = self.weather, self.random
        there = draw.uniform(0, weather.slow / 2)
        back = draw.uniform(0, weather.slow / 2)
        if isinstance(call, Poll):
            back = min(back, 0.1)  # a lease is reckoned from the answer, so one that is late by more is late for us too
        if isinstance(call, Poll) and not self._visible(call):
            there += draw.choice((0.05, 1.0, float(call.request.wait_time)))
        applies = self.now + there
        chance = draw.random()
        before = chance < weather.before
        after = not before and chance < weather.before + weather.after
        if _is_change(call) and not weather.changes:
            before = after = False
        if isinstance(call, Extension) and (before or after):
            tickets = [record.ticket for record in call.records]
            if any(self.model.streaks[ticket] >= weather.streak for ticket in tickets):
                before = after = False
            else:
                self.model.streaks.update(tickets)
        return Wire(call, applies, applies + back, before, after)

    def _visible(self, poll: Poll) -> bool:
        return self.sqs.queues.named(poll.poller.queue.name).ready()

    def _apply(self, wire: Wire) -> None:
        """Let a call arrive at SQS."""
        wire.answer = SQSUnavailable("no answer", transient=True)
        if wire.lost_before:
            return
        call = wire.call
        answer = self._executed(call)
        if isinstance(call, Batch) and call.operation is Operation.CHANGE and not isinstance(answer, SQSError):
            self.model.changed.update(h for at, h in enumerate(call.handles) if at not in answer.failed)
        if not wire.lost_after:
            wire.answer = answer

    def _executed(self, call: Call) -> api.Received | api.BatchAnswer | api.SentBatch | SQSError:
        request = call.request
        try:
            if isinstance(request, api.Receive):
                return self.sqs.execute(request)
            return self._batch_executed(call, request)
        except SQSError as error:
            return error

    def _batch_executed(
        self, call: Call, request: api.DeleteBatch | api.ChangeVisibilityBatch | api.SendBatch
    ) -> api.BatchAnswer | api.SentBatch:
        """Do a batch without the entries that fail by themselves; failures come back in any order, with a stranger."""
        assert not isinstance(call, Poll)
        size = len(call.records)
        bad = [at for at in range(size) if self._entry_fails(call, at)]
        kept = [at for at in range(size) if at not in bad]
        failed = {at: api.EntryFailure("InternalError", "chance", sender_fault=False) for at in bad}
        sent: dict[int, str] = {}
        if kept:
            answer = self.sqs.execute(_part(request, kept))
            failed |= {kept[at]: failure for at, failure in answer.failed.items()}
            sent = {kept[at]: name for at, name in answer.sent.items()} if isinstance(answer, api.SentBatch) else {}
        order = list(failed)
        self.random.shuffle(order)
        mixed = {at: failed[at] for at in order}
        if bad:
            mixed[99] = api.EntryFailure("InternalError", "an entry that nobody sent", sender_fault=False)
        return api.SentBatch(sent, mixed) if isinstance(request, api.SendBatch) else api.BatchAnswer(mixed)

    def _entry_fails(self, call: Batch | Extension, at: int) -> bool:
        if self.random.random() >= self.weather.entries or (_is_change(call) and not self.weather.changes):
            return False
        ticket = call.records[at].ticket
        if isinstance(call, Extension):
            if self.model.streaks[ticket] >= self.weather.streak:
                return False
            self.model.streaks[ticket] += 1
        return True

    def _deliver(self, wire: Wire) -> None:
        """Let an answer arrive at the pool."""
        self.wires.remove(wire)
        answer, call = wire.answer, wire.call
        if isinstance(answer, SQSError):
            self.pool.failed(call, answer, self.now)
            return
        assert answer is not None
        if not isinstance(call, Poll) and not isinstance(answer, api.Received):
            self._note(call, answer.failed)
        self.pool.answered(call, answer, self.now)

    def _note(self, call: Batch | Extension, failed: Mapping[int, api.EntryFailure]) -> None:
        """Write down what the pool is about to hear."""
        for at, record in enumerate(call.records):
            failure = failed.get(at)
            if failure is not None:
                if failure.fault is api.Fault.LEASE_LOST:
                    self.model.told_lost.add(record.ticket)
                elif isinstance(call, Batch) and record.state is State.SETTLING:
                    self.model.refused[record.ticket] = record
            elif isinstance(call, Extension):
                del self.model.streaks[record.ticket]
            elif call.operation is Operation.COPY:
                self.model.copies.add(record.message.message_id)
            elif call.handles[at] == record.handle:
                self.model.confirmed.add(record.ticket)
                self.model.refused.pop(record.ticket, None)

    def events(self) -> list[Event]:
        """What has happened in SQS since this was last asked."""
        log = self.sqs.queues.log
        found = log.since(self.log_read)
        self.log_read = log.total
        return found

    def _asked(self, ticket: int, seconds: float) -> None:
        self.pool.extend(ticket, seconds)


def _is_change(call: Call) -> bool:
    return isinstance(call, Batch) and call.operation is Operation.CHANGE


Sent = TypeVar("Sent", api.DeleteBatch, api.ChangeVisibilityBatch, api.SendBatch)


def _part(request: Sent, kept: list[int]) -> Sent:
    """A batch with only some of its entries."""
    if isinstance(request, api.DeleteBatch):
        return api.DeleteBatch(request.queue_url, [request.handles[at] for at in kept])
    return type(request)(request.queue_url, [request.entries[at] for at in kept])
