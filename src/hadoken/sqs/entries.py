"""Entries of a batch as all transports write them, and what became of each as all of them read it.

Rules of this file:
- An entry has its position as id and is known by it in the answer; ids that were not given are left out.
- A failure counts: an entry that is said to have failed has, even if it is said to have succeeded as well.
- An entry of which the answer says nothing may have failed, so it is tried again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from hadoken.sqs.api import (
    NO_ANSWER,
    Attribute,
    ChangeVisibilityBatch,
    DeleteBatch,
    EntryFailure,
    SendBatch,
    SendEntry,
)

IDS: Final = tuple(str(at) for at in range(10))  # one batch has no more
_SILENT: Final = EntryFailure(NO_ANSWER, "the answer does not say", sender_fault=False)

Entry = dict[str, Any]


def to_delete(request: DeleteBatch) -> list[Entry]:
    """The entries of a DeleteMessageBatch."""
    return [{"Id": str(at), "ReceiptHandle": handle} for at, handle in enumerate(request.handles)]


def to_change(request: ChangeVisibilityBatch) -> list[Entry]:
    """The entries of a ChangeMessageVisibilityBatch."""
    return [
        {"Id": str(at), "ReceiptHandle": handle, "VisibilityTimeout": seconds}
        for at, (handle, seconds) in enumerate(request.entries)
    ]


def to_send(request: SendBatch) -> list[Entry]:
    """The entries of a SendMessageBatch; binary attributes are bytes still."""
    return [{"Id": str(at), **_message(entry)} for at, entry in enumerate(request.entries)]


def failures(failed: Mapping[str, EntryFailure], done: Collection[str], count: int) -> Mapping[int, EntryFailure]:
    """What failed, by position.

    Args:
        failed: by id, what the answer says.
        done: the ids that succeeded, by the answer.
        count: of the entries that were sent.
    """
    found: dict[int, EntryFailure] = {}
    for at in range(count):
        name = str(at)
        if (failure := failed.get(name)) is not None:
            found[at] = failure
        elif name not in done:
            found[at] = _SILENT
    return found


def sent_ids(told: Mapping[str, str], failed: Mapping[int, EntryFailure], count: int) -> Mapping[int, str]:
    """The ids of the messages that were sent, by position.

    Args:
        told: by entry id, what the answer says.
        failed: what failed.
        count: of the entries that were sent.
    """
    return {at: told[str(at)] for at in range(count) if at not in failed}


def _message(entry: SendEntry) -> Entry:
    fields: Entry = {"MessageBody": entry.body}
    if entry.attributes:
        fields["MessageAttributes"] = {name: _attribute(value) for name, value in entry.attributes.items()}
    if entry.delay is not None:
        fields["DelaySeconds"] = entry.delay
    if entry.message_group_id is not None:
        fields["MessageGroupId"] = entry.message_group_id
    if entry.deduplication_id is not None:
        fields["MessageDeduplicationId"] = entry.deduplication_id
    return fields


def _attribute(value: Attribute) -> Entry:
    if value.text is not None:
        return {"DataType": value.type, "StringValue": value.text}
    return {"DataType": value.type, "BinaryValue": value.data}
