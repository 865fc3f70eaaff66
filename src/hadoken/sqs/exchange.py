"""botocore's requests over our own HTTP, in the calling thread.

botocore sends through urllib3 and http.client: two writes a request, a handful of short reads, headers read by a parser
for mail. That is half of what a call costs, and each of these steps lets go of the interpreter lock and queues for it
again (in a worker at full load: 132 us of CPU a message that way, 80 us this way). Its event `before-send` lets
a handler answer in its place; all else about the client stays botocore's: credentials, endpoints, signing, parsing.

Rules of this file:
- One request is sent once. Errors are botocore's own, so that whoever calls sees no difference.
- Where the way is not clear (`is_way_clear`), botocore sends as ever.
- The HTTP is that of `sqs.kept`, as for our own client; here are only botocore's ways to ask and to answer.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from botocore import exceptions as errors
from botocore.awsrequest import AWSResponse
from botocore.handlers import BUILTIN_HANDLERS
from botocore.utils import get_environ_proxies

from hadoken.sqs.answer import Answer, BadAnswer
from hadoken.sqs.choose import still_clear
from hadoken.sqs.kept import KeptLines, NotConnected
from hadoken.sqs.target import Target, target_of
from hadoken.sqs.trust import client_context


class Exchange:
    """Sends the requests of one client over connections that are kept open.

    Args:
        connect_timeout: seconds for a connection.
        read_timeout: seconds for a request and its whole answer.
        ca_bundle: path of the certificates to trust; None trusts those that botocore does.

    Thread: any, several at once; a call blocks until the answer.
    """

    def __init__(self, *, connect_timeout: float, read_timeout: float, ca_bundle: str | None = None) -> None:
        self._read_timeout = read_timeout
        self._lines = KeptLines(connect_timeout=connect_timeout, trust=lambda: client_context(ca_bundle))

    def __call__(self, request: Any, **_: object) -> AWSResponse | None:  # noqa: ANN401 -- botocore ships no types
        """Answer botocore's event `before-send`: send the request and return its answer, whatever the status.

        None leaves it to botocore: something was put in the place of its own sending since the client was made.

        Raises:
            EndpointConnectionError, ConnectTimeoutError, ReadTimeoutError, ConnectionClosedError, SSLError: botocore's.
            ValueError: a header holds a line break.
        """
        if not still_clear():
            return None
        url: str = request.url
        target = target_of(url)
        data = _written(request, target)
        try:
            answer = self._lines.exchange(target, data, self._read_timeout)
        except NotConnected as error:
            raise _no_connection(url, error.cause) from error
        except (OSError, BadAnswer) as error:
            raise _broken(request, error) from error
        return AWSResponse(url, answer.status, _texts(answer.headers), Raw(answer))

    def close(self) -> None:
        """Close all connections, those in use as soon as their answer is there; a later call opens one for itself."""
        self._lines.close()


class Raw:
    """A body as botocore takes it."""

    def __init__(self, answer: Answer) -> None:
        self._body = answer.body

    def stream(self) -> list[bytes]:
        """The body in parts."""
        return [self._body]


def is_way_clear(url: str) -> bool:
    """Whether we may send to this endpoint: not by way of a proxy, nor where something else answers `before-send`.

    Libraries that answer in the place of AWS are among botocore's built-in handlers, and botocore would call both.
    """
    return not get_environ_proxies(url) and not any(
        str(name).startswith("before-send") for name, *_ in BUILTIN_HANDLERS
    )


def _written(request: Any, target: Target) -> bytes:  # noqa: ANN401 -- botocore ships no types
    """The request as bytes; head and body in one piece, so that one write sends it."""
    lines = [f"{request.method} {target.path} HTTP/1.1\r\nHost: {target.name}\r\nAccept-Encoding: identity\r\n"]
    for name, value in request.headers.items():
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        if "\n" in text or "\r" in text:
            raise ValueError(f"header {name} holds a line break")
        lines.append(f"{name}: {text}\r\n")
    lines.append("\r\n")
    body = request.body or b""
    return "".join(lines).encode("latin-1") + (body.encode() if isinstance(body, str) else body)


def _texts(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}


def _broken(request: Any, error: Exception) -> errors.BotoCoreError:  # noqa: ANN401 -- botocore ships no types
    """The error of botocore that stands for an exchange that was cut short."""
    if isinstance(error, TimeoutError):
        return errors.ReadTimeoutError(endpoint_url=request.url, error=error)
    return errors.ConnectionClosedError(endpoint_url=request.url, request=request, error=error)


def _no_connection(url: str, error: OSError | UnicodeError) -> errors.BotoCoreError:
    """The error of botocore that stands for a connection that was not made."""
    if isinstance(error, ssl.SSLError):
        return errors.SSLError(endpoint_url=url, error=error)
    if isinstance(error, TimeoutError):
        return errors.ConnectTimeoutError(endpoint_url=url, error=error)
    return errors.EndpointConnectionError(endpoint_url=url, error=error)
