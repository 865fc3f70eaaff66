"""What SQS answers: one struct per operation that has something to say. Empty lists and missing values are left out.

Source: the JSON model of SQS; recorded AWS answers (an empty receive has no `Messages`, a clean batch no `Failed`).
"""

from __future__ import annotations

import msgspec

from hadoken.local.state.requests import AttributeValue


class Message(msgspec.Struct, rename="pascal", frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One received message."""

    message_id: str
    receipt_handle: str
    md5_of_body: str = msgspec.field(name="MD5OfBody")
    body: str
    attributes: dict[str, str] = {}
    md5_of_message_attributes: str | None = msgspec.field(default=None, name="MD5OfMessageAttributes")
    message_attributes: dict[str, AttributeValue] = {}


class ReceiveMessage(msgspec.Struct, rename="pascal", frozen=True, omit_defaults=True, gc=False):
    """0..10 messages."""

    messages: list[Message] = []


class SendMessage(msgspec.Struct, rename="pascal", frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One accepted message; `id` only in a batch."""

    id: str | None = None
    message_id: str
    md5_of_message_body: str = msgspec.field(name="MD5OfMessageBody")
    md5_of_message_attributes: str | None = msgspec.field(default=None, name="MD5OfMessageAttributes")
    md5_of_message_system_attributes: str | None = msgspec.field(default=None, name="MD5OfMessageSystemAttributes")
    sequence_number: str | None = None


class Failure(msgspec.Struct, rename="pascal", frozen=True, kw_only=True, gc=False):
    """Why one entry of a batch was refused."""

    id: str
    sender_fault: bool
    code: str
    message: str


class Success(msgspec.Struct, rename="pascal", frozen=True, gc=False):
    """One entry of a delete or visibility batch that was accepted."""

    id: str


class SendMessageBatch(msgspec.Struct, rename="pascal", frozen=True, omit_defaults=True, gc=False):
    """What became of each entry."""

    successful: list[SendMessage] = []
    failed: list[Failure] = []


class Batch(msgspec.Struct, rename="pascal", frozen=True, omit_defaults=True, gc=False):
    """What became of each entry of a delete or visibility batch."""

    successful: list[Success] = []
    failed: list[Failure] = []


class QueueUrl(msgspec.Struct, rename="pascal", frozen=True, gc=False):
    """The URL of a queue."""

    queue_url: str


class QueueAttributes(msgspec.Struct, rename="pascal", frozen=True, omit_defaults=True, gc=False):
    """Attributes of a queue, all values strings."""

    attributes: dict[str, str] = {}


class QueueUrls(msgspec.Struct, rename="pascal", frozen=True, omit_defaults=True, gc=False):
    """One page of queues."""

    queue_urls: list[str] = []
    next_token: str | None = None


class SourceUrls(msgspec.Struct, rename="pascal", frozen=True, omit_defaults=True, gc=False):
    """One page of the queues whose dead-letter queue one is; `queueUrls` is spelt small, and only here."""

    queue_urls: list[str] = msgspec.field(default_factory=list, name="queueUrls")
    next_token: str | None = None


class QueueTags(msgspec.Struct, rename="pascal", frozen=True, omit_defaults=True, gc=False):
    """The tags of a queue."""

    tags: dict[str, str] = {}


class StartedMoveTask(msgspec.Struct, rename="pascal", frozen=True, gc=False):
    """The handle of a new move task."""

    task_handle: str


class CancelledMoveTask(msgspec.Struct, rename="pascal", frozen=True, gc=False):
    """How many messages a task had moved by the time it was cancelled."""

    approximate_number_of_messages_moved: int


class MoveTask(msgspec.Struct, rename="pascal", frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One move task.

    Attributes:
        task_handle: of a running task only.
        started_timestamp: ms since 1970.
    """

    task_handle: str | None = None
    status: str
    source_arn: str
    destination_arn: str | None = None
    max_number_of_messages_per_second: int | None = None
    approximate_number_of_messages_moved: int
    approximate_number_of_messages_to_move: int
    failure_reason: str | None = None
    started_timestamp: int


class ListedMoveTasks(msgspec.Struct, rename="pascal", frozen=True, omit_defaults=True, gc=False):
    """The latest move tasks of a source, newest first."""

    results: list[MoveTask] = []
