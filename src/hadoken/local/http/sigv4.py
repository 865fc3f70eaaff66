"""Signature Version 4, verified: that a request was signed with a key we know, and not changed on its way.

Rules of this file:
- What is verified is what is done: body, target, host and date must be under the signature, or the request is refused.
- Signatures are compared in constant time.
- Every region is taken, and every session token as long as it is signed: this server has neither regions nor tokens.

Source: AWS documentation, "Signature Version 4 signing process", header form. Names and sentences of refusals as SQS's
JSON protocol was seen to give them: the shape in the body, the older name in `x-amzn-query-error`, status 403.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

from hadoken.errors import InvalidOption
from hadoken.local.state.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hadoken.clock import Clock
    from hadoken.local.http.connection import HTTPRequest

SKEW: Final = 900  # seconds that a clock may be off: 15 minutes, as SQS's own sentence says
_ALGORITHM: Final = b"AWS4-HMAC-SHA256"
_END: Final = b"aws4_request"
_SERVICE: Final = b"sqs"
_DATE: Final = re.compile(rb"[0-9]{8}T[0-9]{6}Z")
_DIGITS: Final = ((0, 4), (4, 6), (6, 8), (9, 11), (11, 13), (13, 15))  # of its year, month, day, hour, minute, second
_MUST_BE_SIGNED: Final = (b"host", b"x-amz-date", b"x-amz-target", b"x-amz-security-token")
_MAX_CACHED: Final = 64  # derived keys held at once; one per access key, day and region in use


class Denied(Refusal):
    """A request that is not signed as it must be."""

    def __init__(self, shape: str, legacy: str, message: str) -> None:
        super().__init__(shape, message)
        self.legacy = legacy
        self.status = 403


class _Authorization(NamedTuple):
    """The header Authorization, taken apart."""

    key_id: str
    day: bytes
    region: bytes
    service: bytes
    end: bytes
    signed: list[bytes]
    signature: bytes

    @property
    def scope(self) -> bytes:
        """What the derived key is good for."""
        return b"/".join((self.day, self.region, self.service, self.end))


class Signatures:
    """Verifies requests against access keys.

    Args:
        keys: secret access keys by access key id.
        clock: whose wall clock a request's date is compared with.

    Thread: one at a time; blocks on nothing.
    """

    def __init__(self, keys: Mapping[str, str], clock: Clock) -> None:
        self._keys = {name: secret.encode() for name, secret in keys.items()}
        self._clock = clock
        self._derived: dict[tuple[str, bytes, bytes], bytes] = {}

    def verify(self, request: HTTPRequest) -> None:
        """Accept a request, or say why not.

        Raises:
            Denied: it carries no signature, an incomplete or a wrong one, one of an unknown key, or an old one.
        """
        parts = _authorization(request.headers.get(b"authorization", b""))
        date = _present(request.headers, parts)
        secret = self._keys.get(parts.key_id)
        if secret is None:
            text = "The security token included in the request is invalid."
            raise Denied("UnrecognizedClientException", "InvalidClientTokenId", text)
        _check_scope(parts, date)
        self._check_age(date)
        to_sign = b"\n".join((_ALGORITHM, date, parts.scope, _digest(_canonical(request, parts.signed))))
        expected = hmac.digest(self._key(parts, secret), to_sign, "sha256").hex().encode()
        if not hmac.compare_digest(expected, parts.signature):
            raise _wrong(
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
                "Access Key and signing method. Consult the service documentation for details."
            )

    def _key(self, parts: _Authorization, secret: bytes) -> bytes:
        """The key of a day and region, derived once."""
        name = (parts.key_id, parts.day, parts.region)
        key = self._derived.get(name)
        if key is None:
            if len(self._derived) >= _MAX_CACHED:
                self._derived.clear()
            key = b"AWS4" + secret
            for part in (parts.day, parts.region, _SERVICE, _END):
                key = hmac.digest(key, part, "sha256")
            self._derived[name] = key
        return key

    def _check_age(self, date: bytes) -> None:
        signed, now = _seconds(date), int(self._clock.wall())
        if signed < now - SKEW:
            bound = f"{_written(now - SKEW)} ({_written(now)} - 15 min.)"
            raise _wrong(f"Signature expired: {date.decode()} is now earlier than {bound}")
        if signed > now + SKEW:
            bound = f"{_written(now + SKEW)} ({_written(now)} + 15 min.)"
            raise _wrong(f"Signature not yet current: {date.decode()} is still later than {bound}")


def access_keys(given: Sequence[str], environment: Mapping[str, str]) -> dict[str, str]:
    """The access keys of a server: those given as "ID:SECRET", else the one of its environment.

    Args:
        given: of the command line; may be empty.
        environment: read for AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.

    Raises:
        InvalidOption: one is not of that form, or there is none at all.
    """
    keys: dict[str, str] = {}
    for number, text in enumerate(given, 1):
        name, _, secret = text.partition(":")
        if not name or not secret:  # the text itself may hold a secret, so it is not repeated
            raise InvalidOption(f"access key {number} is not ID:SECRET", hint="write --access-key ID:SECRET")
        keys[name] = secret
    if keys:
        return keys
    name, secret = environment.get("AWS_ACCESS_KEY_ID", ""), environment.get("AWS_SECRET_ACCESS_KEY", "")
    if not name or not secret:
        raise InvalidOption(
            "signatures are required, and there is no access key to check them with",
            hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for the server, or pass --access-key ID:SECRET",
        )
    return {name: secret}


def _wrong(message: str) -> Denied:
    return Denied("InvalidSignatureException", "SignatureDoesNotMatch", message)


def _incomplete(message: str) -> Denied:
    return Denied("IncompleteSignatureException", "IncompleteSignature", message)


def _authorization(header: bytes) -> _Authorization:
    if not header:
        text = "Request is missing Authentication Token"
        raise Denied("MissingAuthenticationTokenException", "MissingAuthenticationToken", text)
    algorithm, _, rest = header.partition(b" ")
    if algorithm != _ALGORITHM:
        raise _incomplete(f"Authorization header must begin with {_ALGORITHM.decode()}: this server takes no other.")
    fields: dict[bytes, bytes] = {}
    for part in rest.split(b","):
        name, _, value = part.strip().partition(b"=")
        fields[name] = value
    for name in (b"Credential", b"Signature", b"SignedHeaders"):
        if not fields.get(name):
            raise _incomplete(f"Authorization header requires '{name.decode()}' parameter.")
    scope = fields[b"Credential"].rsplit(b"/", 4)  # an access key id may hold slashes
    if len(scope) != 5:  # id, day, region, service, end
        raise _incomplete("Credential must have exactly 5 slash-delimited elements: ID/DATE/REGION/sqs/aws4_request.")
    name, day, region, service, end = scope
    signed = fields[b"SignedHeaders"].split(b";")
    return _Authorization(name.decode("latin-1"), day, region, service, end, signed, fields[b"Signature"])


def _present(headers: Mapping[bytes, bytes], parts: _Authorization) -> bytes:
    """The date of a request; refuses one that lacks what must be there and under the signature."""
    date = headers.get(b"x-amz-date", b"")
    if not _DATE.fullmatch(date):
        raise _incomplete("The request needs a header 'X-Amz-Date' such as 20260102T030405Z.")
    for name in parts.signed:
        if name not in headers:
            raise _incomplete("A header named in SignedHeaders is not in the request.")
    for name in _MUST_BE_SIGNED:
        if name in headers and name not in parts.signed:
            raise _incomplete(f"'{name.decode()}' must be a 'SignedHeader' in the AWS Authorization.")
    return date


def _check_scope(parts: _Authorization, date: bytes) -> None:
    if parts.service != _SERVICE:
        raise _wrong(f"Credential should be scoped to correct service: '{_SERVICE.decode()}'.")
    if parts.end != _END:
        raise _wrong(f"Credential should be scoped with a valid terminator: '{_END.decode()}'.")
    if parts.day != date[:8]:
        raise _wrong("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.")


def _canonical(request: HTTPRequest, signed: Sequence[bytes]) -> bytes:
    """The request as both sides write it down before signing."""
    path, _, query = request.path.partition("?")
    headers = request.headers
    lines = [
        request.method,
        quote(_normal(path), safe="/~").encode(),
        "&".join(sorted(query.split("&"))).encode("latin-1"),
        *(name + b":" + b" ".join(headers[name].split()) for name in signed),
        b"",
        b";".join(signed),
        _digest(request.body),
    ]
    return b"\n".join(lines)


def _normal(path: str) -> str:
    """A path without empty and dot segments, as signers other than those of S3 write it."""
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del kept[-1:]
        elif part and part != ".":
            kept.append(part)
    end = "/" if path.endswith("/") and kept else ""
    return "/" + "/".join(kept) + end


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


def _seconds(date: bytes) -> int:
    """Seconds since 1970 of a date that matches `_DATE`."""
    year, *rest = (int(date[start:end]) for start, end in _DIGITS)
    month, day, hour, minute, second = rest
    try:
        return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp())
    except ValueError as error:
        raise _incomplete(f"The header 'X-Amz-Date' is no date: {error}.") from error


def _written(second: int) -> str:
    return datetime.fromtimestamp(second, tz=UTC).strftime("%Y%m%dT%H%M%SZ")
