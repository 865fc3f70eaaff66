"""Finding a local SQS that runs: on its default port, and only where nothing leads to AWS."""

from __future__ import annotations

import http.client
import os
import ssl
from contextlib import closing
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from hadoken.errors import ConfigurationError
from hadoken.local.http.server import HOST, PORT
from hadoken.sqs.connection import Connection

VARIABLE: Final = "HADOKEN_LOCAL_PORT"
ANSWER: Final = 2.0  # seconds for a local SQS, on loopback, to say that it is one; a loaded machine takes a tenth
_LAST_PORT: Final = 65_535


def default_port() -> int:
    """The port of the local SQS that everybody finds: HADOKEN_LOCAL_PORT, else 9324.

    Raises:
        ConfigurationError: the variable holds no port.
    """
    text = os.environ.get(VARIABLE, str(PORT))
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= _LAST_PORT:
        raise ConfigurationError(f"{VARIABLE} is {text!r}; a port is 1..{_LAST_PORT}")
    return int(text)


def default_url() -> str:
    """Where the local SQS is that everybody finds."""
    return f"http://{HOST}:{default_port()}"


def look_at(url: str, page: str) -> dict[str, Any] | None:
    """Ask a local SQS for one of its private pages, such as "counters" or "state".

    Returns:
        What it says; None when nobody answers there, or somebody who is no local SQS.

    Thread: any; blocks for at most a few seconds.
    """
    try:
        with closing(opened(url)) as connection:
            connection.request("GET", f"/_hadoken/{page}", headers={"Connection": "close"})
            answer = connection.getresponse()
            if answer.status != http.client.OK:
                return None
            return msgspec.json.decode(answer.read(), type=dict[str, Any])
    except (OSError, http.client.HTTPException, msgspec.MsgspecError):
        return None


def opened(url: str) -> http.client.HTTPConnection:
    """A connection to a local SQS, for its private pages, which hold no secrets. Opened by its first request.

    With TLS the certificate is not looked at: it may be wrong on purpose, and its authority need not be known here.
    """
    where = urlsplit(url)
    host = where.hostname or HOST
    if where.scheme != "https":
        return http.client.HTTPConnection(host, where.port, timeout=ANSWER)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, where.port, timeout=ANSWER, context=context)


def answers(url: str | None = None) -> bool:
    """Whether a local SQS of ours answers at this URL, by default where everybody finds it.

    Thread: any; blocks for a moment.
    """
    return "parked" in (look_at(url or default_url(), "state") or {})


def connection_to(url: str | None = None) -> Connection:
    """How to reach a local SQS: no account, no region needed."""
    return Connection(endpoint_url=url or default_url(), anonymous=True)


def usual_or_local(*, region: str | None = None, endpoint_url: str | None = None) -> Connection:
    """AWS by the usual settings; the local SQS where one runs and neither endpoint nor credentials are known.

    Whoever has credentials is never led astray: what is sent goes to AWS, though a local SQS runs.

    Returns:
        A connection that is `anonymous` when it leads to the local SQS.

    Thread: any; blocks for a moment, or for a second or two where botocore asks for the role of an EC2 instance.
    """
    usual = Connection(region=region, endpoint_url=endpoint_url)
    if endpoint_url or not answers():  # the quick look first
        return usual
    from hadoken.sqs.aws_settings import lead_somewhere  # noqa: PLC0415 -- loads botocore, only now needed

    return usual if lead_somewhere() else connection_to()
