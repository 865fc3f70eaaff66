"""SQS's JSON protocol without I/O: requests as bytes, answers as the data of `api`.

Rules of this file:
- It opens, waits for and keeps nothing: two drivers share it, `fast` on a loop and `sockets` in the calling thread.
- An answer that is not SQS's own (a page in HTML, a redirect, half a JSON) says nothing about the request: it is an
  `SQSUnavailable`, worth another try.
- Whatever is in an answer, reading it gives the data of `api` or an `SQSError`, and no other error.

Source: AWS JSON 1.0 protocol and the service model of SQS in botocore.
"""

from __future__ import annotations

import enum
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from hadoken.clock import SYSTEM, Clock
from hadoken.errors import SQSError, SQSUnavailable
from hadoken.sqs import reading
from hadoken.sqs.answer import Answer
from hadoken.sqs.api import (
    ChangeVisibilityBatch,
    DeleteBatch,
    Fault,
    Receive,
    SendBatch,
    classify,
    fault_of,
    sqs_error,
)
from hadoken.sqs.entries import Entry, to_change, to_delete, to_send
from hadoken.sqs.settings import POLL_GRACE, Settings
from hadoken.sqs.sigv4 import Signer
from hadoken.sqs.target import target_of
from hadoken.version import __version__

log = logging.getLogger("hadoken.sqs")

UNREADABLE: Final = "UnreadableAnswer"
LARGE: Final = 1024 * 1024  # bytes; reading one takes a loop about 2 ms, guess
_EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException"})
_SHOWN: Final = 200  # characters of an answer that is quoted in an error
_ALL: Final = ("All",)


class Call(msgspec.Struct, frozen=True):
    """One request, ready to be signed.

    Attributes:
        operation: SQS's name of it.
        body: JSON.
        decode: turns a successful answer into what the caller gets; its errors are `reading.UNREADABLE_ERRORS`.
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

    Raises:
        ConfigurationError: the endpoint or the region cannot stand in a request.

    Thread: any, several at once.
    """

    def __init__(self, settings: Settings, *, clock: Clock = SYSTEM) -> None:
        target = target_of(settings.endpoint_url)
        self._settings = settings
        self._clock = clock
        self._skew = 0.0  # seconds by which the server's clock is ahead of ours, once it has refused our time
        agent = f"hadoken/{__version__}"
        self._signer = Signer(settings.region, target.name, path=target.path, user_agent=agent)

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
        decode = reading.received_and_checked if self._settings.check_md5 else reading.received
        return Call("ReceiveMessage", _json(asked), decode, request.wait_time + POLL_GRACE)

    def delete_batch(self, request: DeleteBatch) -> Call:
        """DeleteMessageBatch; gives `BatchAnswer`."""
        return self._batch("DeleteMessageBatch", request.queue_url, to_delete(request))

    def change_visibility_batch(self, request: ChangeVisibilityBatch) -> Call:
        """ChangeMessageVisibilityBatch; gives `BatchAnswer`."""
        return self._batch("ChangeMessageVisibilityBatch", request.queue_url, to_change(request))

    def send_batch(self, request: SendBatch) -> Call:
        """SendMessageBatch; gives `SentBatch`."""
        body = _json({"QueueUrl": request.queue_url, "Entries": to_send(request)})
        decode = (
            partial(reading.sent_and_checked, request.entries)
            if self._settings.check_md5
            else partial(reading.sent, len(request.entries))
        )
        return Call("SendMessageBatch", body, decode, self._settings.call_timeout)

    def queue_url(self, name: str) -> Call:
        """GetQueueUrl; gives the URL."""
        return self._plain("GetQueueUrl", {"QueueName": name}, reading.queue_url)

    def queue_attributes(self, queue_url: str) -> Call:
        """GetQueueAttributes, all of them; gives a mapping of strings."""
        asked = {"QueueUrl": queue_url, "AttributeNames": _ALL}
        return self._plain("GetQueueAttributes", asked, reading.queue_attributes)

    def any_call(self, operation: str, parameters: Mapping[str, object]) -> Call:
        """Any operation of the service: JSON in, JSON out, as the service model names it.

        Raises:
            ValueError: the operation is no name.
        """
        if not (operation.isascii() and operation.isalnum()):
            raise ValueError(f"{operation!r} is no operation of SQS")
        return self._plain(operation, parameters, reading.plain)

    def request(self, call: Call) -> bytes:
        """The whole HTTP request, signed with the keys and the time of now.

        Raises:
            SQSDenied: there are no credentials, or none that can be sent.
        """
        at = self._clock.wall() + self._skew
        keys = self._settings.credentials.keys
        return self._signer.head(keys, f"AmazonSQS.{call.operation}", call.body, at) + call.body

    def read(self, call: Call, answer: Answer) -> Any:  # noqa: ANN401 -- what `call.decode` gives
        """What a call's answer says.

        Raises:
            SQSError: SQS refused the request, or the answer is not SQS's.
        """
        if answer.status != 200:
            raise self._refused(call, answer)
        try:
            return call.decode(answer)
        except reading.UNREADABLE_ERRORS as error:
            raise _unreadable(call, answer, _unexpected(answer, error)) from None

    @staticmethod
    def is_large(answer: Answer) -> bool:
        """Whether reading an answer takes so long that a loop should have it read elsewhere."""
        return len(answer.body) > LARGE

    def should_resend(self, error: SQSError) -> Resend | None:
        """Whether what was refused so may be sent once more at once, after what the answer says.

        Both drivers do it once for each reason and request.
        """
        if fault_of(error) is not Fault.REFRESH:
            return None
        return Resend.NEW_KEYS if error.code in _EXPIRED else Resend.NEW_TIME

    def _plain(self, operation: str, parameters: Mapping[str, object], decode: Callable[[Answer], Any]) -> Call:
        wait = parameters.get("WaitTimeSeconds", 0)
        limit = self._settings.call_timeout + (wait if isinstance(wait, int) else 0)
        return Call(operation, _json(parameters), decode, limit)

    def _batch(self, operation: str, queue_url: str, entries: Sequence[Entry]) -> Call:
        decode = partial(reading.batch_answer, len(entries))
        return Call(operation, _json({"QueueUrl": queue_url, "Entries": entries}), decode, self._settings.call_timeout)

    def _refused(self, call: Call, answer: Answer) -> SQSError:
        try:
            told = reading.refusal(answer)
        except reading.UNREADABLE_ERRORS:
            return _unreadable(call, answer, _description(answer))
        code = told.type or answer.header(b"x-amzn-query-error").partition(";")[0]
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


_ENCODER: Final = msgspec.json.Encoder()


def _json(value: object) -> bytes:
    try:
        return _ENCODER.encode(value)
    except UnicodeEncodeError:  # half a pair of surrogates: written as botocore does, for SQS to refuse that entry
        return json.dumps(msgspec.to_builtins(value)).encode()


def _unreadable(call: Call, answer: Answer, reason: str) -> SQSError:
    request_id = answer.header(b"x-amzn-requestid")
    if classify("", status=answer.status) is Fault.THROTTLE:  # said by a proxy, with a page of its own
        return sqs_error(call.operation, "", reason, status=answer.status, request_id=request_id)
    return SQSUnavailable(
        f"{call.operation} failed: {reason}",
        operation=call.operation,
        code=UNREADABLE,
        request_id=request_id,
        transient=True,
    )


def _unexpected(answer: Answer, error: Exception) -> str:
    """Why a successful answer cannot be read. JSON is not quoted: it holds messages."""
    if coding := answer.header(b"content-encoding"):
        return f"the answer is encoded as {coding[:_SHOWN]!r}, which was not asked for"
    if answer.body.lstrip().startswith(b"{"):
        return f"the answer is not what SQS sends: {error}"
    return _description(answer)


def _description(answer: Answer) -> str:
    """An answer of somebody else in words."""
    where = answer.header(b"location")
    if 300 <= answer.status < 400:
        return f"HTTP {answer.status}, a redirect to {where[:_SHOWN]!r}; SQS never redirects"
    text = answer.body[:_SHOWN].decode("utf-8", "replace")
    kind = answer.header(b"content-type")[:_SHOWN] or "no content type"
    return f"HTTP {answer.status} with {kind}, not from SQS: {text!r}"
