"""AWS Signature Version 4 for the one kind of request that SQS takes: POST of a JSON body to one path.

botocore signs any request of any service and takes some hundred microseconds for it; here all that does not depend on
the request is made once. What comes out equals botocore's signature byte for byte: a test compares them.
Source: AWS General Reference, Signature Version 4 signing process.
"""

from __future__ import annotations

import hmac
import re
import time
from hashlib import sha256
from typing import Final, NamedTuple
from urllib.parse import quote

from hadoken.errors import ConfigurationError, SQSDenied
from hadoken.sqs.api import NO_CREDENTIALS
from hadoken.sqs.credentials import Keys

SERVICE: Final = "sqs"
CONTENT_TYPE: Final = "application/x-amz-json-1.0"
_SIGNED: Final = "content-type;host;x-amz-date;x-amz-target;x-amzn-query-mode"
_SIGNED_TEMPORARY: Final = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target;x-amzn-query-mode"
# What may stand in a request line as it is. Source: RFC 3986, path and query.
_TARGET: Final = re.compile(r"/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*(\?[A-Za-z0-9\-._~!$&'()*+,;=:@%/?]*)?")


class _Own(NamedTuple):
    """What all requests share that the same keys sign on the same day."""

    keys: Keys
    day: str
    key: bytes  # derived by four hashes
    scope: str
    signed: str
    token_line: str  # of the text that is signed; empty without a token
    token_header: str
    credential: str


class Signer:
    """Writes the head of signed requests to one host.

    Args:
        region: that the signature is for.
        host: as in the Host header, with the port unless it is the usual one.
        path: of every request, with its query; "/" but where a gateway stands before SQS.
        user_agent: who we say we are; not signed.

    Raises:
        ConfigurationError: one of them holds what cannot stand in a request.

    Thread: any, several at once: what is remembered is replaced whole.
    """

    def __init__(self, region: str, host: str, *, path: str = "/", user_agent: str = "hadoken") -> None:
        for name, value in (("region", region), ("host of the SQS endpoint", host)):
            if not _is_plain(value) or " " in value or not value:
                raise ConfigurationError(f"the {name} is {value!r}; it cannot stand in a request")
        if not _TARGET.fullmatch(path):
            raise ConfigurationError(
                f"the path of the SQS endpoint is {path!r}; it cannot stand in a request",
                hint="write special characters as in a browser's address, a space as %20",
            )
        self._region = region
        self._user_agent = user_agent
        place, _, query = path.partition("?")
        self._request_line = f"POST {path} HTTP/1.1\r\nHost: {host}\r\n"
        self._signed_start = (
            f"POST\n{quote(_normal(place), safe='/~')}\n{_sorted(query)}\n"
            f"content-type:{CONTENT_TYPE}\nhost:{host}\nx-amz-date:"
        )
        self._now: tuple[int, str] = (-1, "")
        self._known: _Own | None = None

    def head(self, keys: Keys, target: str, body: bytes, at: float) -> bytes:
        """Write the head of a signed request, up to and with the empty line.

        Args:
            keys: whose request it is.
            target: "AmazonSQS." and the operation.
            body: what will follow.
            at: time of the signature, seconds since 1970; SQS refuses one that is 15 minutes off.

        Raises:
            SQSDenied: a key holds what cannot stand in a request, such as a line break.
        """
        date = self._date(int(at))
        own = self._known
        if own is None or own.keys != keys or not date.startswith(own.day):
            own = self._known = self._derived(keys, date[:8])
        _, _, key, scope, signed, token_line, token_header, credential = own
        request = (
            f"{self._signed_start}{date}\n{token_line}x-amz-target:{target}\nx-amzn-query-mode:true\n\n"
            f"{signed}\n{sha256(body).hexdigest()}"
        )
        to_sign = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
        return (
            f"{self._request_line}User-Agent: {self._user_agent}\r\n"
            f"Content-Type: {CONTENT_TYPE}\r\nX-Amz-Target: {target}\r\nX-Amz-Date: {date}\r\n{token_header}"
            f"x-amzn-query-mode: true\r\nAuthorization: AWS4-HMAC-SHA256 Credential={credential}, "
            f"SignedHeaders={signed}, Signature={signature}\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode("ascii")

    def _date(self, second: int) -> str:
        """The time in the form of X-Amz-Date; requests of the same second share it."""
        known, text = self._now
        if known != second:
            text = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
            self._now = (second, text)
        return text

    def _derived(self, keys: Keys, day: str) -> _Own:
        _check(keys)
        key = f"AWS4{keys.secret_key}".encode()
        for part in (day, self._region, SERVICE, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        scope = f"{day}/{self._region}/{SERVICE}/aws4_request"
        credential = f"{keys.access_key}/{scope}"
        token = keys.token
        if not token:
            return _Own(keys, day, key, scope, _SIGNED, "", "", credential)
        line = f"x-amz-security-token:{' '.join(token.split())}\n"  # white space is signed as one space
        header = f"X-Amz-Security-Token: {token}\r\n"
        return _Own(keys, day, key, scope, _SIGNED_TEMPORARY, line, header, credential)


def _check(keys: Keys) -> None:
    """Refuse keys that would end a header or cannot be sent; the text never shows them."""
    for name, value in zip(("access key", "secret key", "session token"), keys, strict=True):
        if value and not _is_plain(value):
            raise SQSDenied(
                f"the AWS {name} holds a line break or another character that is not printable ASCII",
                operation="credentials",
                code=NO_CREDENTIALS,
                hint="look for a line break at the end of what it is read from",
            )


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _normal(path: str) -> str:
    """A path without empty, "." and ".." parts, as it is signed."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in {"", "."}:
            parts.append(part)
    return "/" + "/".join(parts) + ("/" if parts and path.endswith("/") else "")


def _sorted(query: str) -> str:
    """A query as it is signed."""
    pairs = sorted(pair.partition("=")[::2] for pair in query.split("&")) if query else []
    return "&".join(f"{name}={value}" for name, value in pairs)
