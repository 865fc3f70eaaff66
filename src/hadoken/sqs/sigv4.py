"""AWS Signature Version 4 for the one kind of request that SQS takes: POST of a JSON body to one path.

botocore signs any request of any service and takes some hundred microseconds for it; here all that does not depend on
the request is made once. What comes out equals botocore's signature byte for byte: a test compares them.
Source: AWS General Reference, Signature Version 4 signing process.
"""

from __future__ import annotations

import hmac
import time
from hashlib import sha256
from typing import Final
from urllib.parse import quote

from hadoken.sqs.credentials import Keys

SERVICE: Final = "sqs"
CONTENT_TYPE: Final = "application/x-amz-json-1.0"
_SIGNED: Final = "content-type;host;x-amz-date;x-amz-target;x-amzn-query-mode"
_SIGNED_TEMPORARY: Final = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target;x-amzn-query-mode"


class Signer:
    """Writes the head of signed requests to one host.

    Args:
        region: that the signature is for.
        host: as in the Host header, with the port unless it is the usual one.
        path: of every request; "/" but where a gateway stands before SQS.
        user_agent: who we say we are; not signed.

    Thread: any, several at once: what is remembered is replaced whole.
    """

    def __init__(self, region: str, host: str, *, path: str = "/", user_agent: str = "hadoken") -> None:
        self._host = host
        self._path = path
        self._canonical_path = quote(path, safe="/~%")
        self._scope = f"{region}/{SERVICE}/aws4_request"
        self._region = region
        self._user_agent = user_agent
        self._now: tuple[int, str] = (-1, "")
        self._derived: tuple[Keys, str, bytes] | None = None

    def head(self, keys: Keys, target: str, body: bytes, at: float) -> bytes:
        """Write the head of a signed request, up to and with the empty line.

        Args:
            keys: whose request it is.
            target: "AmazonSQS." and the operation.
            body: what will follow.
            at: time of the signature, seconds since 1970; SQS refuses one that is 15 minutes off.

        Raises:
            ValueError: a key holds a line break, or is not ASCII.
        """
        date = self._date(int(at))
        day = date[:8]
        token = keys.token
        signed, token_line = (_SIGNED, "") if token is None else (_SIGNED_TEMPORARY, f"x-amz-security-token:{token}\n")
        request = (
            f"POST\n{self._canonical_path}\n\ncontent-type:{CONTENT_TYPE}\nhost:{self._host}\nx-amz-date:{date}\n"
            f"{token_line}x-amz-target:{target}\nx-amzn-query-mode:true\n\n{signed}\n{sha256(body).hexdigest()}"
        )
        scope = f"{day}/{self._scope}"
        to_sign = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(self._key(keys, day), to_sign.encode(), "sha256").hex()
        token_header = "" if token is None else f"X-Amz-Security-Token: {token}\r\n"
        return (
            f"POST {self._path} HTTP/1.1\r\nHost: {self._host}\r\nUser-Agent: {self._user_agent}\r\n"
            f"Content-Type: {CONTENT_TYPE}\r\nX-Amz-Target: {target}\r\nX-Amz-Date: {date}\r\n{token_header}"
            f"x-amzn-query-mode: true\r\nAuthorization: AWS4-HMAC-SHA256 Credential={keys.access_key}/{scope}, "
            f"SignedHeaders={signed}, Signature={signature}\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode("ascii")

    def _date(self, second: int) -> str:
        """The time in the form of X-Amz-Date; requests of the same second share it."""
        known, text = self._now
        if known != second:
            text = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
            self._now = (second, text)
        return text

    def _key(self, keys: Keys, day: str) -> bytes:
        """The key derived for a day; four hashes that all requests of the day share."""
        derived = self._derived
        if derived is not None and derived[1] == day and derived[0] == keys:
            return derived[2]
        key = f"AWS4{keys.secret_key}".encode()
        for part in (day, self._region, SERVICE, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._derived = (keys, day, key)
        return key
