"""Signatures: what botocore signs is taken, and nothing that was changed since."""

from __future__ import annotations

import datetime as dt
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from hadoken.clock import VirtualClock
from hadoken.errors import InvalidOption
from hadoken.local.http.connection import HTTPRequest
from hadoken.local.http.sigv4 import SKEW, Denied, Signatures, access_keys

KEYS = {"AKLOCAL": "secret/with+signs", "other/with/slashes": "x"}
HOST = "127.0.0.1:9324"
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)  # where a VirtualClock begins
TARGET = "AmazonSQS.SendMessage"

names = st.from_regex(r"x-[a-z][a-z0-9\-]{0,12}", fullmatch=True).filter(lambda name: not name.startswith("x-am"))
values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40).map(str.strip)


class Signer(SigV4Auth):
    """botocore's signer at a time of ours."""

    def __init__(self, *args: Any, at: dt.datetime) -> None:
        super().__init__(*args)
        self._at = at

    def add_auth(self, request: AWSRequest) -> None:
        """Sign, as the one of botocore does, which asks the machine for the time."""
        request.context["timestamp"] = self._at.strftime("%Y%m%dT%H%M%SZ")
        self._modify_request_before_signing(request)
        canonical = self.canonical_request(request)
        signature = self.signature(self.string_to_sign(request, canonical), request)
        self._inject_signature_to_request(request, signature)


def signed(
    body: bytes = b"{}",
    *,
    path: str = "/",
    headers: dict[str, str] | None = None,
    key: str = "AKLOCAL",
    secret: str | None = None,
    token: str | None = None,
    region: str = "us-east-1",
    service: str = "sqs",
    at: dt.datetime = NOW,
) -> HTTPRequest:
    """A request as botocore signs it and as the server reads it."""
    wanted = {"X-Amz-Target": TARGET, "Content-Type": "application/x-amz-json-1.0", **(headers or {})}
    request = AWSRequest("POST", f"http://{HOST}{path}", headers=wanted, data=body)
    Signer(Credentials(key, secret or KEYS[key], token), service, region, at=at).add_auth(request)
    parts = urlsplit(request.url)
    return HTTPRequest(
        method=b"POST",
        path=parts.path + (f"?{parts.query}" if parts.query else ""),
        target=TARGET,
        content_type="application/x-amz-json-1.0",
        headers={
            b"host": HOST.encode(),
            **{name.lower().encode(): _bytes(value) for name, value in request.headers.items()},
        },
        body=body,
        keep_alive=True,
    )


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


@pytest.fixture(name="signatures", scope="module")
def _signatures() -> Signatures:
    return Signatures(KEYS, VirtualClock())


def refused(signatures: Signatures, request: HTTPRequest) -> Denied:
    """The refusal of a request that must be refused."""
    with pytest.raises(Denied) as caught:
        signatures.verify(request)
    assert caught.value.status == 403
    return caught.value


@given(
    body=st.binary(max_size=300),
    headers=st.dictionaries(names, values, max_size=4),
    key=st.sampled_from(sorted(KEYS)),
    token=st.none() | st.from_regex(r"[A-Za-z0-9+/=]{1,60}", fullmatch=True),
    region=st.sampled_from(["us-east-1", "eu-central-1", "local"]),
    path=st.sampled_from(["/", "/000000000000/queue", "/a%20b/../c//d/", "/?b=2&a=1&a=0", "/~x-y_z.w", "/a+b"]),
    late=st.integers(-SKEW, SKEW),
)
def test_what_botocore_signs_is_taken(
    signatures: Signatures,
    body: bytes,
    headers: dict[str, str],
    key: str,
    token: str | None,
    region: str,
    path: str,
    late: int,
) -> None:
    """Bodies, headers, tokens, regions, paths and times of all kinds verify."""
    at = NOW + dt.timedelta(seconds=late)
    signatures.verify(signed(body, path=path, headers=headers, key=key, token=token, region=region, at=at))


@given(data=st.data(), body=st.binary(min_size=1, max_size=60))
def test_every_byte_that_was_changed_is_seen(signatures: Signatures, data: st.DataObject, body: bytes) -> None:
    """A byte of body, target, host, token or date changed after the signing, or a query added, is refused."""
    request = signed(body, token="token")
    where = data.draw(st.sampled_from(["body", "query", "host", "x-amz-target", "x-amz-date", "x-amz-security-token"]))
    if where == "body":
        changed = request._replace(body=_changed(data, body))
    elif where == "query":
        changed = request._replace(path="/?a=b")
    else:
        name = where.encode()
        changed = request._replace(headers={**request.headers, name: _changed(data, request.headers[name])})
    assert refused(signatures, changed).shape in {"InvalidSignatureException", "IncompleteSignatureException"}


def _changed(data: st.DataObject, value: bytes) -> bytes:
    """One byte of it another, and no white space, of which the canonical form keeps little."""
    position = data.draw(st.integers(0, len(value) - 1))
    other = data.draw(st.integers(33, 126).filter(lambda byte: byte != value[position]))
    return value[:position] + bytes([other]) + value[position + 1 :]


def test_every_place_of_the_signature_counts(signatures: Signatures) -> None:
    """A signature of which one digit is another, or one is missing, is refused."""
    request = signed()
    header = request.headers[b"authorization"]
    start = header.index(b"Signature=") + len(b"Signature=")
    for position in range(start, len(header)):
        other = b"0" if header[position : position + 1] != b"0" else b"1"
        wrong = header[:position] + other + header[position + 1 :]
        refusal = refused(signatures, request._replace(headers={**request.headers, b"authorization": wrong}))
        assert (refusal.shape, refusal.legacy) == ("InvalidSignatureException", "SignatureDoesNotMatch")
    refused(signatures, request._replace(headers={**request.headers, b"authorization": header[:-1]}))


@pytest.mark.parametrize("name", ["host", "x-amz-date", "x-amz-target", "x-amz-security-token"])
def test_what_matters_must_be_under_the_signature(signatures: Signatures, name: str) -> None:
    """A header that decides what is done, and that the signature leaves out, is refused."""
    request = signed(token="token")
    listed = request.headers[b"authorization"]
    for pattern in (f";{name}", f"{name};"):
        shorter = listed.replace(pattern.encode(), b"")
        if shorter != listed:
            break
    refusal = refused(signatures, request._replace(headers={**request.headers, b"authorization": shorter}))
    assert (refusal.shape, refusal.legacy) == ("IncompleteSignatureException", "IncompleteSignature")
    assert f"'{name}' must be a 'SignedHeader'" in refusal.message


@pytest.mark.parametrize(
    ("header", "shape", "sentence"),
    [
        (b"", "MissingAuthenticationTokenException", "Request is missing Authentication Token"),
        (b"Bearer abc", "IncompleteSignatureException", "must begin with AWS4-HMAC-SHA256"),
        (b"AWS4-HMAC-SHA256", "IncompleteSignatureException", "requires 'Credential' parameter"),
        (b"AWS4-HMAC-SHA256 Credential=a/b/c/d/e", "IncompleteSignatureException", "requires 'Signature' parameter"),
        (
            b"AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0",
            "IncompleteSignatureException",
            "5 slash-delimited elements",
        ),
        (
            b"AWS4-HMAC-SHA256 Credential=AKLOCAL/20260101/r/sqs/aws4_request, SignedHeaders=absent, Signature=0",
            "IncompleteSignatureException",
            "is not in the request",
        ),
        (b"\xff\xfe \x00=,=,", "IncompleteSignatureException", "must begin with"),
    ],
)
def test_a_header_that_says_too_little_is_refused(
    signatures: Signatures, header: bytes, shape: str, sentence: str
) -> None:
    """Each lack has the name and the sentence that says what is missing."""
    request = signed()
    refusal = refused(signatures, request._replace(headers={**request.headers, b"authorization": header}))
    assert refusal.shape == shape
    assert sentence in refusal.message


@given(header=st.binary(max_size=120), date=st.binary(max_size=16))
def test_no_header_breaks_the_check(signatures: Signatures, header: bytes, date: bytes) -> None:
    """Whatever stands in the headers, the answer is a refusal."""
    request = signed()
    refused(signatures, request._replace(headers={**request.headers, b"authorization": header}))
    refused(signatures, request._replace(headers={**request.headers, b"authorization": b"AWS4-HMAC-SHA256 " + header}))
    refused(signatures, request._replace(headers={**request.headers, b"x-amz-date": date}))


@pytest.mark.parametrize("date", [b"20261301T000000Z", b"20260101T250000Z", b"00000101T000000Z"])
def test_a_date_that_does_not_exist_is_refused(signatures: Signatures, date: bytes) -> None:
    """Digits that are no date are an incomplete signature, also when the scope agrees with them."""
    request = signed()
    header = request.headers[b"authorization"].replace(b"/20260101/", b"/" + date[:8] + b"/")
    headers = {**request.headers, b"x-amz-date": date, b"authorization": header}
    assert refused(signatures, request._replace(headers=headers)).shape == "IncompleteSignatureException"


@pytest.mark.parametrize(
    ("seconds", "sentence"),
    [
        (
            -SKEW - 1,
            "Signature expired: 20251231T234459Z is now earlier than 20251231T234500Z (20260101T000000Z - 15 min.)",
        ),
        (
            SKEW + 1,
            (
                "Signature not yet current: 20260101T001501Z is still later than 20260101T001500Z "
                "(20260101T000000Z + 15 min.)"
            ),
        ),
    ],
)
def test_a_clock_off_by_more_than_a_quarter_of_an_hour_is_refused(
    signatures: Signatures, seconds: int, sentence: str
) -> None:
    """SQS names a skewed clock SignatureDoesNotMatch and says both times."""
    refusal = refused(signatures, signed(at=NOW + dt.timedelta(seconds=seconds)))
    assert (refusal.legacy, refusal.message) == ("SignatureDoesNotMatch", sentence)


def test_keys_and_scopes_that_are_not_ours_are_refused(signatures: Signatures) -> None:
    """An unknown id, another secret, another service, another day."""
    unknown = refused(signatures, signed(key="nobody", secret="x"))
    assert (unknown.shape, unknown.legacy) == ("UnrecognizedClientException", "InvalidClientTokenId")
    assert "does not match the signature" in refused(signatures, signed(secret="another")).message
    assert "correct service: 'sqs'" in refused(signatures, signed(service="sns")).message
    request = signed()
    for old, new, sentence in (
        (b"/20260101/", b"/20260102/", "Date in Credential scope"),
        (b"/aws4_request,", b"/aws5_request,", "valid terminator"),
    ):
        header = request.headers[b"authorization"].replace(old, new)
        changed = request._replace(headers={**request.headers, b"authorization": header})
        assert sentence in refused(signatures, changed).message


def test_derived_keys_are_cached_within_a_bound() -> None:
    """As many regions as anybody names leave no more than the bound; the first still verifies."""
    signatures = Signatures(KEYS, VirtualClock())
    for number in range(200):
        signatures.verify(signed(region=f"region-{number}"))
    assert len(signatures._derived) <= 64
    signatures.verify(signed(region="region-0"))


def test_keys_come_from_words_or_from_the_environment() -> None:
    """Words win; a secret may hold colons; without any there is an error that says what to do."""
    environment = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
    assert access_keys(["a:b:c", "d:e"], environment) == {"a": "b:c", "d": "e"}
    assert access_keys([], environment) == {"id": "secret"}
    with pytest.raises(InvalidOption, match="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        access_keys([], {"AWS_ACCESS_KEY_ID": "id"})


@pytest.mark.parametrize("word", ["nocolon", ":secret", "id:"])
def test_an_error_of_a_key_does_not_repeat_it(word: str) -> None:
    """What may be a secret is not printed."""
    with pytest.raises(InvalidOption, match="access key 2 is not ID:SECRET") as caught:
        access_keys(["a:b", word], {})
    assert word not in str(caught.value).replace("ID:SECRET", "")
