"""SQS for the calling thread, over sockets of our own: what `send` uses.

Rules of this file:
- No thread, no lock, nothing that is shared with another process: it works in any thread, right after a fork, before
  one, and under gevent.
- A request is sent once. Twice only where SQS says that nothing was wrong with it but its signature: the keys had
  expired, or our clock is off.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from functools import partial
from typing import Any

from hadoken.errors import ConfigurationError, SQSDenied, SQSError, SQSUnavailable
from hadoken.sqs.answer import Answer, BadAnswer
from hadoken.sqs.api import (
    NO_ANSWER,
    NOT_CONNECTED,
    BatchAnswer,
    ChangeVisibilityBatch,
    DeleteBatch,
    Receive,
    Received,
    SendBatch,
    SentBatch,
)
from hadoken.sqs.kept import KeptLines, NotConnected
from hadoken.sqs.settings import Settings
from hadoken.sqs.target import target_of
from hadoken.sqs.trust import client_context
from hadoken.sqs.wire import UNREADABLE, Call, Resend, Wire

log = logging.getLogger("hadoken.sqs")


class FastClient:
    """SQS for the calling thread.

    Args:
        settings: where SQS is and who we are.

    Thread: any, several at once; every call blocks until the answer, at most its time limit and that of a connection.
    Raises: `ConfigurationError` when made: the endpoint cannot stand in a request, or the certificates to trust cannot
        be read. `SQSError` from every call, and nothing else.
    """

    def __init__(self, settings: Settings) -> None:
        self._credentials = settings.credentials
        self._wire = Wire(settings)
        self._target = target_of(settings.endpoint_url)
        trust = partial(client_context, settings.ca_bundle, verify=settings.verify)
        if self._target.tls:  # read now: a file that is missing is no trouble of the network, which is tried again
            try:
                trust()
            except OSError as error:
                raise ConfigurationError(str(error)) from error
        self._lines = KeptLines(connect_timeout=settings.connect_timeout, trust=trust)
        self.endpoint_url = settings.endpoint_url
        self.region = settings.region

    def receive(self, request: Receive) -> Received:
        """See `api.SQS.receive`."""
        received: Received = self._do(self._wire.receive(request))
        return received

    def delete_batch(self, request: DeleteBatch) -> BatchAnswer:
        """See `api.SQS.delete_batch`."""
        answer: BatchAnswer = self._do(self._wire.delete_batch(request))
        return answer

    def change_visibility_batch(self, request: ChangeVisibilityBatch) -> BatchAnswer:
        """See `api.SQS.change_visibility_batch`."""
        answer: BatchAnswer = self._do(self._wire.change_visibility_batch(request))
        return answer

    def send_batch(self, request: SendBatch) -> SentBatch:
        """See `api.SQS.send_batch`."""
        sent: SentBatch = self._do(self._wire.send_batch(request))
        return sent

    def queue_url(self, name: str) -> str:
        """See `api.SQS.queue_url`."""
        url: str = self._do(self._wire.queue_url(name))
        return url

    def queue_attributes(self, queue_url: str) -> Mapping[str, str]:
        """See `api.SQS.queue_attributes`."""
        attributes: Mapping[str, str] = self._do(self._wire.queue_attributes(queue_url))
        return attributes

    def create_queue(self, name: str, attributes: Mapping[str, str]) -> str:
        """Create a queue, or find it when it exists with the same attributes; returns its URL."""
        answer = self.call("CreateQueue", {"QueueName": name, "Attributes": dict(attributes)})
        return str(answer.get("QueueUrl", ""))

    def call(self, operation: str, parameters: Mapping[str, object]) -> dict[str, Any]:
        """Any operation of the service, as its model names it: JSON in, JSON out."""
        answer: dict[str, Any] = self._do(self._wire.any_call(operation, parameters))
        return answer

    def close(self) -> None:
        """Close idle connections; calls under way end by themselves."""
        self._lines.close()

    def _do(self, call: Call) -> Any:  # noqa: ANN401 -- what `call.decode` gives
        """Do one call; once more for each of the reasons that a second signature mends."""
        wire = self._wire
        tried: set[Resend] = set()
        while True:
            if self._credentials.expire:
                self._refresh()
            data = wire.request(call)
            try:
                return wire.read(call, self._exchange(call, data))
            except SQSError as error:
                resend = wire.should_resend(error)
                if resend is None or resend in tried:
                    raise
                tried.add(resend)
                if resend is Resend.NEW_KEYS:
                    self._credentials.renew()

    def _refresh(self) -> None:
        """Renew keys that are about to expire; where that fails, those that are there may still be good."""
        try:
            self._credentials.refresh()
        except SQSDenied as error:
            log.warning("%s", error)

    def _exchange(self, call: Call, data: bytes) -> Answer:
        try:
            return self._lines.exchange(self._target, data, call.time_limit)
        except NotConnected as error:
            raise self._unavailable(call, NOT_CONNECTED, _no_connection(error.cause)) from error
        except BadAnswer as error:
            raise self._unavailable(call, UNREADABLE, str(error)) from error
        except TimeoutError as error:
            raise self._unavailable(call, NO_ANSWER, f"no answer within {call.time_limit:g} s") from error
        except OSError as error:
            raise self._unavailable(call, NO_ANSWER, f"the connection broke: {error}") from error

    def _unavailable(self, call: Call, code: str, reason: str) -> SQSUnavailable:
        return SQSUnavailable(
            f"{call.operation} failed: {reason} ({self._target.name})",
            operation=call.operation,
            code=code,
            transient=True,
        )


def _no_connection(cause: OSError | UnicodeError) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"the server's certificate is refused: {cause.verify_message}"
    if isinstance(cause, TimeoutError):
        return "no connection in time"
    return f"no connection: {cause}"
