"""SQS's JSON protocol without I/O: requests as bytes, answers as the data of `api`.

Rules of this file:
- It opens, waits for and keeps nothing: two drivers share it, `fast` on a loop and `sockets` in the calling thread.
- Entries of a batch carry their position as id and are known by it in the answer.
- An answer that is not SQS's own (a page in HTML, a redirect, half a JSON) says nothing about the request: it is an
  `SQSUnavailable`, worth another try.

Source: AWS JSON 1.0 protocol and the service model of SQS in botocore.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Mapping, Sequence
from hashlib import md5
from typing import Any, Final

import msgspec

import hadoken
from hadoken.clock import SYSTEM, Clock
from hadoken.errors import SQSError, SQSUnavailable
from hadoken.sqs.answer import Answer
from hadoken.sqs.api import (
    NO_ANSWER,
    Attribute,
    BatchAnswer,
    ChangeVisibilityBatch,
    DeleteBatch,
    EntryFailure,
    Fault,
    Receive,
    Received,
    ReceivedMessage,
    SendBatch,
    SendEntry,
    SentBatch,
    fault_of,
    sqs_error,
)
from hadoken.sqs.settings import Settings
from hadoken.sqs.sigv4 import Signer
from hadoken.sqs.target import target_of

log = logging.getLogger("hadoken.sqs")

POLL_GRACE: Final = 2.0  # seconds beyond the wait before a poll counts as unanswered
UNREADABLE: Final = "UnreadableAnswer"
_EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException"})
_SHOWN: Final = 200  # characters of an answer that is quoted in an error
_ALL: Final = ("All",)


class Call(msgspec.Struct, frozen=True):
    """One request, ready to be signed.

    Attributes:
        operation: SQS's name of it.
        body: JSON.
        decode: turns a successful answer into what the caller gets; its errors are `msgspec.MsgspecError`.
        time_limit: seconds for the whole exchange, from the first byte sent to the last one read.
    """

    operation: str
    body: bytes
    decode: Callable[[Answer], Any]
    time_limit: float


class Resend(enum.Enum):
    """Why a request that was refused may be sent once more at once."""

    NEW_KEYS = "the credentials had expired: renew them first"
    NEW_TIME = "our clock was off: the server's time is known now"


class Wire:
    """What all requests to one endpoint share.

    Args:
        settings: where SQS is and who we are.
        clock: tells the time for signatures.

    Thread: any, several at once.
    """

    def __init__(self, settings: Settings, *, clock: Clock = SYSTEM) -> None:
        target = target_of(settings.endpoint_url)
        self._settings = settings
        self._clock = clock
        self._skew = 0.0  # seconds by which the server's clock is ahead of ours, once it has refused our time
        agent = f"hadoken/{hadoken.__version__}"
        self._signer = Signer(settings.region, target.name, path=target.path, user_agent=agent)

    # ---- requests ----------------------------------------------------------------------------------------------------

    def receive(self, request: Receive) -> Call:
        """ReceiveMessage; gives `Received`."""
        asked: dict[str, object] = {
            "QueueUrl": request.queue_url,
            "MaxNumberOfMessages": request.max_messages,
            "WaitTimeSeconds": request.wait_time,
            "VisibilityTimeout": request.visibility_timeout,
            "MessageSystemAttributeNames": _ALL,
            "MessageAttributeNames": _ALL,
        }
        if request.attempt_id is not None:
            asked["ReceiveRequestAttemptId"] = request.attempt_id
        decode = _received_and_checked if self._settings.check_md5 else _received
        return Call("ReceiveMessage", _json(asked), decode, request.wait_time + POLL_GRACE)

    def delete_batch(self, request: DeleteBatch) -> Call:
        """DeleteMessageBatch; gives `BatchAnswer`."""
        entries = [{"Id": str(at), "ReceiptHandle": handle} for at, handle in enumerate(request.handles)]
        return self._batch("DeleteMessageBatch", request.queue_url, entries)

    def change_visibility_batch(self, request: ChangeVisibilityBatch) -> Call:
        """ChangeMessageVisibilityBatch; gives `BatchAnswer`."""
        entries = [
            {"Id": str(at), "ReceiptHandle": handle, "VisibilityTimeout": seconds}
            for at, (handle, seconds) in enumerate(request.entries)
        ]
        return self._batch("ChangeMessageVisibilityBatch", request.queue_url, entries)

    def send_batch(self, request: SendBatch) -> Call:
        """SendMessageBatch; gives `SentBatch`."""
        count = len(request.entries)
        entries = [{"Id": str(at), **_entry(entry)} for at, entry in enumerate(request.entries)]
        body = _json({"QueueUrl": request.queue_url, "Entries": entries})
        return Call("SendMessageBatch", body, lambda answer: _sent(answer, count), self._settings.call_timeout)

    def queue_url(self, name: str) -> Call:
        """GetQueueUrl; gives the URL."""
        return self._plain("GetQueueUrl", {"QueueName": name}, lambda answer: _field(answer, "QueueUrl", str))

    def queue_attributes(self, queue_url: str) -> Call:
        """GetQueueAttributes, all of them; gives a mapping of strings."""
        asked = {"QueueUrl": queue_url, "AttributeNames": _ALL}
        return self._plain("GetQueueAttributes", asked, _attributes)

    def any_call(self, operation: str, parameters: Mapping[str, object]) -> Call:
        """Any operation of the service: JSON in, JSON out, as the service model names it."""
        return self._plain(operation, parameters, _plain)

    def _plain(self, operation: str, parameters: Mapping[str, object], decode: Callable[[Answer], Any]) -> Call:
        wait = parameters.get("WaitTimeSeconds", 0)
        limit = self._settings.call_timeout + (wait if isinstance(wait, int) else 0)
        return Call(operation, _json(parameters), decode, limit)

    def _batch(self, operation: str, queue_url: str, entries: Sequence[Mapping[str, object]]) -> Call:
        count = len(entries)
        body = _json({"QueueUrl": queue_url, "Entries": entries})
        return Call(operation, body, lambda answer: _batch_answer(answer, count), self._settings.call_timeout)

    def request(self, call: Call) -> bytes:
        """The whole HTTP request, signed with the keys and the time of now.

        Raises:
            SQSDenied: there are no credentials.
        """
        at = self._clock.wall() + self._skew
        return (
            self._signer.head(self._settings.credentials.keys, f"AmazonSQS.{call.operation}", call.body, at) + call.body
        )

    # ---- answers -----------------------------------------------------------------------------------------------------

    def read(self, call: Call, answer: Answer) -> Any:  # noqa: ANN401 -- what `call.decode` gives
        """What a call's answer says.

        Raises:
            SQSError: SQS refused the request, or the answer is not SQS's.
        """
        if answer.status != 200:
            raise self._refused(call, answer)
        try:
            return call.decode(answer)
        except msgspec.MsgspecError as error:
            raise _unreadable(call, answer, f"the answer is not what SQS sends: {error}") from None

    def should_resend(self, error: SQSError) -> Resend | None:
        """Whether what was refused so may be sent once more at once, after what the answer says."""
        if fault_of(error) is not Fault.REFRESH:
            return None
        return Resend.NEW_KEYS if error.code in _EXPIRED else Resend.NEW_TIME

    def _refused(self, call: Call, answer: Answer) -> SQSError:
        try:
            told = _ERROR.decode(answer.body)
        except msgspec.MsgspecError:
            return _unreadable(call, answer, _description(answer))
        legacy = answer.header(b"x-amzn-query-error").partition(";")[0]
        code = told.type or legacy
        if not code:
            return _unreadable(call, answer, _description(answer))
        error = sqs_error(
            call.operation,
            code,
            told.message or told.Message or "",
            status=answer.status,
            request_id=answer.header(b"x-amzn-requestid"),
        )
        if self.should_resend(error) is Resend.NEW_TIME and answer.date is not None:
            self._skew = answer.date - self._clock.wall()
            log.info("the clock of this machine differs from SQS's by %.0f s; SQS's is used to sign", self._skew)
        return error


# ---- answers of single operations ------------------------------------------------------------------------------------


class _Messages(msgspec.Struct):
    Messages: list[ReceivedMessage] | None = None


class _Error(msgspec.Struct):
    type: str | None = msgspec.field(name="__type", default=None)
    message: str | None = None
    Message: str | None = None


class _Done(msgspec.Struct):
    Id: str


class _Sent(msgspec.Struct):
    Id: str
    MessageId: str = ""


class _Failed(msgspec.Struct):
    Id: str
    Code: str | None = None
    Message: str | None = None
    SenderFault: bool | None = None


class _Batch(msgspec.Struct):
    Successful: list[_Done] | None = None
    Failed: list[_Failed] | None = None


class _SentBatch(msgspec.Struct):
    Successful: list[_Sent] | None = None
    Failed: list[_Failed] | None = None


_ENCODER: Final = msgspec.json.Encoder()
_MESSAGES: Final = msgspec.json.Decoder(_Messages)
_ERROR: Final = msgspec.json.Decoder(_Error)
_BATCH: Final = msgspec.json.Decoder(_Batch)
_SENT: Final = msgspec.json.Decoder(_SentBatch)
_ANY: Final = msgspec.json.Decoder(dict[str, Any])
_POSITIONS: Final = tuple(str(at) for at in range(10))


def _json(value: object) -> bytes:
    return _ENCODER.encode(value)


def _received(answer: Answer) -> Received:
    messages = _MESSAGES.decode(answer.body).Messages if answer.body else None
    return Received(messages or (), answer.date)


class _Checked(msgspec.Struct):
    Body: str = ""
    MD5OfBody: str | None = None


class _CheckedMessages(msgspec.Struct):
    Messages: list[_Checked] | None = None


_CHECKED: Final = msgspec.json.Decoder(_CheckedMessages)


def _received_and_checked(answer: Answer) -> Received:
    """Leave out messages whose body is not what was sent: their lease lapses, and SQS gives them out again."""
    received = _received(answer)
    if not received.messages:
        return received
    digests = _CHECKED.decode(answer.body).Messages or ()
    whole: list[ReceivedMessage] = []
    for message, told in zip(received.messages, digests, strict=True):
        digest = md5(message.body.encode(), usedforsecurity=False).hexdigest()
        if told.MD5OfBody in (None, digest):
            whole.append(message)
        else:
            log.error(
                "message %s: its body arrived damaged (MD5 %s, not %s)", message.message_id, digest, told.MD5OfBody
            )
    return Received(whole, received.server_time)


def _batch_answer(answer: Answer, count: int) -> BatchAnswer:
    told = _BATCH.decode(answer.body or b"{}")
    done = {one.Id for one in told.Successful or ()}
    if not told.Failed and len(done) == count and done.issuperset(_POSITIONS[:count]):
        return BatchAnswer()
    return BatchAnswer(_failures(told.Failed or (), done, count))


def _sent(answer: Answer, count: int) -> SentBatch:
    told = _SENT.decode(answer.body or b"{}")
    known = dict(zip(_POSITIONS[:count], range(count), strict=True))
    sent = {known[one.Id]: one.MessageId for one in told.Successful or () if one.Id in known}
    return SentBatch(sent, _failures(told.Failed or (), {str(at) for at in sent}, count))


def _failures(failed: Sequence[_Failed], done: set[str], count: int) -> Mapping[int, EntryFailure]:
    """What failed, by position; an entry of which the answer says nothing may have failed, so it is tried again."""
    told = {one.Id: one for one in failed}
    failures: dict[int, EntryFailure] = {}
    for at, name in enumerate(_POSITIONS[:count]):
        one = told.get(name)
        if one is not None:
            failures[at] = EntryFailure(one.Code or "", one.Message or "", bool(one.SenderFault))
        elif name not in done:
            failures[at] = EntryFailure(NO_ANSWER, "the answer does not say", sender_fault=False)
    return failures


def _entry(entry: SendEntry) -> dict[str, object]:
    fields: dict[str, object] = {"MessageBody": entry.body}
    if entry.attributes:
        fields["MessageAttributes"] = {name: _attribute(value) for name, value in entry.attributes.items()}
    if entry.delay is not None:
        fields["DelaySeconds"] = entry.delay
    if entry.message_group_id is not None:
        fields["MessageGroupId"] = entry.message_group_id
    if entry.deduplication_id is not None:
        fields["MessageDeduplicationId"] = entry.deduplication_id
    return fields


def _attribute(value: Attribute) -> dict[str, object]:
    if value.text is not None:
        return {"DataType": value.type, "StringValue": value.text}
    return {"DataType": value.type, "BinaryValue": value.data}


def _plain(answer: Answer) -> dict[str, Any]:
    return _ANY.decode(answer.body) if answer.body else {}


def _field(answer: Answer, name: str, kind: type[Any]) -> Any:  # noqa: ANN401 -- of the type asked for
    return msgspec.convert(_plain(answer).get(name), kind)


def _attributes(answer: Answer) -> Mapping[str, str]:
    return msgspec.convert(_plain(answer).get("Attributes") or {}, dict[str, str])


def _unreadable(call: Call, answer: Answer, reason: str) -> SQSUnavailable:
    return SQSUnavailable(
        f"{call.operation} failed: {reason}",
        operation=call.operation,
        code=UNREADABLE,
        request_id=answer.header(b"x-amzn-requestid"),
        transient=True,
    )


def _description(answer: Answer) -> str:
    """An answer of somebody else in words."""
    where = answer.header(b"location")
    if 300 <= answer.status < 400:
        return f"HTTP {answer.status}, a redirect to {where[:_SHOWN]!r}; SQS never redirects"
    text = answer.body[:_SHOWN].decode("utf-8", "replace")
    kind = answer.header(b"content-type") or "no content type"
    return f"HTTP {answer.status} with {kind}, not from SQS: {text!r}"
