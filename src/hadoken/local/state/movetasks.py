"""The operations on message move tasks: start, cancel, list. What a task does stands in `moves`.

Source: SQS API Reference, StartMessageMoveTask, CancelMessageMoveTask, ListMessageMoveTasks; recorded AWS answers.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

import msgspec

from hadoken.local.state import answers, checks
from hadoken.local.state.moves import MAX_LISTED, RATES, Status, TaskName
from hadoken.local.state.refusals import invalid, no_resource

if TYPE_CHECKING:
    from hadoken.local.state import requests
    from hadoken.local.state.queue import Queue
    from hadoken.local.state.queues import Queues

_ARN_PARTS: Final = 6
_ARN_FORM: Final = "arn:<partition>:<service>:<region>:<account-id>:<resource-id>"


def start_message_move_task(
    queues: Queues, request: requests.StartMessageMoveTask, _client: str
) -> answers.StartedMoveTask:
    """Start to move what is in a dead-letter queue, to one destination or back to where each message came from."""
    source = _resource(queues, request.source_arn, "SourceArn")
    target = None
    if request.destination_arn is not None:
        target = _resource(queues, request.destination_arn, "DestinationArn")
    if not queues.sources_of(source):
        raise invalid("Source queue must be configured as a Dead Letter Queue.")
    if target is source:
        raise invalid("The destination of a message move task cannot be its source.")
    if target is not None and target.settings.fifo != source.settings.fifo:
        raise invalid("The destination of a message move task must be of the same type as its source.")
    rate = request.max_number_of_messages_per_second
    checks.whole(rate, RATES[1], RATES, "MaxNumberOfMessagesPerSecond", "Must be between 1 and 500, if provided.")
    if any(task.active for task in queues.moves.of(source)):
        text = "There is already a task running. Only one active task is allowed for a source queue arn at a given time"
        raise invalid(f"{text}.")
    arn = "" if target is None else target.arn
    return answers.StartedMoveTask(queues.moves.start(source, arn, rate).handle)


def cancel_message_move_task(
    queues: Queues, request: requests.CancelMessageMoveTask, _client: str
) -> answers.CancelledMoveTask:
    """Ask a running task to end at its next step; what it has moved stays moved."""
    named = _read(checks.required(request.task_handle, "TaskHandle"))
    source = _resource(queues, named.source_arn, "SourceArn")
    for task in queues.moves.of(source):
        if task.id == named.task_id and task.status is Status.RUNNING:
            task.status = Status.CANCELLING
            return answers.CancelledMoveTask(task.moved)
    raise no_resource("Task does not exist.")


def list_message_move_tasks(
    queues: Queues, request: requests.ListMessageMoveTasks, _client: str
) -> answers.ListedMoveTasks:
    """List the latest tasks of a source, newest first."""
    source = _resource(queues, request.source_arn, "SourceArn")
    reason = "Must be between 1 and 10, if provided."
    limit = checks.whole(request.max_results, 1, (1, MAX_LISTED), "MaxResults", reason)
    return answers.ListedMoveTasks([task.listed() for task in queues.moves.of(source)[:limit]])


def _resource(queues: Queues, arn: str | None, parameter: str) -> Queue:
    """The queue that a parameter names by ARN, with everything due done."""
    text = checks.required(arn, parameter)
    if not text.startswith("arn:") or len(text.split(":")) != _ARN_PARTS:
        raise invalid(f"You must use this format to specify the {parameter}: {_ARN_FORM}")
    queue = queues.by_arn(text)
    if queue is None:
        raise no_resource(f"The resource that you specified for the {parameter} parameter doesn't exist.")
    return queues.named(queue.name)


def _read(handle: str) -> TaskName:
    try:
        return msgspec.json.decode(base64.b64decode(handle, validate=True), type=TaskName)
    except (binascii.Error, msgspec.MsgspecError, ValueError) as exc:
        raise invalid("Value for parameter TaskHandle is invalid.") from exc
