"""Every operation of SQS by its name: how its request is read, and who does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from hadoken.local.state import messages, movetasks, permissions, requests, tags
from hadoken.local.state.queues import Queues


class Operation(NamedTuple):
    """How one operation is read and done.

    Attributes:
        decoder: of its request.
        act: does it at once; None for a receive, which may have to wait.
    """

    decoder: msgspec.json.Decoder[Any]
    act: Callable[[Queues, Any, str], msgspec.Struct | None] | None


def _operation(
    kind: type[msgspec.Struct], act: Callable[[Queues, Any, str], msgspec.Struct | None] | None
) -> Operation:
    return Operation(msgspec.json.Decoder(kind), act)


OPERATIONS: Final[Mapping[str, Operation]] = {
    "ReceiveMessage": _operation(requests.ReceiveMessage, None),
    "DeleteMessage": _operation(requests.DeleteMessage, messages.delete_message),
    "DeleteMessageBatch": _operation(requests.DeleteMessageBatch, messages.delete_message_batch),
    "ChangeMessageVisibility": _operation(requests.ChangeMessageVisibility, messages.change_message_visibility),
    "ChangeMessageVisibilityBatch": _operation(
        requests.ChangeMessageVisibilityBatch, messages.change_message_visibility_batch
    ),
    "SendMessage": _operation(requests.SendMessage, messages.send_message),
    "SendMessageBatch": _operation(requests.SendMessageBatch, messages.send_message_batch),
    "CreateQueue": _operation(requests.CreateQueue, Queues.create_queue),
    "GetQueueUrl": _operation(requests.GetQueueUrl, Queues.get_queue_url),
    "GetQueueAttributes": _operation(requests.GetQueueAttributes, Queues.get_queue_attributes),
    "SetQueueAttributes": _operation(requests.SetQueueAttributes, Queues.set_queue_attributes),
    "ListQueues": _operation(requests.ListQueues, Queues.list_queues),
    "DeleteQueue": _operation(requests.DeleteQueue, Queues.delete_queue),
    "PurgeQueue": _operation(requests.PurgeQueue, Queues.purge_queue),
    "ListDeadLetterSourceQueues": _operation(
        requests.ListDeadLetterSourceQueues, Queues.list_dead_letter_source_queues
    ),
    "StartMessageMoveTask": _operation(requests.StartMessageMoveTask, movetasks.start_message_move_task),
    "CancelMessageMoveTask": _operation(requests.CancelMessageMoveTask, movetasks.cancel_message_move_task),
    "ListMessageMoveTasks": _operation(requests.ListMessageMoveTasks, movetasks.list_message_move_tasks),
    "TagQueue": _operation(requests.TagQueue, tags.tag_queue),
    "UntagQueue": _operation(requests.UntagQueue, tags.untag_queue),
    "ListQueueTags": _operation(requests.ListQueueTags, tags.list_queue_tags),
    "AddPermission": _operation(requests.AddPermission, permissions.add_permission),
    "RemovePermission": _operation(requests.RemovePermission, permissions.remove_permission),
}
