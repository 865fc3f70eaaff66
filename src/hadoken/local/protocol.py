"""AWS JSON 1.0: from a target and a body to an operation, and from an answer or a refusal to bytes.

Knows no sockets: `Protocol.call` is given the parts of one HTTP request and calls back with the parts of its answer, at
once or, for a long poll, later. Signatures are verified before, if at all: see `sigv4`.
Source: AWS JSON 1.0 protocol of Smithy; recorded AWS answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from hadoken.local import messages, requests
from hadoken.local.poll import Poll
from hadoken.local.queues import Queues
from hadoken.local.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hadoken.local.answers import ReceiveMessage
    from hadoken.local.parking import Parked, Parking

PREFIX: Final = "AmazonSQS."
CONTENT_TYPE: Final = "application/x-amz-json-1.0"
_SERVICE: Final = "com.amazonaws.sqs#"
_CORAL: Final = "com.amazon.coral.service#"
_FRAMEWORK: Final = frozenset(
    {
        "IncompleteSignatureException",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "SerializationException",
        "UnknownOperationException",
        "UnrecognizedClientException",
    }
)
_encode = msgspec.json.Encoder().encode


class Reply(NamedTuple):
    """One answer.

    Attributes:
        body: JSON; empty where the operation has nothing to say.
        query_error: the error's legacy name and whose fault it is, for `x-amzn-query-error`; "" on success.
    """

    status: int
    body: bytes
    query_error: str = ""


class _Operation(NamedTuple):
    """How one operation is read and done; `act` is None for a receive, which may have to wait."""

    decoder: msgspec.json.Decoder[Any]
    act: Callable[[Queues, Any, str], msgspec.Struct | None] | None


def _operation(
    kind: type[msgspec.Struct], act: Callable[[Queues, Any, str], msgspec.Struct | None] | None
) -> _Operation:
    return _Operation(msgspec.json.Decoder(kind), act)


_OPERATIONS: Mapping[str, _Operation] = {
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
}
# What SQS has and this server has not.
_MISSING: Final = frozenset(
    {
        "AddPermission",
        "CancelMessageMoveTask",
        "DeleteQueue",
        "ListDeadLetterSourceQueues",
        "ListMessageMoveTasks",
        "ListQueueTags",
        "PurgeQueue",
        "RemovePermission",
        "StartMessageMoveTask",
        "TagQueue",
        "UntagQueue",
    }
)


class Protocol:
    """The JSON door to one local SQS.

    Thread: that of its `Queues`.
    """

    def __init__(self, queues: Queues, parking: Parking) -> None:
        self._queues = queues
        self._parking = parking

    def call(
        self,
        target: str,
        body: bytes,
        *,
        client: str,
        answer: Callable[[Reply], None],
        alive: Callable[[], bool],
    ) -> Parked | None:
        """Do one request.

        Args:
            target: of the header X-Amz-Target, such as "AmazonSQS.ReceiveMessage".
            body: JSON.
            client: who asks, for the event log.
            answer: called exactly once, now or, for a parked poll, later.
            alive: whether the client is still there.

        Returns:
            What to withdraw from the parking if the client goes away; None if the request was answered.
        """
        name = target.removeprefix(PREFIX)
        try:
            operation = _find(target, name)
            parked = self._do(name, operation, body, client, answer, alive)
        except Refusal as refusal:
            if name in _OPERATIONS:
                self._queues.counters.of(name).refused += 1
            answer(refused(refusal))
            parked = None
        self._parking.flush()
        return parked

    def _do(
        self,
        name: str,
        operation: _Operation,
        body: bytes,
        client: str,
        answer: Callable[[Reply], None],
        alive: Callable[[], bool],
    ) -> Parked | None:
        self._queues.counters.of(name).requests += 1
        request = _decoded(operation, body)
        if operation.act is not None:
            found = operation.act(self._queues, request, client)
            answer(Reply(200, b"" if found is None else _encode(found)))
            return None

        def received(messages: ReceiveMessage) -> None:
            answer(Reply(200, _encode(messages)))

        return self._parking.receive(Poll(self._queues, request, client), received, alive)


def refused(refusal: Refusal) -> Reply:
    """Write an error under both of its names."""
    space = _CORAL if refusal.shape in _FRAMEWORK else _SERVICE
    body = _encode({"__type": space + refusal.shape, "message": refusal.message})
    fault = "Sender" if refusal.sender_fault else "Receiver"
    return Reply(refusal.status, body, f"{refusal.legacy};{fault}")


def _find(target: str, name: str) -> _Operation:
    operation = _OPERATIONS.get(name) if target.startswith(PREFIX) else None
    if operation is not None:
        return operation
    if name in _MISSING:
        raise Refusal("UnsupportedOperation", f"The local SQS does not support {name}.")
    raise Refusal("UnknownOperationException", f"The operation {target or '(no X-Amz-Target)'} is not known.")


def _decoded(operation: _Operation, body: bytes) -> Any:  # noqa: ANN401 -- the type is the operation's
    try:
        return operation.decoder.decode(body or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise Refusal("SerializationException", f"The request cannot be read: {exc}") from exc
