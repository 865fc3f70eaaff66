"""Requests signed, answers read: digests, clocks that differ, keys that expire, and answers that are not SQS's."""

from __future__ import annotations

import email.utils
import gc
import logging
import re
import weakref
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from hadoken.clock import VirtualClock
from hadoken.errors import ConfigurationError, SQSDenied, SQSError, SQSThrottled, SQSUnavailable
from hadoken.sqs.answer import Answer, AnswerReader
from hadoken.sqs.api import (
    NO_CREDENTIALS,
    Attribute,
    ChangeVisibilityBatch,
    DeleteBatch,
    EntryFailure,
    Fault,
    Receive,
    ReceivedMessage,
    SendBatch,
    SendEntry,
)
from hadoken.sqs.credentials import Credentials, Keys
from hadoken.sqs.digests import attributes_digest, body_digest
from hadoken.sqs.reading import DAMAGED
from hadoken.sqs.settings import Settings
from hadoken.sqs.wire import LARGE, UNREADABLE, Call, Resend, Wire

JSON = {b"content-type": b"application/x-amz-json-1.0", b"x-amzn-requestid": b"r-1"}
RECEIVE = Receive("https://sqs/1/q", 10, 20, 30)


def wire(*, clock: VirtualClock | None = None, keys: Keys | None = None, check_md5: bool = False) -> Wire:
    """A wire to nowhere."""
    credentials = Credentials.fixed(keys or Keys("AK", "SK", None))
    settings = Settings("https://sqs.eu-central-1.amazonaws.com", "eu-central-1", credentials, check_md5=check_md5)
    return Wire(settings, clock=clock or VirtualClock())


def answer(value: object, status: int = 200, **headers: str) -> Answer:
    """An answer of SQS."""
    named = {name.replace("_", "-").encode(): text.encode() for name, text in headers.items()}
    return Answer(status, {**JSON, **named}, msgspec.json.encode(value), keep_alive=True)


def refused(at: Wire, call: Call, reply: Answer) -> SQSError:
    """The error that an answer is."""
    with pytest.raises(SQSError) as caught:
        at.read(call, reply)
    assert caught.value.operation == call.operation
    assert caught.value.__cause__ is None
    return caught.value


# ---- digests ---------------------------------------------------------------------------------------------------------

VECTORS = [
    ({"attribName1": Attribute("String", "attribValue 1")}, "19e27d4e946b072f3f58da80d94fd778"),
    ({"binaryAttribute": Attribute("Binary", data=b"Hello binary world!")}, "31a92b15d92f8db860eda32aceb656c3"),
]


@pytest.mark.parametrize(("attributes", "digest"), VECTORS)
def test_digests_of_attributes_are_those_of_aws(attributes: Mapping[str, Attribute], digest: str) -> None:
    """The digest of one attribute of each kind is the one that is known of AWS; of none there is none."""
    parts = [(name, one.type, one.text if one.data is None else one.data) for name, one in attributes.items()]
    assert attributes_digest([(name, kind, value) for name, kind, value in parts if value is not None]) == digest
    assert attributes_digest([]) is None


def message(number: int, body: str, **told: Any) -> dict[str, Any]:
    """A message as SQS gives it, with whatever digests it is told to have."""
    return {"MessageId": f"m-{number}", "ReceiptHandle": "h", "Body": body, **told}


def test_damaged_messages_are_left_out_and_said(caplog: pytest.LogCaptureFixture) -> None:
    """A body or attributes with another digest than SQS says are not handed out; what has none told is."""
    (good, digest), _ = VECTORS
    attributes = msgspec.to_builtins(good)
    reply = answer(
        {
            "Messages": [
                message(0, "whole", MD5OfBody=body_digest("whole")),
                message(1, "damaged", MD5OfBody=body_digest("as sent")),
                message(2, "untold"),
                message(3, "x", MessageAttributes=attributes, MD5OfMessageAttributes=digest),
                message(4, "x", MessageAttributes=attributes, MD5OfMessageAttributes=VECTORS[1][1]),
                message(5, "x", MD5OfMessageAttributes=digest),
                message(6, "x", MD5OfBody=None, MD5OfMessageAttributes=None),
            ]
        }
    )
    checked, careless = wire(check_md5=True), wire()
    with caplog.at_level(logging.ERROR, "hadoken.sqs"):
        kept = checked.read(checked.receive(RECEIVE), reply).messages
    assert [one.message_id for one in kept] == ["m-0", "m-2", "m-3", "m-6"]
    assert [re.findall(r"m-\d", text) for text in caplog.messages] == [["m-1"], ["m-4"], ["m-5"]]
    assert len(careless.read(careless.receive(RECEIVE), reply).messages) == 7
    assert checked.read(checked.receive(RECEIVE), answer({})).messages == []


def test_what_sqs_got_damaged_has_failed_and_may_be_sent_again() -> None:
    """A send whose digests differ is a failed entry worth another try; a failure that SQS tells itself stays that."""
    attributes, digest = VECTORS[0]
    entries = [SendEntry("a"), SendEntry("b"), SendEntry("c", attributes), SendEntry("d", attributes), SendEntry("e")]
    told = [
        {"Id": "0", "MessageId": "m-0", "MD5OfMessageBody": body_digest("a")},
        {"Id": "1", "MessageId": "m-1", "MD5OfMessageBody": body_digest("a")},
        {"Id": "2", "MessageId": "m-2", "MD5OfMessageAttributes": digest},
        {"Id": "3", "MessageId": "m-3", "MD5OfMessageAttributes": VECTORS[1][1]},
        {"Id": "4", "MessageId": "m-4", "MD5OfMessageBody": body_digest("x")},
        {"Id": "7", "MessageId": "m-7", "MD5OfMessageBody": body_digest("x")},
    ]
    reply = answer({"Successful": told, "Failed": [{"Id": "4", "Code": "InternalError", "SenderFault": False}]})
    checked, careless = wire(check_md5=True), wire()
    batch = SendBatch("u", entries)
    sent = checked.read(checked.send_batch(batch), reply)
    assert sent.sent == {0: "m-0", 2: "m-2"}
    assert {at: (one.code, one.fault) for at, one in sent.failed.items()} == {
        1: (DAMAGED, Fault.TRANSIENT),
        3: (DAMAGED, Fault.TRANSIENT),
        4: ("InternalError", Fault.TRANSIENT),
    }
    sent = careless.read(careless.send_batch(batch), reply)
    assert (sorted(sent.sent), sent.failed) == ([0, 1, 2, 3], {4: EntryFailure("InternalError", sender_fault=False)})


# ---- clocks and keys -------------------------------------------------------------------------------------------------


class Strict:
    """SQS as far as it looks at the date of a signature, with a clock of its own."""

    def __init__(self, ours: VirtualClock, ahead: float) -> None:
        self.ahead = ahead
        self._ours = ours

    def answer(self, request: bytes, date: str | None = None) -> Answer:
        """Refuse what was signed more than 15 minutes off, with our time in the header Date."""
        found = re.search(rb"X-Amz-Date: (\d{8}T\d{6}Z)\r\n", request)
        assert found
        signed = email.utils.parsedate_to_datetime("{1} {0}".format(*_words(found[1].decode())))
        now = self._ours.wall() + self.ahead
        told = email.utils.formatdate(now, usegmt=True) if date is None else date
        if abs(signed.timestamp() - now) <= 900:
            return answer({}, date=told)
        kind = {"__type": "com.amazon.coral.service#InvalidSignatureException"}
        return answer({**kind, "message": f"Signature expired: {found[1].decode()} is now earlier"}, 403, date=told)


def _words(date: str) -> tuple[str, str]:
    """Time and day of an X-Amz-Date, as a date of mail has them."""
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    day = f"{date[6:8]} {months[int(date[4:6]) - 1]} {date[:4]}"
    return f"{date[9:11]}:{date[11:13]}:{date[13:15]} +0000", day


@pytest.mark.parametrize("ahead", [3600.0, -3600.0, 10 * 365 * 86_400.0])
def test_a_clock_that_differs_is_learnt_from_the_refusal(ahead: float) -> None:
    """A server an hour before or after us refuses once and then no more; it is learnt again when that changes."""
    clock = VirtualClock()
    ours, server = wire(clock=clock), Strict(clock, ahead)
    call = ours.receive(RECEIVE)
    for _ in range(2):
        error = refused(ours, call, server.answer(ours.request(call)))
        assert (ours.should_resend(error), error.transient) == (Resend.NEW_TIME, True)
        for _ in range(3):
            assert ours.read(call, server.answer(ours.request(call))).messages == ()
            clock.advance(1000)
        server.ahead += 7200


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_date_that_is_missing_or_nonsense_changes_nothing(date: str) -> None:
    """A refusal without a time that can be believed leaves our own, or what was learnt before."""
    clock = VirtualClock()
    ours, server = wire(clock=clock), Strict(clock, 3600)
    call = ours.receive(RECEIVE)
    before = ours.request(call)
    refused(ours, call, server.answer(before, date))
    assert ours.request(call) == before
    refused(ours, call, server.answer(before))
    learnt = ours.request(call)
    assert learnt != before
    server.ahead = -3600
    refused(ours, call, server.answer(learnt, date))
    assert ours.request(call) == learnt


@pytest.mark.parametrize(
    ("code", "words", "resend"),
    [
        ("com.amazonaws.sqs#ExpiredToken", "The security token is expired", Resend.NEW_KEYS),
        ("ExpiredTokenException", "", Resend.NEW_KEYS),
        ("RequestTimeTooSkewed", "", Resend.NEW_TIME),
        ("RequestExpired", "", Resend.NEW_TIME),
        ("SignatureDoesNotMatch", "Signature not yet current: x", Resend.NEW_TIME),
        ("SignatureDoesNotMatch", "The request signature we calculated does not match", None),
        ("AccessDenied", "", None),
        ("InternalError", "", None),
        ("QueueDoesNotExist", "", None),
    ],
)
def test_only_keys_and_clocks_are_worth_a_second_signature(code: str, words: str, resend: Resend | None) -> None:
    """What is refused for its signature alone may be sent again at once; all else is for the policy above the seam."""
    ours = wire()
    error = refused(ours, ours.receive(RECEIVE), answer({"__type": code, "Message": words}, 403))
    assert ours.should_resend(error) is resend
    assert error.request_id == "r-1"


def test_without_credentials_nothing_is_signed() -> None:
    """No keys, or keys that cannot be sent, are said as missing credentials, and the secret is not shown."""
    nobody = Settings("https://sqs", "eu-central-1", Credentials(lambda: None))
    with pytest.raises(SQSDenied) as caught:
        Wire(nobody).request(Wire(nobody).receive(RECEIVE))
    assert caught.value.code == NO_CREDENTIALS
    ours = wire(keys=Keys("AK", "hush\n", None))
    with pytest.raises(SQSDenied, match="AWS secret key holds a line break") as caught:
        ours.request(ours.receive(RECEIVE))
    assert (caught.value.code, "hush" in str(caught.value)) == (NO_CREDENTIALS, False)


def test_an_endpoint_that_cannot_stand_in_a_request_is_the_users_mistake() -> None:
    """A path with a space is found when the wire is made."""
    with pytest.raises(ConfigurationError, match="path of the SQS endpoint"):
        Wire(Settings("https://sqs/a b", "eu-central-1", Credentials.fixed(Keys("A", "S", None))))


# ---- answers that are not SQS's, or not as they should be ------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "headers", "body", "words"),
    [
        (
            502,
            {b"content-type": b"text/html"},
            b"<html>Bad\x00\xff</html>",
            r"HTTP 502 with text/html, not from SQS: '<h",
        ),
        (200, {b"content-type": b"text/html"}, b"<html>Log in</html>", "HTTP 200 with text/html, not from SQS"),
        (302, {b"location": b"http://evil/\n"}, b"", r"a redirect to 'http://evil/\\n'; SQS never redirects"),
        (307, {}, b'{"__type":""}', "a redirect to ''"),
        (204, {}, b"", "HTTP 204 with no content type"),
        (400, JSON, b"{}", "HTTP 400"),
        (400, JSON, b"[]", "HTTP 400"),
        (500, JSON, b'{"__type":5}', "HTTP 500"),
        (503, {}, b"", "HTTP 503 with no content type"),
        (200, {b"content-encoding": b"gzip", **JSON}, b"\x1f\x8b", "encoded as 'gzip', which was not asked for"),
        (200, JSON, b'{"Messages":[{"Mess', "not what SQS sends"),
        (200, JSON, b'{"Messages":{}}', "not what SQS sends"),
        (200, JSON, b'{"Messages":[null]}', "not what SQS sends"),
        (200, JSON, b'{"Messages":[{"MessageId":"m"}]}', "not what SQS sends"),
        (200, JSON, b'{"Messages":[{"MessageId":"m","ReceiptHandle":5}]}', "not what SQS sends"),
        (200, JSON, b"\xef\xbb\xbf{}", "HTTP 200"),
    ],
)
def test_an_answer_that_is_not_sqss_is_an_error_worth_another_try(
    status: int, headers: dict[bytes, bytes], body: bytes, words: str
) -> None:
    """Pages, redirects, halves and values of another type are errors with the operation and the reason."""
    ours = wire()
    error = refused(ours, ours.receive(RECEIVE), Answer(status, headers, body, keep_alive=True))
    assert isinstance(error, SQSUnavailable)
    assert (error.code, error.transient) == (UNREADABLE, True)
    assert str(error).startswith("ReceiveMessage failed: ")
    assert re.search(words, str(error))
    assert len(str(error)) < 500


def test_a_message_is_not_quoted_in_an_error() -> None:
    """An answer with messages that cannot be read is not shown: it is a user's data."""
    ours = wire()
    body = b'{"Messages":[{"Body":"private","MessageId":1}]}'
    for headers in (JSON, {}):
        assert "private" not in str(refused(ours, ours.receive(RECEIVE), Answer(200, headers, body, keep_alive=True)))


def test_a_page_that_says_too_many_requests_is_a_throttle() -> None:
    """A proxy that throttles in HTML is backed off from as SQS itself."""
    ours = wire()
    page = Answer(429, {b"content-type": b"text/html"}, b"<html>", keep_alive=True)
    assert isinstance(refused(ours, ours.receive(RECEIVE), page), SQSThrottled)


def test_an_error_is_named_by_its_shape_else_by_its_older_name() -> None:
    """The shape comes first; an imitation that gives only the older name is understood as well."""
    ours = wire()
    call = ours.receive(RECEIVE)
    legacy = "AWS.SimpleQueueService.NonExistentQueue;Sender"
    both = answer({"__type": "com.amazonaws.sqs#QueueDoesNotExist:x"}, 400, x_amzn_query_error=legacy)
    assert refused(ours, call, both).code == "QueueDoesNotExist"
    assert refused(ours, call, answer({}, 400, x_amzn_query_error=legacy)).code == "NonExistentQueue"


@pytest.mark.parametrize(("count", "read"), [("3", 3), ("", 1), ("x", 1), ("-1", 1), ("9" * 5000, 1), ("1.5", 1)])
def test_a_receive_count_that_is_none_counts_as_one(count: str, read: int) -> None:
    """What is no number is what is not said: the engine never stumbles over it."""
    assert ReceivedMessage("m", "h", "b", {"ApproximateReceiveCount": count}).receive_count == read


# ---- what is kept ----------------------------------------------------------------------------------------------------


def test_a_large_answer_is_known_as_one() -> None:
    """An answer above a mebibyte is read where no loop waits for it; ten usual messages are not."""
    assert not Wire.is_large(Answer(200, {}, b"x" * LARGE, keep_alive=True))
    assert Wire.is_large(Answer(200, {}, b"x" * (LARGE + 1), keep_alive=True))


class Kept(list[SendEntry]):
    """Entries that can be watched going."""


def test_nothing_of_a_call_outlives_it() -> None:
    """A call, its entries and its answer go with the last who holds them: wire and reader keep none of them."""
    ours = wire(check_md5=True)
    reader = AnswerReader()
    body = b'{"Successful":[{"Id":"0","MessageId":"m"}]}'
    gc.disable()
    try:
        entries = Kept([SendEntry("a")])
        gone = weakref.ref(entries)
        call = ours.send_batch(SendBatch("u", entries))
        ours.request(call)
        found = reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        assert found is not None
        assert ours.read(call, found).sent == {0: "m"}
        del call, entries, found
        assert gone() is None
    finally:
        gc.enable()
        reader.close()


def test_time_limits_leave_room_for_the_wait() -> None:
    """A poll may take its wait and two seconds more; all else what the settings say."""
    ours = wire()
    assert ours.receive(RECEIVE).time_limit == 22
    assert ours.any_call("ReceiveMessage", {"QueueUrl": "u", "WaitTimeSeconds": 20}).time_limit == 25
    for call in (
        ours.delete_batch(DeleteBatch("u", ["h"])),
        ours.change_visibility_batch(ChangeVisibilityBatch("u", [("h", 0)])),
        ours.send_batch(SendBatch("u", [SendEntry("a")])),
        ours.queue_url("q"),
        ours.queue_attributes("u"),
    ):
        assert call.time_limit == 5
