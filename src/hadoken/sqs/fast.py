"""SQS on the engine's own loop: no thread, no task and one write for a request.

Rules of this file:
- A request is sent once. Once more where a kept connection had been closed before it came, and where SQS says that
  nothing was wrong but its signature: the keys had expired, or our clock is off.
- A future fails with an `SQSError` and with nothing else. What it fails with keeps no traceback: one would hold the
  answer, and whoever waits for it.
- Whatever would block the loop is done elsewhere, by `offload` and `resolve`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from hadoken.errors import ConfigurationError, SQSError, SQSUnavailable
from hadoken.sqs.answer import Answer
from hadoken.sqs.api import (
    NO_ANSWER,
    NOT_CONNECTED,
    BatchAnswer,
    ChangeVisibilityBatch,
    DeleteBatch,
    Offload,
    Receive,
    Received,
    SendBatch,
    SentBatch,
)
from hadoken.sqs.dialling import Dialler, Resolve
from hadoken.sqs.lines import Lines
from hadoken.sqs.settings import Settings
from hadoken.sqs.target import target_of
from hadoken.sqs.trust import client_context
from hadoken.sqs.wire import UNREADABLE, Call, Resend, Wire

if TYPE_CHECKING:
    from hadoken.sqs.line import Line

log = logging.getLogger("hadoken.sqs")

T = TypeVar("T")

_NOTHING: Final[frozenset[Resend]] = frozenset()


class FastTransport:
    """`api.SQS` over connections of our own, on a loop.

    Args:
        settings: where SQS is and who we are.
        loop: where all methods are called and all futures live.
        resolve: looks a name up, as `dialling.addresses_of` does, without blocking the loop.
        offload: has something done that would block the loop, such as a large answer read.
        renew: the same for renewing credentials; None: `offload` does that too.

    Thread: that of the loop; it may be made in any, and blocks for some 20 ms where TLS is spoken.
    Raises: `ConfigurationError` when made: the endpoint cannot stand in a request, or the certificates to trust cannot
        be read.
    """

    def __init__(
        self,
        settings: Settings,
        loop: asyncio.AbstractEventLoop,
        *,
        resolve: Resolve,
        offload: Offload,
        renew: Offload | None = None,
    ) -> None:
        target = target_of(settings.endpoint_url)
        self.loop = loop
        self.wire = Wire(settings)
        self.where = target.name
        self._credentials = settings.credentials
        self._offload = offload
        self._renew = renew or offload
        try:
            context = client_context(settings.ca_bundle, verify=settings.verify) if target.tls else None
        except OSError as error:
            raise ConfigurationError(str(error)) from error
        dialler = Dialler(loop, target, context, resolve, settings.connect_timeout)
        self.lines = Lines(loop, target, dialler, connect_timeout=settings.connect_timeout)
        self.renewals = 0
        self._renewing: asyncio.Future[None] | None = None
        self.endpoint_url = settings.endpoint_url
        self.region = settings.region

    def receive(self, request: Receive) -> asyncio.Future[Received]:
        """See `api.SQS.receive`."""
        return Exchange(self, self.wire.receive(request))

    def delete_batch(self, request: DeleteBatch) -> asyncio.Future[BatchAnswer]:
        """See `api.SQS.delete_batch`."""
        return Exchange(self, self.wire.delete_batch(request))

    def change_visibility_batch(self, request: ChangeVisibilityBatch) -> asyncio.Future[BatchAnswer]:
        """See `api.SQS.change_visibility_batch`."""
        return Exchange(self, self.wire.change_visibility_batch(request))

    def send_batch(self, request: SendBatch) -> asyncio.Future[SentBatch]:
        """See `api.SQS.send_batch`."""
        return Exchange(self, self.wire.send_batch(request))

    def queue_url(self, name: str) -> asyncio.Future[str]:
        """See `api.SQS.queue_url`."""
        return Exchange(self, self.wire.queue_url(name))

    def queue_attributes(self, queue_url: str) -> asyncio.Future[Mapping[str, str]]:
        """See `api.SQS.queue_attributes`."""
        return Exchange(self, self.wire.queue_attributes(queue_url))

    def call(self, operation: str, parameters: Mapping[str, object]) -> asyncio.Future[dict[str, Any]]:
        """Any operation of the service, as its model names it: JSON in, JSON out."""
        return Exchange(self, self.wire.any_call(operation, parameters))

    def close(self) -> None:
        """Close idle connections now, those in use after their answer or at its deadline. Does not block."""
        self.lines.close()

    def offload(self, call: Callable[[], T]) -> asyncio.Future[T]:
        """Have something done off the loop; a refusal comes by the future too."""
        return self._elsewhere(self._offload, call)

    def renew(self) -> asyncio.Future[None]:
        """Renew the credentials off the loop; those who ask meanwhile share it."""
        if self._renewing is None:
            self._renewing = self._elsewhere(self._renew, self._credentials.renew)
            self._renewing.add_done_callback(self._renewed)
        return self._renewing

    def _elsewhere(self, where: Offload, call: Callable[[], T]) -> asyncio.Future[T]:
        try:
            return where(call)
        except Exception as error:  # noqa: BLE001 -- whoever asked is told, by the future
            failed: asyncio.Future[T] = self.loop.create_future()
            failed.set_exception(error)
            return failed

    def _renewed(self, _: asyncio.Future[None]) -> None:
        self._renewing = None
        self.renewals += 1


class Exchange(asyncio.Future[Any]):
    """A request on its way, and the future that its caller holds.

    Both in one, because a future of its own with a callback to hear of its end would cost as much again.
    """

    __slots__ = (
        "_call",
        "_elsewhere",
        "_renewals",
        "_sent_before",
        "_transport",
        "_tried",
        "data",
        "deadline",
        "line",
        "seconds",
    )

    def __init__(self, transport: FastTransport, call: Call) -> None:
        super().__init__(loop=transport.loop)
        self._transport = transport
        self._call = call
        self._tried = _NOTHING
        self._sent_before = False
        self._elsewhere: tuple[str, str] | None = None  # what is done elsewhere for it, and the code if it takes long
        self.seconds = call.time_limit
        self.deadline = 0.0
        self.line: Line | None = None
        self._send()

    def cancel(self, msg: Any | None = None) -> bool:  # noqa: ANN401 -- asyncio's signature
        """Give up: what was sent can only be called back by closing its connection."""
        if not super().cancel(msg):
            return False
        self._let_go()
        return True

    def answered(self, answer: Answer) -> None:
        """See `line.Request.answered`."""
        transport = self._transport
        transport.lines.done(self)
        wire = transport.wire
        if wire.is_large(answer):
            self._wait_for("reading the answer", NO_ANSWER)
            transport.offload(partial(wire.read, self._call, answer)).add_done_callback(self._read)
            return
        try:
            result = wire.read(self._call, answer)
        except Exception as error:  # noqa: BLE001 -- see `_refused`
            self._refused(error)
        else:
            self.set_result(result)

    def again(self) -> None:
        """See `line.Request.again`.

        One that was closed when the request came says so at once. Later it broke while the request was looked after,
        and what is left of the time limit would not do for another.
        """
        lines = self._transport.lines
        self._sent_before = True
        if lines.is_fresh(self):
            lines.send_by_new(self)
        else:
            self.fail(NO_ANSWER, "the connection broke: the other side closed it")

    def fail(self, code: str, reason: str) -> None:
        """See `line.Request.fail`."""
        if self._sent_before and code == NOT_CONNECTED:  # which says that nothing was sent
            code = NO_ANSWER
        self._transport.lines.done(self)
        self._fail(
            SQSUnavailable(
                f"{self._call.operation} failed: {reason} ({self._transport.where})",
                operation=self._call.operation,
                code=code,
                transient=True,
            )
        )

    def expire(self) -> None:
        """See `deadlines.Timed.expire`."""
        waited, elsewhere = self.line is None, self._elsewhere
        self._let_go()
        if elsewhere:
            doing, code = elsewhere
            self.fail(code, f"{doing} took more than {self.seconds:g} s")
        elif waited:
            self.fail(NOT_CONNECTED, "no connection became free in time")
        else:
            self.fail(NO_ANSWER, f"no answer within {self.seconds:g} s")

    def _send(self) -> None:
        transport = self._transport
        self._renewals = transport.renewals
        try:
            self.data = transport.wire.request(self._call)
        except SQSError as error:
            self._fail(error)
        else:
            transport.lines.send(self)

    def _let_go(self) -> None:
        lines = self._transport.lines
        line, self.line = self.line, None
        if line is None:
            lines.leave(self)
        else:
            line.close()
        lines.done(self)

    def _wait_for(self, doing: str, code: str) -> None:
        """Wait for what is done elsewhere, as long as for an answer; `code` is that of the error if it takes longer."""
        self._elsewhere = (doing, code)
        self._transport.lines.watch(self)

    def _is_back(self) -> None:
        self._elsewhere = None
        self._transport.lines.done(self)

    def _read(self, reading: asyncio.Future[Any]) -> None:
        """Take what was made of a large answer elsewhere."""
        self._is_back()
        error = asyncio.CancelledError("given up") if reading.cancelled() else reading.exception()
        if self.done():
            return
        if error is not None:
            self._refused(error)
        else:
            self.set_result(reading.result())

    def _refused(self, error: BaseException) -> None:
        """Send it once more, where a second signature mends it; else fail."""
        if not isinstance(error, SQSError):  # reading promises to raise no other: a bug of ours must hang nobody
            log.error("an answer of SQS could not be read", exc_info=error)
            self.fail(UNREADABLE, f"the answer could not be read: {type(error).__name__}: {error}")
            return
        transport = self._transport
        resend = transport.wire.should_resend(error)
        if resend is None or resend in self._tried:
            self._fail(error)
            return
        self._tried |= {resend}
        self.deadline = 0.0
        if resend is Resend.NEW_KEYS and self._renewals == transport.renewals:
            self._wait_for("renewing the credentials", NOT_CONNECTED)
            transport.renew().add_done_callback(self._renewed)
        else:
            self._send()

    def _renewed(self, renewing: asyncio.Future[None]) -> None:
        self._is_back()
        self.deadline = 0.0
        if self.done():
            return
        error = asyncio.CancelledError("given up") if renewing.cancelled() else renewing.exception()
        if error is None:
            self._send()
        elif isinstance(error, SQSError):
            self._fail(error)
        else:
            self.fail(NOT_CONNECTED, f"the credentials could not be renewed: {type(error).__name__}: {error}")

    def _fail(self, error: SQSError) -> None:
        error.__context__ = error.__cause__ = None
        self.set_exception(error.with_traceback(None))
