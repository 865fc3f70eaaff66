"""What SQS's answers say, operation by operation. No I/O.

Rules of this file:
- An answer is decoded into the data of `api` in one go. What is unknown is left out, and null is missing, as botocore
  has it.
- Anything else that is not as in the service model makes the answer unreadable: `UNREADABLE_ERRORS`, which
  `Wire.read` turns into an `SQSError`.

Source: service model of SQS in botocore.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from hadoken.sqs.answer import Answer
from hadoken.sqs.api import (
    Attribute,
    BatchAnswer,
    EntryFailure,
    Received,
    ReceivedMessage,
    SendEntry,
    SentBatch,
)
from hadoken.sqs.digests import attributes_digest, body_digest
from hadoken.sqs.entries import IDS, failures, sent_ids

log = logging.getLogger("hadoken.sqs")

# What decoding raises. A deeply nested value ends in a RecursionError, bytes that are no UTF-8 in a ValueError.
UNREADABLE_ERRORS: Final = (msgspec.MsgspecError, RecursionError, ValueError)
DAMAGED: Final = "DamagedMessage"
_ALL_OF: Final = {count: set(IDS[:count]) for count in range(1, len(IDS) + 1)}

T = TypeVar("T")


class Refusal(msgspec.Struct):
    """The body of an error; AWS writes its words in two ways."""

    type: str | None = msgspec.field(name="__type", default=None)
    message: str | None = None
    Message: str | None = None


class _Messages(msgspec.Struct):
    Messages: list[ReceivedMessage] | None = None


class _CheckedMessage(ReceivedMessage, frozen=True):
    body_digest: str | None = msgspec.field(name="MD5OfBody", default=None)
    attributes_digest: str | None = msgspec.field(name="MD5OfMessageAttributes", default=None)


class _CheckedMessages(msgspec.Struct):
    Messages: list[_CheckedMessage] | None = None


class _Done(msgspec.Struct):
    Id: str


class _Sent(msgspec.Struct):
    Id: str
    MessageId: str = ""
    MD5OfMessageBody: str | None = None
    MD5OfMessageAttributes: str | None = None


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


_MESSAGES: Final = msgspec.json.Decoder(_Messages)
_CHECKED: Final = msgspec.json.Decoder(_CheckedMessages)
_REFUSAL: Final = msgspec.json.Decoder(Refusal)
_BATCH: Final = msgspec.json.Decoder(_Batch)
_SENT: Final = msgspec.json.Decoder(_SentBatch)
_ANY: Final = msgspec.json.Decoder(dict[str, Any])


def received(answer: Answer) -> Received:
    """The messages of a receive."""
    messages = _decoded(_MESSAGES, answer.body).Messages if answer.body else None
    return Received(messages or (), answer.date)


def received_and_checked(answer: Answer) -> Received:
    """The messages of a receive without those that were damaged: their lease lapses, and SQS gives them out again."""
    messages = _decoded(_CHECKED, answer.body).Messages if answer.body else None
    whole = [one for one in messages or () if is_whole(one, one.body_digest, one.attributes_digest)]
    return Received(whole, answer.date)


def batch_answer(count: int, answer: Answer) -> BatchAnswer:
    """What became of the entries of a delete or visibility batch."""
    told = _decoded(_BATCH, answer.body or b"{}")
    done = {one.Id for one in told.Successful or ()}
    if not told.Failed and done == _ALL_OF.get(count):
        return BatchAnswer()
    return BatchAnswer(failures(_by_id(told.Failed), done, count))


def sent(count: int, answer: Answer) -> SentBatch:
    """What became of the entries of a send batch."""
    told = _decoded(_SENT, answer.body or b"{}")
    return _sent(told.Successful or (), _by_id(told.Failed), count)


def sent_and_checked(entries: Sequence[SendEntry], answer: Answer) -> SentBatch:
    """What became of the entries of a send batch; what SQS got damaged has failed, and may be sent again."""
    told = _decoded(_SENT, answer.body or b"{}")
    failed = _by_id(told.Failed)
    known = dict(zip(IDS, entries, strict=False))
    for one in told.Successful or ():
        if one.Id in known:
            failure = damage(known[one.Id], one.MD5OfMessageBody, one.MD5OfMessageAttributes)
            if failure is not None:
                failed.setdefault(one.Id, failure)
    return _sent(told.Successful or (), failed, len(entries))


def plain(answer: Answer) -> dict[str, Any]:
    """The JSON of an answer as it is."""
    return _decoded(_ANY, answer.body) if answer.body else {}


def queue_url(answer: Answer) -> str:
    """The URL of a queue."""
    return msgspec.convert(plain(answer).get("QueueUrl"), str)


def queue_attributes(answer: Answer) -> Mapping[str, str]:
    """The attributes of a queue."""
    return msgspec.convert(plain(answer).get("Attributes") or {}, dict[str, str])


def refusal(answer: Answer) -> Refusal:
    """The body of an error."""
    return _decoded(_REFUSAL, answer.body)


def is_whole(message: ReceivedMessage, body_told: str | None, attributes_told: str | None) -> bool:
    """Whether a message has the digests that SQS tells of it; one that has not is logged."""
    difference = _difference(message.body, body_told, message.attributes, attributes_told)
    if difference:
        log.error("message %s arrived damaged and is left for another receive: %s", message.message_id, difference)
    return not difference


def damage(entry: SendEntry, body_told: str | None, attributes_told: str | None) -> EntryFailure | None:
    """The failure of an entry that SQS has other digests of than we; None where they agree, or none are told."""
    difference = _difference(entry.body, body_told, entry.attributes, attributes_told)
    return EntryFailure(DAMAGED, f"SQS got it damaged: {difference}", sender_fault=False) if difference else None


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError:  # perhaps only for a null, which no answer of SQS's own has
        whole = _without_nulls(_ANY.decode(body))
        return decoder.decode(msgspec.json.encode(whole))


def _without_nulls(value: Any) -> Any:  # noqa: ANN401 -- any JSON
    if isinstance(value, dict):
        return {name: _without_nulls(one) for name, one in value.items() if one is not None}
    if isinstance(value, list):
        return [_without_nulls(one) for one in value]
    return value


def _by_id(failed: Sequence[_Failed] | None) -> dict[str, EntryFailure]:
    return {one.Id: EntryFailure(one.Code or "", one.Message or "", bool(one.SenderFault)) for one in failed or ()}


def _sent(done: Sequence[_Sent], failed: Mapping[str, EntryFailure], count: int) -> SentBatch:
    told = {one.Id: one.MessageId for one in done}
    found = failures(failed, told, count)
    return SentBatch(sent_ids(told, found, count), found)


def _difference(body: str, body_told: str | None, attributes: Mapping[str, Attribute], told: str | None) -> str:
    """In words, what has another digest than the other side says; empty where nothing has, or nothing is said."""
    if body_told is not None and (digest := body_digest(body)) != body_told:
        return f"the MD5 of its body is {digest} here and {body_told} there"
    if told is not None and (own := attributes_digest(_parts(attributes))) != told:
        return f"the MD5 of its attributes is {own} here and {told} there"
    return ""


def _parts(attributes: Mapping[str, Attribute]) -> list[tuple[str, str, str | bytes]]:
    return [(name, one.type, one.text if one.text is not None else one.data or b"") for name, one in attributes.items()]
