"""The operations on messages: send, delete, change visibility, each alone and in batches.

Each is a function of (queues, request, client): it returns the answer, or raises a `Refusal` of the whole request.
What fails a single entry of a batch is a value of the answer. A receive is a `Poll` (see `poll`): it is checked once
and can then be tried again and again, which is what a long poll is.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, TypeVar

from hadoken import limits
from hadoken.local.state import answers, checks, refusals, returning, sending
from hadoken.local.state.digests import attributes_digest, content_digest
from hadoken.local.state.refusals import Refusal
from hadoken.local.state.stored import Stored

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hadoken.local.state import requests
    from hadoken.local.state.handles import Handle
    from hadoken.local.state.queue import Queue
    from hadoken.local.state.queues import Queues

E = TypeVar("E", "requests.DeleteEntry", "requests.ChangeEntry")


def send_message(queues: Queues, request: requests.SendMessage, client: str) -> answers.SendMessage:
    """Send one message."""
    queue = queues.find(request.queue_url)
    queues.counters.of("SendMessage").entries += 1
    checks.presence(queue, request)
    checks.values(queue, request)
    return _send(queue, request, client, entry=None)


def send_message_batch(queues: Queues, request: requests.SendMessageBatch, client: str) -> answers.SendMessageBatch:
    """Send up to ten messages."""
    queue = queues.find(request.queue_url)
    entries = checks.batch(request.entries, "SendMessageBatchRequestEntry")
    for entry in entries:
        checks.presence(queue, entry)
    total = sum(checks.size(entry) for entry in entries)
    if total > limits.BATCH_BYTES:
        text = f"Batch requests cannot be longer than {limits.BATCH_BYTES} bytes. You have sent {total} bytes."
        raise Refusal("BatchRequestTooLong", text)
    answer = answers.SendMessageBatch([], [])
    for entry in entries:
        try:
            checks.values(queue, entry)
        except Refusal as refusal:
            answer.failed.append(_failure(entry.id or "", refusal))
        else:
            answer.successful.append(_send(queue, entry, client, entry=entry.id))
    _count_batch(queues, "SendMessageBatch", len(entries), len(answer.failed))
    return answers.SendMessageBatch(queues.in_any_order(answer.successful), queues.in_any_order(answer.failed))


def delete_message(queues: Queues, request: requests.DeleteMessage, client: str) -> None:
    """Delete one message by its receipt handle."""
    queue = queues.find(request.queue_url)
    queues.counters.of("DeleteMessage").entries += 1
    _delete(queues, queue, request, client)


def delete_message_batch(queues: Queues, request: requests.DeleteMessageBatch, client: str) -> answers.Batch:
    """Delete up to ten messages."""
    queue = queues.find(request.queue_url)
    entries = checks.batch(request.entries, "DeleteMessageBatchRequestEntry")
    return _each(queues, "DeleteMessageBatch", entries, lambda entry: _delete(queues, queue, entry, client))


def change_message_visibility(queues: Queues, request: requests.ChangeMessageVisibility, client: str) -> None:
    """Change the visibility timeout of one message."""
    queue = queues.find(request.queue_url)
    queues.counters.of("ChangeMessageVisibility").entries += 1
    _change(queues, queue, request, client)


def change_message_visibility_batch(
    queues: Queues, request: requests.ChangeMessageVisibilityBatch, client: str
) -> answers.Batch:
    """Change the visibility timeouts of up to ten messages."""
    queue = queues.find(request.queue_url)
    entries = checks.batch(request.entries, "ChangeMessageVisibilityBatchRequestEntry")
    change = lambda entry: _change(queues, queue, entry, client)  # noqa: E731 -- reads as the sentence it is
    return _each(queues, "ChangeMessageVisibilityBatch", entries, change)


def _send(queue: Queue, fields: requests.MessageFields, client: str, *, entry: str | None) -> answers.SendMessage:
    system = fields.message_system_attributes or {}
    trace = system.get(checks.TRACE_HEADER)
    body = fields.message_body or ""
    own = fields.message_deduplication_id
    message = Stored(
        id=str(uuid.uuid4()),
        body=body,
        attributes=fields.message_attributes or {},
        trace=(trace.string_value or "") if trace else "",
        message_group_id=fields.message_group_id,
        deduplication_id=content_digest(body) if own is None and queue.settings.content_based else own,
    )
    # Zero on a FIFO queue means the queue's own delay: a message of its own is not allowed one.
    delay = None if queue.settings.fifo else fields.delay_seconds
    accepted = sending.send(queue, message, delay, client)
    return answers.SendMessage(
        id=entry,
        message_id=accepted.id,
        md5_of_message_body=message.body_md5,
        md5_of_message_attributes=message.attributes_md5,
        md5_of_message_system_attributes=attributes_digest(system),
        sequence_number=accepted.sequence or None,
    )


def _delete(queues: Queues, queue: Queue, asked: requests.DeleteMessage | requests.DeleteEntry, client: str) -> None:
    text = checks.required(asked.receipt_handle, "ReceiptHandle")
    returning.delete(queue, _read(queues, queue, text), text, client)


def _change(
    queues: Queues, queue: Queue, asked: requests.ChangeMessageVisibility | requests.ChangeEntry, client: str
) -> None:
    text = checks.required(asked.receipt_handle, "ReceiptHandle")
    timeout = checks.visibility(checks.required(asked.visibility_timeout, "VisibilityTimeout"), 0)
    returning.change(queue, _read(queues, queue, text), text, timeout, client)


def _read(queues: Queues, queue: Queue, text: str) -> Handle:
    handle = queues.handles.read(text)
    if handle is None or handle.queue != queue.number:
        raise refusals.bad_handle(text)
    return handle


def _each(queues: Queues, operation: str, entries: Sequence[E], act: Callable[[E], None]) -> answers.Batch:
    answer = answers.Batch([], [])
    for entry in entries:
        try:
            act(entry)
        except Refusal as refusal:
            answer.failed.append(_failure(entry.id or "", refusal))
        else:
            answer.successful.append(answers.Success(entry.id or ""))
    _count_batch(queues, operation, len(entries), len(answer.failed))
    return answers.Batch(queues.in_any_order(answer.successful), queues.in_any_order(answer.failed))


def _failure(entry: str, refusal: Refusal) -> answers.Failure:
    return answers.Failure(
        id=entry, sender_fault=refusal.sender_fault, code=refusal.entry_code, message=refusal.message
    )


def _count_batch(queues: Queues, operation: str, entries: int, failed: int) -> None:
    count = queues.counters.of(operation)
    count.entries += entries
    count.failed += failed
