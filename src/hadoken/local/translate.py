"""Between the seam's words (`hadoken.sqs.api`) and the wire's (`requests`, `answers`): data in, data out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hadoken.local.state import answers, requests
from hadoken.sqs import api

if TYPE_CHECKING:
    from collections.abc import Mapping

_ALL = ["All"]


def receive(request: api.Receive) -> requests.ReceiveMessage:
    """Ask for all attributes of both kinds, as the engine does."""
    return requests.ReceiveMessage(
        queue_url=request.queue_url,
        max_number_of_messages=request.max_messages,
        wait_time_seconds=request.wait_time,
        visibility_timeout=request.visibility_timeout,
        message_system_attribute_names=_ALL,
        message_attribute_names=_ALL,
        receive_request_attempt_id=request.attempt_id,
    )


def delete_batch(request: api.DeleteBatch) -> requests.DeleteMessageBatch:
    """A delete batch whose ids are positions."""
    entries = [
        requests.DeleteEntry(id=str(position), receipt_handle=handle) for position, handle in enumerate(request.handles)
    ]
    return requests.DeleteMessageBatch(queue_url=request.queue_url, entries=entries)


def change_batch(request: api.ChangeVisibilityBatch) -> requests.ChangeMessageVisibilityBatch:
    """A visibility batch whose ids are positions."""
    entries = [
        requests.ChangeEntry(id=str(position), receipt_handle=handle, visibility_timeout=seconds)
        for position, (handle, seconds) in enumerate(request.entries)
    ]
    return requests.ChangeMessageVisibilityBatch(queue_url=request.queue_url, entries=entries)


def send_batch(request: api.SendBatch) -> requests.SendMessageBatch:
    """A send batch whose ids are positions."""
    entries = [
        requests.SendEntry(
            id=str(position),
            message_body=entry.body,
            delay_seconds=entry.delay,
            message_attributes=_attributes(entry.attributes),
            message_group_id=entry.message_group_id,
            message_deduplication_id=entry.deduplication_id,
        )
        for position, entry in enumerate(request.entries)
    ]
    return requests.SendMessageBatch(queue_url=request.queue_url, entries=entries)


def received(answer: answers.ReceiveMessage, server_time: float) -> api.Received:
    """The messages of a receive."""
    return api.Received([_message(message) for message in answer.messages], server_time)


def batch(answer: answers.Batch) -> api.BatchAnswer:
    """What failed of a delete or visibility batch."""
    return api.BatchAnswer(_failures(answer.failed))


def sent(answer: answers.SendMessageBatch) -> api.SentBatch:
    """What became of a send batch."""
    return api.SentBatch(
        {int(one.id or ""): one.message_id for one in answer.successful},
        _failures(answer.failed),
    )


def _failures(failures: list[answers.Failure]) -> dict[int, api.EntryFailure]:
    return {int(one.id): api.EntryFailure(one.code, one.message, one.sender_fault) for one in failures}


def _attributes(attributes: Mapping[str, api.Attribute]) -> dict[str, requests.AttributeValue]:
    return {name: requests.AttributeValue(value.type, value.text, value.data) for name, value in attributes.items()}


def _message(message: answers.Message) -> api.ReceivedMessage:
    return api.ReceivedMessage(
        message_id=message.message_id,
        receipt_handle=message.receipt_handle,
        body=message.body,
        system=message.attributes,
        attributes={
            name: api.Attribute(value.data_type or "", value.string_value, value.binary_value)
            for name, value in message.message_attributes.items()
        },
    )
