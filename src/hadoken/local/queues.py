"""The queues of one account and region, and the operations on queues: create, find, describe, change, list.

`Queues` is the state machine of SQS. It knows no HTTP and no loop, and it asks a `Clock` for the time: under a
`VirtualClock` twelve hours pass in a microsecond. Whoever parks long polls reads `touched` after each operation.
"""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

from hadoken.clock import SYSTEM
from hadoken.local import answers, checks, settings
from hadoken.local.counters import Counters
from hadoken.local.eventlog import EventLog
from hadoken.local.handles import Handles
from hadoken.local.queue import House, Queue
from hadoken.local.refusals import Refusal, invalid_value, no_queue
from hadoken.local.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hadoken.clock import Clock
    from hadoken.local import requests

ACCOUNT = "000000000000"
REGION = "us-east-1"
_PAGE = 1_000  # ListQueues, most of one answer. SQS API Reference
# Says which kind of queue is made; it is no setting, because it cannot be changed.
_FIXED = frozenset({"FifoQueue"})


class Queues:
    """Every queue of one local SQS.

    Attributes:
        url: base of the queues' URLs, without a slash at its end.
        clock: what time it is.
        log: what happened to messages.
        counters: requests and entries by operation.
        touched: queues in which something may be receivable, or sooner than before, since somebody last emptied it.

    Thread: one at a time; blocks on nothing.
    """

    def __init__(
        self, *, url: str = "http://127.0.0.1:9324", clock: Clock = SYSTEM, log: EventLog | None = None
    ) -> None:
        self.url = url
        self.clock = clock
        self.log = EventLog() if log is None else log
        self.counters = Counters()
        self.touched: dict[Queue, None] = {}
        self.handles = Handles()
        self._by_name: dict[str, Queue] = {}
        self._by_path: dict[str, Queue] = {}
        self._names: list[str] = []
        self._last_number = 0
        self._house = House(clock, self.log, self.handles, self.touch, self._find_arn)

    def __iter__(self) -> Iterator[Queue]:
        """Every queue, in the order of creation."""
        return iter(list(self._by_name.values()))

    def touch(self, queue: Queue) -> None:
        """Note that a queue is worth a look."""
        self.touched[queue] = None

    def find(self, queue_url: str | None) -> Queue:
        """The queue at a URL, with everything due done. Only the path counts, so a foreign host is no obstacle.

        Raises:
            Refusal: no URL, or no such queue.
        """
        url = checks.required(queue_url, "QueueUrl")
        queue = self._by_path.get("/".join(url.rsplit("/", 2)[-2:]))
        if queue is None:
            raise no_queue()
        queue.tick(self.clock.lease())
        return queue

    def named(self, name: str) -> Queue:
        """The queue with a name, with everything due done.

        Raises:
            Refusal: no such queue.
        """
        queue = self._by_name.get(name)
        if queue is None:
            raise no_queue()
        queue.tick(self.clock.lease())
        return queue

    def create_queue(self, request: requests.CreateQueue, _client: str) -> answers.QueueUrl:
        """Create a queue; the same again is answered with the one that is there."""
        name = checks.required(request.queue_name, "QueueName")
        attributes = request.attributes or {}
        fifo = settings.fifo_wanted(name, attributes)
        wanted = {key: value for key, value in attributes.items() if key not in _FIXED}
        made = settings.changed(Settings(fifo=fifo), wanted, self._has_arn)
        existing = self._by_name.get(name)
        if existing is None:
            existing = self._add(name, made)
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
        queue.settings = settings.changed(queue.settings, attributes, self._has_arn)
        queue.modified = int(self.clock.wall())
        self.touch(queue)  # a shorter retention period may end something sooner

    def list_queues(self, request: requests.ListQueues, _client: str) -> answers.QueueUrls:
        """List the queues of a prefix by name; `next_token` only where pages were asked for."""
        reason = "Must be between 1 and 1000, if provided."
        limit = checks.whole(request.max_results, _PAGE, (1, _PAGE), "MaxResults", reason)
        prefix = request.queue_name_prefix or ""
        start = bisect.bisect_left(self._names, prefix)
        if request.next_token is not None:
            if not request.next_token.startswith(prefix):
                raise invalid_value(request.next_token, "NextToken", "It belongs to another request.")
            start = bisect.bisect_right(self._names, request.next_token)
        page = [name for name in self._names[start : start + limit] if name.startswith(prefix)]
        following = self._names[start + limit : start + limit + 1]
        more = request.max_results is not None and bool(following) and following[0].startswith(prefix)
        urls = [self.url_of(self._by_name[name]) for name in page]
        return answers.QueueUrls(urls, page[-1] if more else None)

    def url_of(self, queue: Queue) -> str:
        """The one URL of a queue."""
        return f"{self.url}/{queue.path}"

    def _add(self, name: str, made: Settings) -> Queue:
        self._last_number += 1
        queue = Queue(
            self._house,
            number=self._last_number,
            name=name,
            arn=f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}",
            path=f"{ACCOUNT}/{name}",
            settings=made,
        )
        self._by_name[name] = self._by_path[queue.path] = queue
        bisect.insort(self._names, name)
        return queue

    def _find_arn(self, arn: str) -> Queue | None:
        queue = self._by_name.get(arn.rpartition(":")[2])
        return queue if queue is not None and queue.arn == arn else None

    def _has_arn(self, arn: str) -> bool:
        return self._find_arn(arn) is not None

    def _described(self, queue: Queue) -> dict[str, str]:
        return {
            "QueueArn": queue.arn,
            "CreatedTimestamp": str(queue.created),
            "LastModifiedTimestamp": str(queue.modified),
            **queue.counts(),
            **queue.settings.attributes(),
        }


def _same(queue: Queue, made: Settings, wanted: Mapping[str, str]) -> None:
    """Refuse to create a queue that is there with another value of an attribute that was given."""
    there, given = queue.settings.attributes(), made.attributes()
    for name in wanted:
        if there.get(name) != given.get(name):
            text = "A queue already exists with the same name and a different value for attribute"
            raise Refusal("QueueNameExists", f"{text} {name}")
