"""Sending: in the calling thread, in batches, without a thread of its own.

Rules of this file:
- No lock and no background thread: safe in any thread, and after a fork (clients are kept by process id, so a child
  never uses its parent's sockets).
- What is retried was checked before, and is sent again unchanged: a FIFO message keeps its deduplication id, so that
  our own retry is no second message.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Final, Protocol

from hadoken.clock import Wake
from hadoken.errors import BatchFailed, QueueNotFound, SQSError
from hadoken.limits import BATCH_BYTES, BATCH_ENTRIES
from hadoken.outgoing import entry_bytes
from hadoken.sqs.address import url_of
from hadoken.sqs.api import BlockingSQS, EntryFailure, Fault, SendBatch, SendEntry, fault_of, sqs_error
from hadoken.sqs.backoff import SEND
from hadoken.sqs.connection import Connection

OPERATION: Final = "SendMessageBatch"
TRIES: Final = SEND.tries
_WORTH_ANOTHER: Final = frozenset({Fault.THROTTLE, Fault.OVER_LIMIT, Fault.REFRESH, Fault.TRANSIENT})

Numbered = tuple[int, SendEntry]


class Door(Protocol):
    """Where clients come from: a `Connection`, or what a test puts in its place."""

    def blocking(self) -> BlockingSQS:
        """Make a client that works in the calling thread."""
        ...


class _Route:
    """What belongs to one door: clients by process id, queue URLs by address. Replaced whole by `connect`."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self._clients: dict[int, BlockingSQS] = {}
        self._urls: dict[str, str] = {}

    def way(self, address: str) -> tuple[BlockingSQS, str]:
        """This process's client, and the URL of a queue given by name, URL or ARN.

        Two threads may make a client each at the first send; `setdefault` keeps a single one, without a lock.
        """
        pid, urls = os.getpid(), self._urls
        client = self._clients.get(pid) or self._clients.setdefault(pid, self.door.blocking())
        return client, urls.get(address) or urls.setdefault(address, url_of(address) or client.queue_url(address))


class Sender:
    """Sends entries to queues. Opens nothing before the first send.

    Thread: any, several at once. Every send blocks until SQS has answered, at most `TRIES` requests a batch.
    """

    def __init__(
        self,
        *,
        pause: Callable[[float], object] | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._route = _Route(Connection())
        self._pause = pause or _pause
        self._draw = draw

    def connect(self, door: Door) -> None:
        """Send by this door from now on; by the same door as before nothing changes, and its client is kept."""
        if door != self._route.door:
            self._route = _Route(door)

    @contextlib.contextmanager
    def diverted(self, door: Door, pause: Callable[[float], object] | None = None) -> Generator[None]:
        """Send by this door for as long as a block lasts, then by the one before it again, with its client.

        Args:
            door: where to.
            pause: waits between tries meanwhile; None: as before.
        """
        before = self._route, self._pause
        self._route, self._pause = _Route(door), pause or self._pause
        try:
            yield
        finally:
            self._route, self._pause = before

    def send(self, address: str, entry: SendEntry) -> str:
        """Send one message and return its id.

        Raises:
            QueueNotFound: there is no such queue.
            SQSError: it was not accepted, after bounded retries where that could help.
        """
        sent: dict[int, str] = {}
        failed: dict[int, SQSError] = {}
        self._send_batch(address, [(0, entry)], sent, failed)
        if failed:
            raise failed[0]
        return sent[0]

    def send_many(self, address: str, entries: Sequence[SendEntry]) -> list[str]:
        """Send messages in order, at most ten and 1 MiB a request, and return their ids in the same order.

        Raises:
            QueueNotFound: there is no such queue; nothing was sent.
            BatchFailed: some were not accepted; all others were sent. Raised after every batch was tried.
        """
        sent: dict[int, str] = {}
        failed: dict[int, SQSError] = {}
        for batch in batches(entries):
            self._send_batch(address, batch, sent, failed)
        if failed:
            reasons = {place: str(error) for place, error in sorted(failed.items())}
            raise BatchFailed(
                f"{len(failed)} of {len(entries)} messages for {address} were not sent; {next(iter(reasons.values()))}",
                failed=reasons,
                operation=OPERATION,
                hint="failed holds the reason of each by its position",
            )
        return [sent[place] for place in range(len(entries))]

    def _send_batch(
        self, address: str, batch: Sequence[Numbered], sent: dict[int, str], failed: dict[int, SQSError]
    ) -> None:
        """Send one batch; what SQS may accept later is tried again. Each entry ends in `sent` or in `failed`."""
        left = batch
        for failures in range(1, TRIES):
            again = self._try(address, left, sent, failed)
            if not again:
                return
            left = [each for each in left if each[0] in again]
            self._pause(SEND.wait(failures, self._draw()))
        failed.update(self._try(address, left, sent, failed))

    def _try(
        self, address: str, batch: Sequence[Numbered], sent: dict[int, str], failed: dict[int, SQSError]
    ) -> dict[int, SQSError]:
        """One request. Entries worth another try are the answer; what is decided stands in `sent` and `failed`."""
        again: dict[int, SQSError] = {}
        try:
            client, url = self._route.way(address)
            answer = client.send_batch(SendBatch(url, [entry for _, entry in batch]))
        except SQSError as error:
            whole = dict.fromkeys((place for place, _ in batch), error)
            fault = fault_of(error)
            if fault is Fault.NO_QUEUE and not sent:
                hint = "create it, or map its name by HADOKEN_QUEUES__<NAME>"
                raise QueueNotFound(f"queue {address} does not exist", queues=[address], hint=hint) from error
            if fault in _WORTH_ANOTHER:
                return whole
            failed.update(whole)
            return again
        for position, (place, _) in enumerate(batch):
            if position in answer.sent:
                sent[place] = answer.sent[position]
                continue
            reason = answer.failed.get(position, _NO_ANSWER)
            (again if reason.fault in _WORTH_ANOTHER else failed)[place] = sqs_error(
                OPERATION, reason.code, reason.message
            )
        return again


_NO_ANSWER: Final = EntryFailure("InternalError", "the answer does not speak of this entry", sender_fault=False)


def batches(entries: Sequence[SendEntry]) -> Iterator[list[Numbered]]:
    """Cut messages into batches, in order, each entry with its position: at most ten, at most 1 MiB together."""
    batch: list[Numbered] = []
    room = BATCH_BYTES
    for place, entry in enumerate(entries):
        size = entry_bytes(entry)
        if batch and (len(batch) == BATCH_ENTRIES or size > room):
            yield batch
            batch, room = [], BATCH_BYTES
        batch.append((place, entry))
        room -= size
    if batch:
        yield batch


def _pause(seconds: float) -> None:
    Wake().wait(seconds)
