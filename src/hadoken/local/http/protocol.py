"""AWS JSON 1.0: from a target and a body to an operation, and from an answer or a refusal to bytes.

Knows no sockets: `Protocol.call` is given the parts of one HTTP request and calls back with the parts of its answer, at
once or, for a long poll, later. Signatures are verified before, if at all: see `sigv4`.
Source: AWS JSON 1.0 protocol of Smithy; recorded AWS answers.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from hadoken.local import failing
from hadoken.local.faults import SOUND, Fault, Faults
from hadoken.local.state.eventlog import Call, What
from hadoken.local.state.operations import OPERATIONS, Operation
from hadoken.local.state.poll import Poll
from hadoken.local.state.queues import Queues
from hadoken.local.state.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from hadoken.local.state.answers import ReceiveMessage
    from hadoken.local.state.parking import Parked, Parking

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
_LONGEST: Final = 80  # characters of a name in the event log: those of a queue's name; operations have fewer
_encode = msgspec.json.Encoder().encode
_logger = logging.getLogger(__name__)


class Reply(NamedTuple):
    """One answer.

    Attributes:
        body: JSON; empty where the operation has nothing to say.
        query_error: the error's legacy name and whose fault it is, for `x-amzn-query-error`; "" on success.
        code: shape of the error; "" on success.
        fault: how the answer is to be spoilt on its way; the door does it.
        content_type: of the body.
    """

    status: int
    body: bytes
    query_error: str = ""
    code: str = ""
    fault: Fault = SOUND
    content_type: str = CONTENT_TYPE


class _Call:
    """One request on its way through the protocol.

    Attributes:
        request: decoded; None until it is.
        fault: what goes wrong with it.
        answered: whether `answer` was called.
    """

    __slots__ = ("alive", "answer", "answered", "client", "fault", "name", "request")

    def __init__(self, name: str, client: str, answer: Callable[[Reply], None], alive: Callable[[], bool]) -> None:
        self.name = name
        self.client = client
        self.answer = answer
        self.alive = alive
        self.request: Any = None
        self.fault = SOUND
        self.answered = False


class Protocol:
    """The JSON door to one local SQS.

    Args:
        queues: the state.
        parking: of those queues.
        faults: which calls fail; none by default.
        keep: called before each answer; what it gives is answered in its place. None for nobody.

    Thread: that of its `Queues`.
    """

    def __init__(
        self,
        queues: Queues,
        parking: Parking,
        faults: Faults | None = None,
        keep: Callable[[], Refusal | None] | None = None,
    ) -> None:
        self._queues = queues
        self._keep = keep
        self._parking = parking
        self._faults = Faults() if faults is None else faults
        self._faults.bind(queues)

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
            What to withdraw from the parking if the client goes away; None if the request was answered, or if it takes
            messages although its client is gone.
        """
        call = _Call(target.removeprefix(PREFIX), client, answer, alive)
        try:
            parked = self._do(call, _find(target, call.name), body)
        except Refusal as refusal:
            if call.name in OPERATIONS:
                self._queues.counters.of(call.name).refused += 1
            self._answer(call, refused(refusal))
            parked = None
        except Exception:
            _logger.exception("%s of %s failed by a fault of the local SQS", call.name, client)
            if not call.answered:
                self._answer(call, refused(Refusal("InternalFailure", "The local SQS failed; its log says why.")))
            parked = None
        self._flush()
        return parked

    def turned_away(self, target: str, client: str, reply: Reply) -> None:
        """Note a request that was refused before it was an operation."""
        if self._queues.log.calls:
            call = _Call(target.removeprefix(PREFIX), client, _nobody, _gone)
            self._queues.log.write(_told(call, reply, self._queues.clock.lease()))

    def withdraw(self, parked: Parked) -> None:
        """Forget a poll whose client has gone, and note that it was not answered; does nothing if it was answered."""
        if self._parking.withdraw(parked) and self._queues.log.calls:
            poll = parked.poll
            self._queues.log.write(
                Call(
                    at=self._queues.clock.lease(),
                    what=What.CALL,
                    operation="ReceiveMessage",
                    queue=poll.queue.name,
                    client=poll.client,
                    status=0,
                )
            )

    def _do(self, call: _Call, operation: Operation, body: bytes) -> Parked | None:
        self._queues.counters.of(call.name).requests += 1
        request = call.request = _decoded(operation, body)
        if self._faults:
            call.fault = self._faults.judge(call.name, failing.queue_of(request))
        if call.fault.fails and not call.fault.applied:
            self._answer(call, Reply(0, b""))
            return None
        if operation.act is None:
            return self._receive(call)
        found = failing.without(request, call.fault, functools.partial(self._act, operation.act, call.client))
        self._answer(call, Reply(200, b"" if found is None else _encode(found)))
        return None

    def _act(
        self, act: Callable[[Queues, Any, str], msgspec.Struct | None], client: str, request: object
    ) -> msgspec.Struct | None:
        return act(self._queues, request, client)

    def _receive(self, call: _Call) -> Parked | None:
        fault, url = call.fault, call.request.queue_url

        def received(messages: ReceiveMessage) -> None:
            if fault is not SOUND:
                messages = failing.received(self._queues, url, messages, fault)
            self._answer(call, Reply(200, _encode(messages)))

        poll = Poll(self._queues, call.request, call.client)
        if not fault.swallow:
            return self._parking.receive(poll, received, call.alive)
        self._parking.receive(poll, received, lambda: True)
        return None

    def _answer(self, call: _Call, reply: Reply) -> None:
        """Give an answer, or what a fault makes of it."""
        fault = call.fault
        if self._keep is not None and (lost := self._keep()) is not None:
            reply = refused(lost)
        if fault is not SOUND:
            reply = (failed(fault) if fault.fails else reply)._replace(fault=fault)
        call.answered = True
        if self._queues.log.calls:
            self._queues.log.write(_told(call, reply, self._queues.clock.lease()))
        call.answer(reply)

    def _flush(self) -> None:
        """Serve the polls of others; what goes wrong with theirs does not end this call's connection."""
        try:
            self._parking.flush()
        except Exception:
            _logger.exception("parked polls could not be served")


def _nobody(_: Reply) -> None:
    """Nobody waits for this answer: it has been given."""


def _gone() -> bool:
    """Nobody is there any more."""
    return False


def failed(fault: Fault) -> Reply:
    """The error that a fault answers with; nobody sees it where the fault is silent."""
    reply = refused(failing.error(fault))
    if fault.answer != "html":
        return reply
    page = f"<html><body><h1>{reply.status} {reply.code}</h1></body></html>\n".encode()
    return Reply(reply.status, page, code=reply.code, content_type="text/html")


def refused(refusal: Refusal) -> Reply:
    """Write an error under both of its names."""
    space = _CORAL if refusal.shape in _FRAMEWORK else _SERVICE
    body = _encode({"__type": space + refusal.shape, "message": refusal.message})
    fault = "Sender" if refusal.sender_fault else "Receiver"
    return Reply(refusal.status, body, f"{refusal.legacy};{fault}", refusal.shape)


def _told(call: _Call, reply: Reply, now: float) -> Call:
    return Call(
        at=now,
        what=What.CALL,
        # What was asked for may be anything, and the log is bounded by events, not by bytes.
        operation=call.name[:_LONGEST],
        queue=failing.queue_of(call.request)[:_LONGEST],
        client=call.client,
        status=0 if reply.fault.silent else reply.status,
        code="" if reply.fault.silent else reply.code,
        entries=failing.size_of(call.request),
        fault=reply.fault.title,
    )


def _find(target: str, name: str) -> Operation:
    operation = OPERATIONS.get(name) if target.startswith(PREFIX) else None
    if operation is not None:
        return operation
    raise Refusal("UnknownOperationException", f"The operation {target or '(no X-Amz-Target)'} is not known.")


def _decoded(operation: Operation, body: bytes) -> Any:  # noqa: ANN401 -- the type is the operation's
    try:
        return operation.decoder.decode(body or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise Refusal("SerializationException", f"The request cannot be read: {exc}") from exc
