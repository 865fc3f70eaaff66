"""A user's function bound to a queue, and one run of it in a handler thread.

Rules of this file:
- `Handler.run` never raises: whatever user code does becomes a `Verdict`, plain data without the message (I3).
- Nothing of the message outlives `run` because of us: a failure is logged as text and its frames are emptied (I8).
- What can be found out at declaration is not looked at again: `run` adds a few microseconds to the function.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import logging
import math
import typing
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Concatenate, Final, Generic, NamedTuple, ParamSpec, TypeVar

import msgspec

from hadoken import failure, retry, signature
from hadoken.clock import SYSTEM, Clock
from hadoken.codec import Bodies, type_name
from hadoken.errors import DecodeError, InvalidHandler
from hadoken.events import ErrorHooks, name_of
from hadoken.message import Context, Message
from hadoken.options import HandlerOptions
from hadoken.outcome import ACKED, Ack, DeadLetter, Discard, Kind, Outcome, OutcomeSignal, Release, Retry, Verdict
from hadoken.sqs.api import Attribute, ReceivedMessage

B = TypeVar("B")
P = ParamSpec("P")
R = TypeVar("R", bound=Outcome | None)
T = TypeVar("T")

_log = logging.getLogger("hadoken.handler")
_LOG_LEVEL: Final = {Kind.DEAD_LETTER: logging.ERROR, Kind.RETRY: logging.WARNING}
_MAY_RETURN: Final = "it may return None, Ack(), Retry(), Release(), DeadLetter(reason) or Discard(reason)"
_WORDS: Final = {
    Kind.RETRY: "failed, next try in {:.1f} s",
    Kind.DEAD_LETTER: "failed for good: to the dead-letter queue",
}
_ASKED: Final = {
    Kind.ACK: "done",
    Kind.RETRY: "to be tried again in {:.1f} s, as it asked",
    Kind.RELEASE: "released",
    Kind.DEAD_LETTER: "to the dead-letter queue, as it asked",
    Kind.DISCARD: "discarded, as it asked",
}
_LAST: Final = "failed, and that was its last attempt: to the dead-letter queue"
# Seconds until the next try when even the judging failed: long enough not to spin, short enough to be seen. Guess.
_LAST_RESORT: Final = 30.0


class Current(NamedTuple):
    """What is being handled in this thread, for log lines.

    Attributes:
        message_id: of SQS.
        handler: dotted name of the handler.
    """

    message_id: str
    handler: str


current_message: ContextVar[Current | None] = ContextVar("current_message", default=None)


class Handler(Generic[B, P, R]):
    """A user's function, bound to a queue. Calling it calls the function, without a queue or a worker.

    Attributes:
        function: the user's own.
        name: its dotted name.
        queue_name: logical name of its queue.
        bodies: encodes and decodes the bodies of its queue.
        options: how it is run; final once the app it belongs to is known.
        given: the options written at its declaration, which no defaults change.
    """

    def __init__(
        self,
        function: Callable[Concatenate[B, P], R],
        *,
        queue_name: str,
        bodies: Bodies[B],
        given: Mapping[str, Any],
        defaults: HandlerOptions,
        hooks: ErrorHooks,
    ) -> None:
        self.function = function
        self.name = name_of(function)
        self.queue_name = queue_name
        self.given = dict(given)
        read = signature.read(function)
        _refuse_other_body(self.name, queue_name, read.body, bodies.type)
        self._invoke = read.invoke
        self.bodies = bodies
        self._decode = bodies.decode
        self._hooks = hooks
        self.apply_defaults(defaults)
        functools.update_wrapper(self, function, updated=())  # its attributes must not replace ours

    def __call__(self, body: B, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the user's function as it is."""
        return self.function(body, *args, **kwargs)

    def __repr__(self) -> str:
        return f"<Handler {self.name} of {self.queue_name}>"

    def apply_defaults(self, defaults: HandlerOptions) -> None:
        """Set the options: those given at the declaration, over `defaults`.

        Raises:
            InvalidOption: one of the given options cannot work.
        """
        self.options = replace(defaults, **self.given)
        self._policy = self.options.retry or retry.DEFAULT

    def without_jitter(self) -> Handler[B, P, R]:
        """Give a copy whose jittered waits are their bound: for tests, which leave nothing to chance."""
        twin = copy.copy(self)
        twin._policy = retry.without_jitter(self._policy)  # noqa: SLF001 -- one of its own class
        return twin

    def run(
        self,
        raw: ReceivedMessage,
        ctx: Context,
        clock: Clock = SYSTEM,
        *,
        keep: Callable[[BaseException], object] | None = None,
    ) -> Verdict:
        """Handle one message, whatever happens, and say how it ended.

        Args:
            raw: the message as received.
            ctx: of this run; gets its `message` here.
            clock: to say in the log how long a failed run took.
            keep: takes over an exception that is no outcome, whole, with its frames; None: it is forgotten (I8). A
                test that raises it again wants to show them.

        Returns:
            The outcome as data. A retry has its wait from the handler's policy, not yet shortened to what SQS allows.

        Thread: a handler thread; blocks as long as the function does. Never raises.
        """
        mark = current_message.set(Current(raw.message_id, self.name))
        started = clock.lease()
        try:
            message: Message[Any] = Message(
                id=raw.message_id,
                body=self._decode(raw.body),
                raw_body=raw.body,
                queue=self.queue_name,
                receipt_handle=raw.receipt_handle,
                attributes=plain_attributes(raw.attributes) if raw.attributes else None,
                system_attributes=raw.system,
            )
            ctx.message = message
            result = self._invoke(message, ctx)
            if result is None or type(result) is Ack:
                return ACKED
            return self._verdict(self._signal(result), raw, ctx, started, clock, keep)
        except BaseException as error:  # noqa: BLE001 -- SystemExit of a handler is a failed message, not the end of a thread
            return self._verdict(error, raw, ctx, started, clock, keep)
        finally:
            current_message.reset(mark)

    def _signal(self, result: object) -> BaseException:
        """What a handler returned, as if it had been raised."""
        if isinstance(result, OutcomeSignal):
            return result
        if inspect.iscoroutine(result):
            result.close()  # else it complains, later and elsewhere, that it was never awaited
        return TypeError(f"handler {self.name} returned {type_name(type(result))}; {_MAY_RETURN}")

    def _verdict(
        self,
        error: BaseException,
        raw: ReceivedMessage,
        ctx: Context,
        started: float,
        clock: Clock,
        keep: Callable[[BaseException], object] | None,
    ) -> Verdict:
        """Judge, report and forget an exception or a returned outcome."""
        verdict = self._guarded("judging a failure", self._judge, error, ctx.attempt)
        if verdict is None:
            verdict = Verdict(Kind.RETRY, after=_LAST_RESORT, reason=type(error).__name__, failed=True)
        self._guarded("logging a failure", self._log, error, verdict, raw, ctx, clock.lease() - started)
        if verdict.failed and len(self._hooks):
            self._guarded("telling error hooks", self._tell, error, raw, ctx)
        (failure.forget if keep is None or _signal_in(error) is not None else keep)(error)
        return verdict

    def _guarded(self, what: str, step: Callable[..., T], *values: Any) -> T | None:  # noqa: ANN401 -- passed on
        """One step after a failure; what goes wrong in it is logged and keeps no other step from being done."""
        try:
            return step(*values)
        except BaseException as trouble:  # noqa: BLE001 -- user code, log handlers: the message must still be settled
            self._complain(what, "", trouble)
            return None

    def _judge(self, error: BaseException, attempt: int) -> Verdict:
        """The outcome that an exception or a signal stands for."""
        match _signal_in(error):
            case Retry() as asked:
                wait = self._wait(attempt) if asked.after is None else asked.after
                return Verdict(Kind.RETRY, after=wait, reason=failure.clean_reason(asked.reason), failed=True)
            case Ack():
                return ACKED
            case Release():
                return Verdict(Kind.RELEASE)
            case DeadLetter() as asked:
                return Verdict(Kind.DEAD_LETTER, reason=failure.clean_reason(asked.reason))
            case Discard() as asked:
                return Verdict(Kind.DISCARD, reason=failure.clean_reason(asked.reason))
            case _:
                return self._judge_failure(error, attempt)

    def _judge_failure(self, error: BaseException, attempt: int) -> Verdict:
        reason = failure.reason_of(error)
        if self._is_hopeless(error):
            return Verdict(Kind.DEAD_LETTER, reason=reason, failed=True)
        return Verdict(Kind.RETRY, after=self._wait(attempt), reason=reason, failed=True)

    def _is_hopeless(self, error: BaseException) -> bool:
        """Whether `non_retryable` names the exception, or a member of the group that it is."""
        classes = self.options.non_retryable
        if isinstance(classes, tuple):
            return any(isinstance(each, classes) for each in (error, *failure.leaves(error)))
        try:
            return bool(classes(error))
        except Exception as trouble:  # noqa: BLE001 -- user code; its failure must not lose the message
            self._complain("non_retryable", "; the message is retried", trouble)
            return False

    def _wait(self, attempt: int) -> float:
        """Seconds until the next try, by the policy; by the default one if the policy has no usable answer."""
        try:
            return _usable(self._policy.delay(attempt))
        except Exception as trouble:  # noqa: BLE001 -- user code; its failure must not lose the message
            self._complain("retry policy", "; the default is used", trouble)
        return retry.DEFAULT.delay(attempt)

    def _complain(self, what: str, so: str, trouble: BaseException) -> None:
        """Log that code which helps this handler raised; a log handler that raises too is not let through."""
        with contextlib.suppress(Exception):  # there is nobody left to tell
            _log.error("%s of handler %s raised%s\n%s", what, self.name, so, failure.describe(trouble))
        failure.forget(trouble)

    def _tell(self, error: BaseException, raw: ReceivedMessage, ctx: Context) -> None:
        """Call the error hooks; a message that did not decode has its text for a body."""
        message: Message[Any] | None = getattr(ctx, "message", None)
        self._hooks.report(error, self.queue_name, message or self.undecoded(raw))

    def undecoded(self, raw: ReceivedMessage) -> Message[str]:
        """The message with its text for a body, for where that did not decode."""
        return Message(
            id=raw.message_id,
            body=raw.body,
            raw_body=raw.body,
            queue=self.queue_name,
            receipt_handle=raw.receipt_handle,
            attributes=plain_attributes(raw.attributes),
            system_attributes=raw.system,
        )

    def _log(self, error: BaseException, verdict: Verdict, raw: ReceivedMessage, ctx: Context, took: float) -> None:
        """One record a failure, as text: a record that kept the exception would keep the message with it."""
        asked = _signal_in(error) is not None
        last = verdict.kind is Kind.RETRY and ctx.is_last_attempt  # SQS, or we where order matters, will see to it
        level = logging.ERROR if last else logging.INFO if asked else _LOG_LEVEL[verdict.kind]
        if not _log.isEnabledFor(level):
            return
        _log.log(
            level,
            "handler %s: message %s of %s, attempt %d, %.3f s: %s%s%s",
            self.name,
            raw.message_id,
            self.queue_name,
            ctx.attempt,
            took,
            _LAST if last else (_ASKED if asked else _WORDS)[verdict.kind].format(verdict.after),
            f": {verdict.reason}" if verdict.reason else "",
            "" if asked or error.__traceback__ is None or _is_bad_body(error) else f"\n{failure.describe(error)}",
        )


def _is_bad_body(error: BaseException) -> bool:
    """Whether a body did not decode by our own codec: its reason says all, and every frame is ours."""
    return isinstance(error, DecodeError) and isinstance(error.__cause__, msgspec.DecodeError)


def plain_attributes(attributes: Mapping[str, Attribute]) -> dict[str, str | bytes]:
    """Message attributes as users see them: String and Number as str, Binary as bytes."""
    return {name: each.data if each.data is not None else each.text or "" for name, each in attributes.items()}


def _signal_in(error: BaseException) -> OutcomeSignal | None:
    """The outcome that was raised: itself, or out of a group that holds outcomes only (the first of them).

    Beside a real exception an outcome does not count: the work it spoke for was not all done.
    """
    if isinstance(error, OutcomeSignal):
        return error
    found = list(failure.leaves(error)) if isinstance(error, BaseExceptionGroup) else []
    signals = [each for each in found if isinstance(each, OutcomeSignal)]
    return signals[0] if signals and len(signals) == len(found) else None


def _usable(wait: float) -> float:
    """A wait as a policy gave it, which may be user code."""
    seconds = retry.seconds_of(wait)
    if not 0 <= seconds < math.inf:
        raise ValueError(f"it gave {wait!r}; a wait is a number of seconds >= 0")
    return seconds


def _refuse_other_body(name: str, queue: str, annotation: object, body: object) -> None:
    """Raise if a handler's first parameter is clearly not what its queue holds; type checkers see the finer cases."""
    wanted, held = (typing.get_origin(each) or each for each in (annotation, body))
    if (
        annotation is signature.MISSING
        or wanted in {Any, object}
        or not isinstance(wanted, type)
        or not isinstance(held, type)
    ):
        return
    if typing.is_typeddict(wanted) or typing.is_typeddict(held):
        fits = wanted is held or wanted is dict
    else:
        fits = _is_subclass(held, wanted)
    if not fits:
        raise InvalidHandler(
            f"handler {name} takes {type_name(annotation)}; queue {queue} holds {type_name(body)}",
            hint=f"annotate the first parameter as {type_name(body)}",
        )


def _is_subclass(held: type, wanted: type) -> bool:
    try:
        return issubclass(held, wanted)
    except TypeError:  # a Protocol with data members; type checkers know better
        return True
