"""The queues of one account and region, and the operations on them: create, find, describe, change, purge, delete.

`Queues` is the state machine of SQS. It knows no HTTP and no loop, and it asks a `Clock` for the time: under a
`VirtualClock` twelve hours pass in a microsecond. Whoever parks long polls reads `touched` after each operation.
"""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING, TypeVar

from hadoken.clock import SYSTEM
from hadoken.local.state import answers, checks, redrive, settings
from hadoken.local.state.counters import Counters
from hadoken.local.state.eventlog import EventLog
from hadoken.local.state.handles import Handles
from hadoken.local.state.house import MAX_IN_FLIGHT, House
from hadoken.local.state.moves import Moves
from hadoken.local.state.pages import page
from hadoken.local.state.profile import AWS, Profile
from hadoken.local.state.queue import Queue
from hadoken.local.state.refusals import Refusal, no_queue
from hadoken.local.state.settings import Settings
from hadoken.local.state.whims import Shuffle

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hadoken.clock import Clock
    from hadoken.local.state import requests
    from hadoken.local.state.witness import Witness

T = TypeVar("T")

ACCOUNT = "000000000000"
REGION = "us-east-1"
# Seconds before a queue can be purged again, and before its name is free again. SQS API Reference
_PURGE_AGAIN = 60
_CREATE_AGAIN = 60
# Says which kind of queue is made; it is no setting, because it cannot be changed.
_FIXED = frozenset({"FifoQueue"})
_LAST = "\U0010ffff"  # sorts behind every character of a name


class Queues:
    """Every queue of one local SQS.

    Args:
        url: base of the queues' URLs, without a slash at its end.
        clock: the real one, or a virtual one.
        log: where events go; a new one by default.
        profile: how kind this SQS is.
        seed: of everything that is left to chance.
        max_in_flight: messages in flight that each queue allows; `Queue.max_in_flight` changes one of them.
        witness: told of everything that changes; None for nobody.

    Attributes:
        url: base of the queues' URLs, without a slash at its end.
        clock: what time it is.
        log: what happened to messages.
        counters: requests and entries by operation.
        moves: the message move tasks.
        profile: how kind this SQS is.
        touched: queues in which something may be receivable, or sooner than before, since somebody last emptied it.
        last_number: of the newest queue that ever was: no receipt handle may name two.

    Thread: one at a time; blocks on nothing.
    """

    def __init__(
        self,
        *,
        url: str = "http://127.0.0.1:9324",
        clock: Clock = SYSTEM,
        log: EventLog | None = None,
        profile: Profile = AWS,
        seed: int = 0,
        max_in_flight: int = MAX_IN_FLIGHT,
        witness: Witness[Queue] | None = None,
    ) -> None:
        self.url = url
        self.clock = clock
        self.log = EventLog() if log is None else log
        self.counters = Counters()
        self.touched: dict[Queue, None] = {}
        self.handles = Handles()
        self._by_name: dict[str, Queue] = {}
        self._by_path: dict[str, Queue] = {}
        self._elsewhere: dict[str, str] = {}  # path -> name; see also_at
        self._names: list[str] = []
        self.last_number = 0
        self._deleted: dict[str, float] = {}
        self.moves = Moves(clock, self.by_arn)
        self.profile = profile
        self._shuffle = Shuffle(seed) if profile.shuffled_answers else None
        self._witness = witness
        self._house = House(
            clock, self.log, self.handles, self.touched, self.by_arn, profile, seed, max_in_flight, witness
        )

    def __iter__(self) -> Iterator[Queue]:
        """Every queue, in the order of creation."""
        return iter(list(self._by_name.values()))

    def in_any_order(self, entries: list[T]) -> list[T]:
        """The entries of a batch's answer, in an order that says nothing if the profile has it so."""
        return entries if self._shuffle is None else self._shuffle(entries)

    def find(self, queue_url: str | None) -> Queue:
        """The queue at a URL, with everything due done. Only the path counts, so a foreign host is no obstacle.

        Args:
            queue_url: a URL, or, as SQS has it, the name or the ARN of a queue.

        Raises:
            Refusal: no URL, or no such queue.
        """
        url = checks.required(queue_url, "QueueUrl")
        path = _path(url)
        queue = self._by_path.get(path)
        if queue is None and "/" not in url:
            queue = self.by_arn(url) if url.startswith("arn:") else self._by_name.get(url)
        elif queue is None and path in self._elsewhere:
            queue = self._by_name.get(self._elsewhere[path])
        return self._ready(queue)

    def also_at(self, url: str, name: str) -> None:
        """Let the queue with this name, whenever there is one, be found at a URL of another account, too."""
        self._elsewhere[_path(url)] = name

    def named(self, name: str) -> Queue:
        """The queue with a name, with everything due done.

        Raises:
            Refusal: no such queue.
        """
        return self._ready(self._by_name.get(name))

    def by_arn(self, arn: str) -> Queue | None:
        """The queue with an ARN, None if there is none; what is due in it may not be done yet."""
        queue = self._by_name.get(arn.rpartition(":")[2])
        return queue if queue is not None and queue.arn == arn else None

    def sources_of(self, target: Queue) -> list[str]:
        """The names, sorted, of the queues whose dead-letter queue this is; costs a look at every queue."""
        found = ((queue.name, queue.configured.redrive) for queue in self._by_name.values())
        return sorted(name for name, policy in found if policy is not None and policy.target_arn == target.arn)

    def next(self) -> float | None:
        """When `run` is due, on the lease clock; None if nothing but calls changes anything for others to see."""
        return self.moves.next()

    def run(self, now: float) -> None:
        """Let time pass for what goes on by itself: the move tasks."""
        self.moves.run(now)

    def create_queue(self, request: requests.CreateQueue, _client: str) -> answers.QueueUrl:
        """Create a queue; the same again is answered with the one that is there."""
        name = checks.required(request.queue_name, "QueueName")
        attributes = request.attributes or {}
        fifo = settings.fifo_wanted(name, attributes)
        wanted = {key: value for key, value in attributes.items() if key not in _FIXED}
        made = settings.changed(Settings(fifo=fifo), wanted, self._has_arn)
        self._check_target(_arn(name), made, wanted)
        existing = self._by_name.get(name)
        if existing is None:
            self._refuse_recent(name)
            tags = checks.tags({}, request.tags or {}, name)
            existing = self._add(name, made)
            existing.tags = tags
        else:
            _same(existing, made, wanted)
        return answers.QueueUrl(self.url_of(existing))

    def get_queue_url(self, request: requests.GetQueueUrl, _client: str) -> answers.QueueUrl:
        """Find a queue by name."""
        name = checks.required(request.queue_name, "QueueName")
        if request.queue_owner_account_id not in {None, ACCOUNT}:
            raise no_queue()
        return answers.QueueUrl(self.url_of(self.named(name)))

    def get_queue_attributes(self, request: requests.GetQueueAttributes, _client: str) -> answers.QueueAttributes:
        """Describe a queue: the attributes asked for, none if none are."""
        queue = self.find(request.queue_url)
        names = request.attribute_names or []
        for name in names:
            if name not in settings.NAMES:
                raise Refusal("InvalidAttributeName", f"Unknown Attribute {name}.")
        found = self._described(queue)
        if "All" not in names:
            found = {name: found[name] for name in names if name in found}
        return answers.QueueAttributes(found)

    def set_queue_attributes(self, request: requests.SetQueueAttributes, _client: str) -> None:
        """Change attributes of a queue, all or none."""
        queue = self.find(request.queue_url)
        attributes = checks.required(request.attributes, "Attributes")
        self.change(queue, attributes)

    def change(self, queue: Queue, attributes: Mapping[str, str]) -> None:
        """Change attributes of a queue that was found.

        Raises:
            Refusal: one of them is not as SQS wants it; none is changed.
        """
        made = settings.changed(queue.configured, attributes, self._has_arn)
        self._check_target(queue.arn, made, attributes)
        queue.configure(made)
        queue.modified = int(self.clock.wall())

    def purge_queue(self, request: requests.PurgeQueue, client: str) -> None:
        """Drop all messages of a queue; once in 60 seconds."""
        queue = self.find(request.queue_url)
        now = self.clock.lease()
        if queue.purged_at is not None and now < queue.purged_at + _PURGE_AGAIN:
            text = f"Only one PurgeQueue operation on {queue.name} is allowed every {_PURGE_AGAIN} seconds."
            raise Refusal("PurgeQueueInProgress", text)
        queue.purged_at = now
        queue.purge(client)

    def delete_queue(self, request: requests.DeleteQueue, client: str) -> None:
        """Drop a queue with its messages; polls that wait on it end by their deadlines."""
        queue = self.find(request.queue_url)
        queue.purge(client)
        if queue.whims is not None:  # a poll that is still parked would let them come, and a witness would write them
            queue.whims.forget_settings()
        self.moves.forget(queue)
        del self._by_name[queue.name], self._by_path[queue.path]
        self._names.remove(queue.name)
        if self._witness is not None:
            self._witness.queue_left(queue)
        if not self.profile.recreation:
            self._deleted[queue.name] = self.clock.lease()

    def list_queues(self, request: requests.ListQueues, _client: str) -> answers.QueueUrls:
        """List the queues of a prefix by name; `next_token` only where pages were asked for."""
        prefix = request.queue_name_prefix or ""
        start = bisect.bisect_left(self._names, prefix)
        end = bisect.bisect_left(self._names, prefix + _LAST)
        names, token = page(self._names[start:end], f"queues {prefix}", request.max_results, request.next_token)
        return answers.QueueUrls([self.url_of(self._by_name[name]) for name in names], token)

    def list_dead_letter_source_queues(
        self, request: requests.ListDeadLetterSourceQueues, _client: str
    ) -> answers.SourceUrls:
        """List the queues whose dead-letter queue this is, by name."""
        queue = self.find(request.queue_url)
        sources = self.sources_of(queue)
        names, token = page(sources, f"sources {queue.name}", request.max_results, request.next_token)
        return answers.SourceUrls([self.url_of(self._by_name[name]) for name in names], token)

    def url_of(self, queue: Queue) -> str:
        """The one URL of a queue."""
        return f"{self.url}/{queue.path}"

    def restore(self, number: int, name: str, made: Settings) -> Queue:
        """Put a queue back under the number that its receipt handles carry; in the order of their numbers."""
        self.last_number = number - 1
        return self._add(name, made)

    def _add(self, name: str, made: Settings) -> Queue:
        self.last_number += 1
        queue = Queue(
            self._house,
            number=self.last_number,
            name=name,
            arn=_arn(name),
            path=f"{ACCOUNT}/{name}",
            settings=made,
        )
        self._by_name[name] = self._by_path[queue.path] = queue
        bisect.insort(self._names, name)
        queue.note()
        return queue

    def _ready(self, queue: Queue | None) -> Queue:
        if queue is None:
            raise no_queue()
        now = self.clock.lease()
        self.moves.run(now)
        queue.tick(now)
        return queue

    def _check_target(self, arn: str, made: Settings, attributes: Mapping[str, str]) -> None:
        """Refuse a redrive policy, if one is given, whose dead-letter queue does not allow this source."""
        policy = made.redrive if "RedrivePolicy" in attributes else None
        target = None if policy is None else self.by_arn(policy.target_arn)
        if policy is None or target is None:
            return
        allow = target.configured.redrive_allow
        if allow is not None and not allow.allows(arn):
            raise redrive.not_allowed(policy)

    def _refuse_recent(self, name: str) -> None:
        """Refuse a name whose queue was deleted a moment ago, and forget the names that are free again."""
        since = self.clock.lease() - _CREATE_AGAIN
        self._deleted = {one: at for one, at in self._deleted.items() if at > since}
        if name in self._deleted:
            text = "You must wait 60 seconds after deleting a queue before you can create another with the same name."
            raise Refusal("QueueDeletedRecently", text)

    def _has_arn(self, arn: str) -> bool:
        return self.by_arn(arn) is not None

    def _described(self, queue: Queue) -> dict[str, str]:
        return {
            "QueueArn": queue.arn,
            "CreatedTimestamp": str(queue.created),
            "LastModifiedTimestamp": str(queue.modified),
            **queue.counts(),
            **queue.settings.attributes(),
        }


def _path(url: str) -> str:
    """What counts of a queue's URL: account and name."""
    return "/".join(url.rsplit("/", 2)[-2:])


def _arn(name: str) -> str:
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


def _same(queue: Queue, made: Settings, wanted: Mapping[str, str]) -> None:
    """Refuse to create a queue that is there with another value of an attribute that was given."""
    there, given = queue.settings.attributes(), made.attributes()
    for name in wanted:
        if there.get(name) != given.get(name):
            text = "A queue already exists with the same name and a different value for attribute"
            raise Refusal("QueueNameExists", f"{text} {name}")
