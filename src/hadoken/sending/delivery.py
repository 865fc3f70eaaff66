"""A batch on its way: what was sent, what failed, what is worth another try. No I/O: both ways of sending share it.

Rules of this file:
- What is retried was checked before, and is sent again unchanged: a FIFO message keeps its deduplication id, so that
  our own retry is no second message.
- Every entry ends in `sent` or in `failed`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from hadoken.errors import BatchFailed, QueueNotFound, SQSError
from hadoken.limits import BATCH_BYTES, BATCH_ENTRIES
from hadoken.outgoing import entry_bytes
from hadoken.sqs.api import EntryFailure, Fault, SendBatch, SendEntry, SentBatch, fault_of, sqs_error
from hadoken.sqs.backoff import SEND

OPERATION: Final = "SendMessageBatch"
TRIES: Final = SEND.tries
_WORTH_ANOTHER: Final = frozenset({Fault.THROTTLE, Fault.OVER_LIMIT, Fault.REFRESH, Fault.TRANSIENT})
_NO_ANSWER: Final = EntryFailure("InternalError", "the answer does not speak of this entry", sender_fault=False)


class Sending:
    """The messages of one call of `send` or `send_many`.

    Args:
        address: of the queue, as the user gave it.
        entries: checked; each is known by its position.

    Attributes:
        sent: position -> message id.
        failed: position -> why it was not accepted.
    """

    def __init__(self, address: str, entries: Sequence[SendEntry]) -> None:
        self.address = address
        self.entries = entries
        self.sent: dict[int, str] = {}
        self.failed: dict[int, SQSError] = {}

    def deliveries(self) -> Iterator[Delivery]:
        """Batches, in order; ask for the next one when the last one is through."""
        entries = self.entries
        if len(entries) == 1:
            yield Delivery(self, (0,))
            return
        for batch in batches(entries):
            yield Delivery(self, batch)

    def only_id(self) -> str:
        """The id of the only message.

        Raises:
            SQSError: it was not accepted.
        """
        if self.failed:
            raise self.failed.pop(0)  # kept here, it would hold itself: its traceback leads to us
        return self.sent[0]

    def ids(self) -> list[str]:
        """All ids, in the order of the entries.

        Raises:
            BatchFailed: some were not accepted.
        """
        if self.failed:
            reasons = {place: str(error) for place, error in sorted(self.failed.items())}
            self.failed.clear()  # as above
            raise BatchFailed(
                f"{len(reasons)} of {len(self.entries)} messages for {self.address} were not sent; "
                f"{next(iter(reasons.values()))}",
                failed=reasons,
                operation=OPERATION,
                hint="failed holds the reason of each by its position",
            )
        return [self.sent[place] for place in range(len(self.entries))]


class Delivery:
    """One batch of a `Sending`, until each of its entries is decided.

    Tell it what came of each request by `took` or `refused`; while these say so, wait for `pause` and try again.
    """

    def __init__(self, sending: Sending, places: Sequence[int]) -> None:
        self._sending = sending
        self._places = places
        self._failures = 0

    def request(self, queue_url: str) -> SendBatch:
        """What to send now: all that is not decided yet."""
        entries = self._sending.entries
        return SendBatch(queue_url, [entries[place] for place in self._places])

    def took(self, answer: SentBatch) -> bool:
        """Take in an answer; says whether some entries are to be tried again."""
        sending, places = self._sending, self._places
        if len(answer.sent) == len(places):
            for position, place in enumerate(places):
                sending.sent[place] = answer.sent[position]
            return False
        again: dict[int, SQSError] = {}
        for position, place in enumerate(places):
            if position in answer.sent:
                sending.sent[place] = answer.sent[position]
                continue
            reason = answer.failed.get(position, _NO_ANSWER)
            (again if reason.fault in _WORTH_ANOTHER else sending.failed)[place] = sqs_error(
                OPERATION, reason.code, reason.message
            )
        return self._again(again)

    def refused(self, error: SQSError) -> bool:
        """Take in the failure of a whole request; says whether it is to be tried again.

        Raises:
            QueueNotFound: there is no such queue, and nothing was sent before.
        """
        whole = dict.fromkeys(self._places, error)
        fault = fault_of(error)
        if fault is Fault.NO_QUEUE and not self._sending.sent:
            address = self._sending.address
            hint = "create it, or map its name by HADOKEN_QUEUES__<NAME>"
            raise QueueNotFound(f"queue {address} does not exist", queues=[address], hint=hint) from error
        if fault in _WORTH_ANOTHER:
            return self._again(whole)
        self._sending.failed.update(whole)
        return False

    def pause(self, draw: float) -> float:
        """Seconds to wait before the next try, by a draw of 0..1."""
        return SEND.wait(self._failures, draw)

    def _again(self, errors: dict[int, SQSError]) -> bool:
        self._failures += 1
        if self._failures == TRIES:
            self._sending.failed.update(errors)
            return False
        self._places = tuple(errors)
        return bool(errors)


def batches(entries: Sequence[SendEntry]) -> Iterator[list[int]]:
    """Cut messages into batches of positions, in order: at most ten, and at most 1 MiB together."""
    batch: list[int] = []
    room = BATCH_BYTES
    for place, entry in enumerate(entries):
        size = entry_bytes(entry)
        if batch and (len(batch) == BATCH_ENTRIES or size > room):
            yield batch
            batch, room = [], BATCH_BYTES
        batch.append(place)
        room -= size
    if batch:
        yield batch
