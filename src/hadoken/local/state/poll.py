"""One ReceiveMessage: checked once, tried as often as it takes, rendered as it was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hadoken import limits
from hadoken.local.state import answers, checks, receiving
from hadoken.local.state.digests import attributes_digest
from hadoken.local.state.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hadoken.local.state import requests
    from hadoken.local.state.queue import Queue
    from hadoken.local.state.queues import Queues
    from hadoken.local.state.requests import AttributeValue
    from hadoken.local.state.stored import Stored, Taken

SENDER = "AIDALOCALSENDER000000"
_ALL = frozenset({"All", ".*"})
_REASON_WAIT = "Must be >= 0 and <= 20, if provided."


class Poll:
    """A receive that can be tried again.

    Attributes:
        client: who asks, for the event log.
        queue: where it receives.
        wait: 0..20 seconds; the queue's own where the request names none.

    Raises:
        Refusal: the queue does not exist, a value is out of range.

    Thread: that of its `Queues`.
    """

    __slots__ = (
        "_attempt",
        "_attribute_names",
        "_limit",
        "_queues",
        "_system_names",
        "_timeout",
        "client",
        "queue",
        "wait",
    )

    def __init__(self, queues: Queues, request: requests.ReceiveMessage, client: str) -> None:
        self._queues = queues
        self.client = client
        self.queue: Queue = queues.find(request.queue_url)
        own = self.queue.settings
        self._limit = checks.max_messages(request.max_number_of_messages)
        self.wait = checks.whole(request.wait_time_seconds, own.wait, limits.WAIT_TIME, "WaitTimeSeconds", _REASON_WAIT)
        self._timeout = checks.visibility(request.visibility_timeout, own.visibility)
        self._attempt = checks.token(request.receive_request_attempt_id, "ReceiveRequestAttemptId")
        self._system_names = (request.message_system_attribute_names or []) + (request.attribute_names or [])
        self._attribute_names = request.message_attribute_names or []

    def take(self) -> answers.ReceiveMessage:
        """Receive what can be received now; an empty answer is the normal one."""
        self.queue.tick(self._queues.clock.lease())
        if not self.wait and self.queue.misses():
            return answers.ReceiveMessage()
        taken = receiving.receive(self.queue, self._limit, self._timeout, self.client, self._attempt)
        return answers.ReceiveMessage([self._rendered(one) for one in taken])

    def refuse_over_limit(self) -> None:
        """Refuse a short poll of a standard queue with too many messages in flight; all other polls stay silent."""
        queue = self.queue
        if not self.wait and not queue.settings.fifo and queue.in_flight >= queue.max_in_flight:
            raise Refusal("OverLimit", f"Too many messages in flight: the limit is {queue.max_in_flight}.")

    def count(self, answer: answers.ReceiveMessage) -> None:
        """Count what the answer brings; once per poll, when it is given."""
        count = self._queues.counters.of("ReceiveMessage")
        count.entries += len(answer.messages)
        count.empty += not answer.messages

    def _rendered(self, taken: Taken) -> answers.Message:
        message = taken.message
        attributes = _chosen(message.attributes, self._attribute_names)
        whole = len(attributes) == len(message.attributes)
        return answers.Message(
            message_id=message.id,
            receipt_handle=taken.handle,
            md5_of_body=message.body_md5,
            body=message.body,
            attributes=self._system(message),
            md5_of_message_attributes=message.attributes_md5 if whole else attributes_digest(attributes),
            message_attributes=attributes,
        )

    def _system(self, message: Stored) -> dict[str, str]:
        names = self._system_names
        if not names:
            return {}
        found = _system_attributes(message)
        return found if "All" in names else {name: found[name] for name in names if name in found}


def _system_attributes(message: Stored) -> dict[str, str]:
    found = {
        "SenderId": SENDER,
        "SentTimestamp": str(message.sent_ms),
        "ApproximateReceiveCount": str(message.count),
        "ApproximateFirstReceiveTimestamp": str(message.first_received_ms),
    }
    optional = {
        "MessageGroupId": message.message_group_id,
        "MessageDeduplicationId": message.deduplication_id,
        "SequenceNumber": message.sequence,
        "AWSTraceHeader": message.trace,
        "DeadLetterQueueSourceArn": message.source_arn,
    }
    found.update((name, value) for name, value in optional.items() if value)
    return found


def _chosen(attributes: Mapping[str, AttributeValue], names: list[str]) -> dict[str, AttributeValue]:
    """The attributes that a filter lets through: by name, by `prefix.*`, or all."""
    if not attributes or not names:
        return {}
    if not _ALL.isdisjoint(names):
        return dict(attributes)
    prefixes = tuple(name[:-1] for name in names if name.endswith(".*"))
    return {name: value for name, value in attributes.items() if name in names or name.startswith(prefixes)}
