"""What SQS is asked: one struct per operation, named as on the wire once its fields are in PascalCase.

Every field may be missing or null, because it is SQS and not the decoder that says which parameter is missing.
Source: the JSON model of SQS.
"""

from __future__ import annotations

import msgspec


class AttributeValue(msgspec.Struct, rename="pascal", frozen=True, omit_defaults=True, gc=False):
    """A message attribute or message system attribute; `binary_value` is base64 on the wire."""

    data_type: str | None = None
    string_value: str | None = None
    binary_value: bytes | None = None


class MessageFields(msgspec.Struct, rename="pascal", frozen=True, kw_only=True, gc=False):
    """What a message to be sent is made of, alone or in a batch."""

    message_body: str | None = None
    delay_seconds: int | None = None
    message_attributes: dict[str, AttributeValue] | None = None
    message_system_attributes: dict[str, AttributeValue] | None = None
    message_group_id: str | None = None
    message_deduplication_id: str | None = None


class OnQueue(msgspec.Struct, rename="pascal", frozen=True, kw_only=True, gc=False):
    """Any request that names its queue by URL."""

    queue_url: str | None = None


class SendMessage(MessageFields, frozen=True, kw_only=True, gc=False):
    """Send one message."""

    queue_url: str | None = None


class SendEntry(MessageFields, frozen=True, kw_only=True, gc=False):
    """One message of a batch."""

    id: str | None = None


class SendMessageBatch(OnQueue, frozen=True, kw_only=True, gc=False):
    """Send up to ten messages."""

    entries: list[SendEntry] | None = None


class ReceiveMessage(OnQueue, frozen=True, kw_only=True, gc=False):
    """Receive up to ten messages."""

    max_number_of_messages: int | None = None
    wait_time_seconds: int | None = None
    visibility_timeout: int | None = None
    attribute_names: list[str] | None = None
    message_system_attribute_names: list[str] | None = None
    message_attribute_names: list[str] | None = None
    receive_request_attempt_id: str | None = None


class DeleteMessage(OnQueue, frozen=True, kw_only=True, gc=False):
    """Delete one message."""

    receipt_handle: str | None = None


class DeleteEntry(msgspec.Struct, rename="pascal", frozen=True, kw_only=True, gc=False):
    """One receipt handle of a batch."""

    id: str | None = None
    receipt_handle: str | None = None


class DeleteMessageBatch(OnQueue, frozen=True, kw_only=True, gc=False):
    """Delete up to ten messages."""

    entries: list[DeleteEntry] | None = None


class ChangeMessageVisibility(OnQueue, frozen=True, kw_only=True, gc=False):
    """Set how long one message stays invisible, from now."""

    receipt_handle: str | None = None
    visibility_timeout: int | None = None


class ChangeEntry(msgspec.Struct, rename="pascal", frozen=True, kw_only=True, gc=False):
    """One visibility change of a batch."""

    id: str | None = None
    receipt_handle: str | None = None
    visibility_timeout: int | None = None


class ChangeMessageVisibilityBatch(OnQueue, frozen=True, kw_only=True, gc=False):
    """Up to ten visibility changes."""

    entries: list[ChangeEntry] | None = None


class CreateQueue(msgspec.Struct, rename="pascal", frozen=True, kw_only=True, gc=False):
    """Create a queue; `tags` is spelt small, and only here."""

    queue_name: str | None = None
    attributes: dict[str, str] | None = None
    tags: dict[str, str] | None = msgspec.field(default=None, name="tags")


class GetQueueUrl(msgspec.Struct, rename="pascal", frozen=True, kw_only=True, gc=False):
    """Find a queue by name."""

    queue_name: str | None = None
    queue_owner_account_id: str | None = msgspec.field(default=None, name="QueueOwnerAWSAccountId")


class GetQueueAttributes(OnQueue, frozen=True, kw_only=True, gc=False):
    """Read some or all attributes of a queue."""

    attribute_names: list[str] | None = None


class DeleteQueue(OnQueue, frozen=True, kw_only=True, gc=False):
    """Delete a queue with its messages."""


class PurgeQueue(OnQueue, frozen=True, kw_only=True, gc=False):
    """Delete the messages of a queue."""


class TagQueue(OnQueue, frozen=True, kw_only=True, gc=False):
    """Add tags to a queue."""

    tags: dict[str, str] | None = None


class UntagQueue(OnQueue, frozen=True, kw_only=True, gc=False):
    """Take tags off a queue."""

    tag_keys: list[str] | None = None


class ListQueueTags(OnQueue, frozen=True, kw_only=True, gc=False):
    """Read the tags of a queue."""


class AddPermission(OnQueue, frozen=True, kw_only=True, gc=False):
    """Add a statement to the policy of a queue."""

    label: str | None = None
    account_ids: list[str] | None = msgspec.field(default=None, name="AWSAccountIds")
    actions: list[str] | None = None


class RemovePermission(OnQueue, frozen=True, kw_only=True, gc=False):
    """Take a statement out of the policy of a queue."""

    label: str | None = None


class SetQueueAttributes(OnQueue, frozen=True, kw_only=True, gc=False):
    """Change attributes of a queue."""

    attributes: dict[str, str] | None = None


class ListQueues(msgspec.Struct, rename="pascal", frozen=True, kw_only=True, gc=False):
    """List queues by prefix, in pages."""

    queue_name_prefix: str | None = None
    next_token: str | None = None
    max_results: int | None = None


class ListDeadLetterSourceQueues(OnQueue, frozen=True, kw_only=True, gc=False):
    """List the queues whose dead-letter queue one is, in pages."""

    next_token: str | None = None
    max_results: int | None = None


class StartMessageMoveTask(msgspec.Struct, rename="pascal", frozen=True, kw_only=True, gc=False):
    """Start to move what is in a dead-letter queue."""

    source_arn: str | None = None
    destination_arn: str | None = None
    max_number_of_messages_per_second: int | None = None


class CancelMessageMoveTask(msgspec.Struct, rename="pascal", frozen=True, kw_only=True, gc=False):
    """End a running move task."""

    task_handle: str | None = None


class ListMessageMoveTasks(msgspec.Struct, rename="pascal", frozen=True, kw_only=True, gc=False):
    """List the latest move tasks of a dead-letter queue."""

    source_arn: str | None = None
    max_results: int | None = None
