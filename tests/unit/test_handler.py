"""One run of a handler: from the message as received to a verdict, whatever the handler does."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import pytest

import hadoken
from hadoken import errors, failure, retry
from hadoken.app import App
from hadoken.clock import VirtualClock
from hadoken.handler import current_message
from hadoken.message import Context, Message
from hadoken.options import HandlerOptions
from hadoken.outcome import ACKED, Ack, DeadLetter, Discard, Kind, Outcome, OutcomeSignal, Release, Retry, Verdict
from hadoken.sqs.api import Attribute, ReceivedMessage

if TYPE_CHECKING:
    from hadoken.message import Context as CheckedOnly

LOG = "hadoken.handler"


@dataclass
class Invoice:
    """The body of these tests."""

    id: int
    total: int


class Seen(Context):
    """A context that can be weakly referenced."""


class OwnError(Exception):
    """A failure that can be told from ours."""


def context(attempt: int = 1) -> Seen:
    """The context of one run."""
    return Seen(attempt=attempt, is_last_attempt=False, lease_end=0, ask_extend=lambda *_: None)


def received(body: str = '{"id":7,"total":1999}', **system: str) -> ReceivedMessage:
    """A message as it comes from SQS."""
    attributes = {"tenant": Attribute("String", text="t1"), "blob": Attribute("Binary", data=b"\x01")}
    return ReceivedMessage("m-1", "h-1", body, {"ApproximateReceiveCount": "3", **system}, attributes)


def run(function: Callable[..., Any], raw: ReceivedMessage | None = None, attempt: int = 1, **options: Any) -> Verdict:
    """Declare a function as a handler and run it once."""
    return handler_of(function, **options).run(raw or received(), context(attempt), VirtualClock())


def handler_of(function: Callable[..., Any], on_error: tuple[Any, ...] = (), **options: Any) -> Any:
    """Declare a function as the handler of a queue of invoices."""
    return App("test", on_error=on_error).queue("invoices", Invoice).handler(**options)(function)


def raising(error: BaseException) -> Callable[[Invoice], None]:
    """A handler that raises."""

    def fail(_: Invoice) -> None:
        raise error

    return fail


class TestSignature:
    """What a handler may ask for."""

    def test_the_body_alone(self) -> None:
        """A handler with one parameter gets the decoded body."""
        got: list[Invoice] = []
        assert run(got.append) is ACKED
        assert got == [Invoice(7, 1999)]

    def test_message_and_context_in_any_order_and_by_name(self) -> None:
        """Message and Context are served by annotation: in place, by keyword, optional or not."""
        got: list[Any] = []

        def both(body: Invoice, ctx: Context, message: Message[Invoice]) -> None:
            got.append((body, ctx, message))

        def turned(body: Invoice, message: Message[Invoice], *, ctx: hadoken.Context) -> None:
            got.append((body, ctx, message))

        def optional(body: Invoice, ctx: Context | None = None, note: str = "kept") -> None:
            got.append((body, ctx, note))

        def one(body: Invoice, message: Message) -> None:  # type: ignore[type-arg] # a bare Message is taken too
            got.append((body, message))

        assert [run(each) for each in (both, turned, optional, one)] == [ACKED] * 4
        for body, ctx, message in got[:2]:
            assert ctx.message is message
            assert message.body is body
        assert isinstance(got[2][1], Context)
        assert got[2][2] == "kept"
        assert isinstance(got[3][1], Message)

    def test_names_that_only_type_checkers_import(self) -> None:
        """An annotation that does not resolve at run time is known by its name."""

        def handle(body: Invoice, ctx: CheckedOnly | None = None) -> None:
            assert body
            assert ctx is None

        def named(_: Invoice, ctx: typing_only.Context) -> None:  # type: ignore[name-defined] # noqa: F821 -- the point
            assert isinstance(ctx, Context)

        assert run(handle) is ACKED
        assert run(named) is ACKED

    def test_a_message_says_what_sqs_said(self) -> None:
        """Ids, attributes and system attributes arrive as plain data."""
        seen: list[Message[Invoice]] = []

        def look(_: Invoice, message: Message[Invoice]) -> None:
            seen.append(message)

        run(look, received(SentTimestamp="1767225600500", MessageGroupId="g"))
        message = seen[0]
        assert (message.id, message.key, message.queue, message.receive_count) == ("m-1", "m-1", "invoices", 3)
        assert message.attributes == {"tenant": "t1", "blob": b"\x01"}
        assert message.message_group_id == "g"
        assert message.sent_at is not None
        assert message.sent_at.year == 2026

    def test_calling_a_handler_calls_the_function(self) -> None:
        """A user's unit test needs neither queue nor worker."""
        handler = handler_of(lambda invoice, factor=2: DeadLetter(str(invoice.total * factor)))
        assert handler(Invoice(1, 5), factor=3).reason == "15"

    @pytest.mark.parametrize(
        ("function", "says"),
        [
            (lambda: None, "takes no body"),
            (lambda *args: None, "takes no body"),
            (lambda *, body: None, "takes no body"),
            (lambda body, extra: None, "parameter extra that cannot be served (no annotation)"),
            (lambda body, **extra: None, "cannot be served"),
            (Invoice, "is not a function"),
            (iter, "has no signature"),
            (3, "is not a function"),
        ],
        ids=["nothing", "args", "keyword", "extra", "kwargs", "class", "builtin", "number"],
    )
    def test_a_signature_that_cannot_work_is_refused(self, function: Any, says: str) -> None:
        """The error names the handler and what is allowed."""
        with pytest.raises(errors.InvalidHandler) as caught:
            handler_of(function)
        assert says in str(caught.value)

    def test_other_kinds_of_functions_are_refused(self) -> None:
        """Coroutines, generators, another body and unknown parameters are errors at declaration."""

        async def later(_: Invoice) -> None: ...

        def pieces(_: Invoice) -> Iterator[None]:
            yield

        class Callable_:  # noqa: N801 -- a callable object
            async def __call__(self, _: Invoice) -> None: ...

        def other(_: str) -> None: ...

        def asks(_: Invoice, db: dict[str, str]) -> None: ...

        expected: list[tuple[Any, str]] = [
            (later, "async handlers are not there yet"),
            (Callable_(), "async handlers are not there yet"),
            (pieces, "is a generator"),
            (other, "takes str; queue invoices holds Invoice"),
            (asks, "the first is the body, then any of hadoken.Message and hadoken.Context"),
        ]
        for function, says in expected:
            with pytest.raises(errors.InvalidHandler) as caught:
                handler_of(function)
            assert says in str(caught.value)

    def test_a_protocol_with_data_is_left_to_type_checkers(self) -> None:
        """It cannot be compared at run time."""

        @runtime_checkable
        class HasTotal(Protocol):
            total: int

        def handle(_: HasTotal) -> None: ...

        assert run(handle) is ACKED

    def test_attributes_of_the_function_do_not_replace_the_handlers(self) -> None:
        """Other decorators leave marks of any name on functions."""

        def handle(_: Invoice) -> None: ...

        handle.name = handle.options = "theirs"  # type: ignore[attr-defined] # as such a decorator does
        handler = handler_of(handle)
        assert handler.name.endswith("handle")
        assert isinstance(handler.options, HandlerOptions)

    def test_a_wider_body_is_allowed(self) -> None:
        """A handler may take a base class, object, Any, or leave the annotation out."""

        def any_body(_: Any) -> None: ...

        def object_body(_: object) -> None: ...

        assert [run(each) for each in (any_body, object_body, lambda _: None)] == [ACKED] * 3


class TestOutcome:
    """What a handler returns or raises, as a verdict."""

    @pytest.mark.parametrize(
        ("outcome", "verdict"),
        [
            (Retry(after=60, reason="later"), Verdict(Kind.RETRY, after=60, reason="later", failed=True)),
            (Retry(), Verdict(Kind.RETRY, after=11, failed=True)),
            (Release(), Verdict(Kind.RELEASE)),
            (DeadLetter("bad\x00"), Verdict(Kind.DEAD_LETTER, reason="bad\N{REPLACEMENT CHARACTER}")),
            (Discard("old"), Verdict(Kind.DISCARD, reason="old")),
        ],
        ids=["retry", "retry-by-policy", "release", "dead-letter", "discard"],
    )
    def test_returned_or_raised_is_the_same(self, outcome: OutcomeSignal, verdict: Verdict) -> None:
        """Each outcome gives one verdict; a retry without a time has the policy's."""
        assert run(lambda _: outcome, retry=retry.fixed(11)) == verdict
        assert run(raising(outcome), retry=retry.fixed(11)) == verdict

    def test_ack(self) -> None:
        """None and Ack() are the same."""
        assert run(lambda _: None) is ACKED
        assert run(lambda _: Ack()) is ACKED

    def test_except_exception_does_not_swallow_an_outcome(self) -> None:
        """The raisable ones derive from BaseException."""

        def drop() -> None:
            raise Discard("known")

        def careless(_: Invoice) -> None:
            try:
                drop()
            except Exception:  # noqa: BLE001 -- what users write
                return

        assert run(careless).kind is Kind.DISCARD

    def test_an_outcome_out_of_a_task_group(self) -> None:
        """It arrives from asyncio inside a BaseExceptionGroup, at any depth."""

        async def inner() -> None:
            raise DeadLetter("inside")

        async def outer() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(inner())

        assert run(lambda _: asyncio.run(outer())) == Verdict(Kind.DEAD_LETTER, reason="inside")
        nested = BaseExceptionGroup("a", [BaseExceptionGroup("b", [Release()])])
        assert run(raising(nested)).kind is Kind.RELEASE

    def test_an_outcome_beside_a_failure_is_a_failure(self) -> None:
        """Where something else failed too, the outcome does not speak for all."""
        verdict = run(raising(BaseExceptionGroup("both", [Discard("x"), OwnError("y")])), retry=[9])
        assert (verdict.kind, verdict.after, verdict.failed) == (Kind.RETRY, 9, True)

    @pytest.mark.parametrize("value", [42, True, "ok", Ack, OwnError("returned")], ids=lambda each: type(each).__name__)
    def test_any_other_value_is_a_failure_that_says_so(self, value: object) -> None:
        """Nothing but None and the outcomes may be returned."""
        verdict = run(lambda _: value)
        assert (verdict.kind, verdict.failed) == (Kind.RETRY, True)
        assert "returned" in verdict.reason
        assert "it may return None, Ack(), Retry()" in verdict.reason

    def test_a_returned_coroutine_is_closed(self) -> None:
        """It is a failure, without a warning later that it was never awaited."""

        async def later() -> None: ...

        assert "returned coroutine" in run(lambda _: later()).reason

    @pytest.mark.parametrize("error", [OwnError("x"), SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=repr)
    def test_any_exception_is_a_failed_message(self, error: BaseException) -> None:
        """Also those that end a program; the thread goes on."""
        verdict = run(raising(error), retry=retry.fixed(5))
        assert verdict == Verdict(Kind.RETRY, after=5, reason=failure.reason_of(error), failed=True)

    @pytest.mark.parametrize("body", ["no json", '{"id":"x","total":1}'], ids=["malformed", "mistyped"])
    def test_a_body_that_does_not_decode_goes_the_same_way(self, body: str) -> None:
        """By the retry policy, or at once to the dead-letter queue if DecodeError is non_retryable."""
        assert run(lambda _: None, received(body), retry=[4]).after == 4
        verdict = run(lambda _: None, received(body), non_retryable=errors.DecodeError)
        assert (verdict.kind, verdict.failed) == (Kind.DEAD_LETTER, True)
        assert "DecodeError: body does not decode as Invoice" in verdict.reason

    @pytest.mark.parametrize(
        "non_retryable",
        [OwnError, (KeyError, OwnError), lambda error: "x" in str(error)],
        ids=["class", "tuple", "test"],
    )
    def test_non_retryable(self, non_retryable: Any) -> None:
        """Named exceptions go to the dead-letter queue with class and words, subclasses and group members too."""

        class Narrower(OwnError):
            """Derived."""

        assert run(raising(OwnError("x")), non_retryable=non_retryable) == Verdict(
            Kind.DEAD_LETTER, reason="OwnError: x", failed=True
        )
        assert run(raising(Narrower("x")), non_retryable=non_retryable).kind is Kind.DEAD_LETTER
        assert run(raising(ValueError("y")), non_retryable=non_retryable).kind is Kind.RETRY
        group = ExceptionGroup("x", [ValueError(), OwnError()])
        assert run(raising(group), non_retryable=non_retryable).kind is Kind.DEAD_LETTER

    def test_the_wait_is_that_of_the_attempt(self) -> None:
        """The policy is asked with the context's attempt."""
        assert run(raising(OwnError()), attempt=3, retry=[1, 2, 30]).after == 30

    @pytest.mark.parametrize(
        "policy", [lambda _: -1, lambda _: float("nan"), lambda _: "x", lambda _: 1 / 0], ids=range(4)
    )
    def test_a_policy_that_fails_is_replaced_by_the_default(
        self, policy: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The message is retried all the same, and the log says why."""
        verdict = run(raising(OwnError()), retry=policy)
        assert verdict.kind is Kind.RETRY
        assert 0 <= verdict.after <= 5
        assert "retry policy of handler" in caplog.text

    def test_a_predicate_that_fails_means_retry(self, caplog: pytest.LogCaptureFixture) -> None:
        """The message is not lost to a faulty non_retryable."""
        assert run(raising(OwnError()), non_retryable=lambda _: 1 / 0).kind is Kind.RETRY
        assert "ZeroDivisionError" in caplog.text

    def test_an_exception_without_words_gives_a_reason(self) -> None:
        """A failing __str__, control characters and a long text do not keep the verdict from its bounds."""

        class Mute(Exception):
            def __str__(self) -> str:
                raise OwnError

        assert run(raising(Mute())).reason.startswith("Mute: (no words")
        long = run(raising(OwnError("\x00" + "x" * 5_000))).reason
        assert len(long) == failure.REASON_CHARACTERS
        assert "\x00" not in long

    def test_a_message_that_makes_no_sense_is_a_failure(self) -> None:
        """Even system attributes that cannot be read do not escape, though then no hook can be told."""
        verdict = run(
            lambda _: None, ReceivedMessage("m", "h", '{"id":1,"total":1}', {"ApproximateReceiveCount": "many"})
        )
        assert verdict.kind is Kind.RETRY


class TestReport:
    """Who is told of a failure, and how."""

    def test_hooks_are_told_of_every_failure(self) -> None:
        """(error, queue, message); a Retry counts; releases and discards do not; an undecodable body is text."""
        told: list[Any] = []

        def hook(error: BaseException, queue: str, message: Message[Any]) -> None:
            told.append((type(error), queue, message.body, message.id))

        run(raising(OwnError()), on_error=(hook,))
        run(raising(OwnError()), on_error=(hook,), non_retryable=OwnError)
        run(lambda _: Retry(), on_error=(hook,))
        run(lambda _: None, received("no"), on_error=(hook,))
        for quiet in (Release(), Discard("x"), DeadLetter("y"), None):
            run(lambda _, outcome=quiet: outcome, on_error=(hook,))
        invoice = Invoice(7, 1999)
        assert told == [
            (OwnError, "invoices", invoice, "m-1"),
            (OwnError, "invoices", invoice, "m-1"),
            (Retry, "invoices", invoice, "m-1"),
            (errors.DecodeError, "invoices", "no", "m-1"),
        ]

    def test_a_raising_hook_changes_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        """It is logged, the next hook is told, and the verdict stands."""
        told: list[str] = []

        def bad(_error: BaseException, _queue: str, _message: Message[Any]) -> None:
            raise SystemExit("hook")

        def good(_error: BaseException, queue: str, _message: Message[Any]) -> None:
            told.append(queue)

        assert run(raising(OwnError("x")), on_error=(bad, good), retry=[3]).after == 3
        assert told == ["invoices"]
        assert "test_a_raising_hook_changes_nothing.<locals>.bad raised" in caplog.text

    def test_a_failure_is_logged_once_with_its_traceback(self, caplog: pytest.LogCaptureFixture) -> None:
        """As text, in one record that keeps no exception, with the handler, the message and what comes next."""
        run(raising(OwnError("seven")), retry=[8])
        (record,) = [each for each in caplog.records if each.name == LOG]
        assert record.levelno == logging.WARNING
        assert record.exc_info is None
        assert "message m-1 of invoices, attempt 1, 0.000 s: failed, next try in 8.0 s: OwnError: seven" in caplog.text
        assert "in fail" in caplog.text
        assert not any(isinstance(value, BaseException) for value in record.args or ())

    def test_a_dead_letter_is_an_error_and_an_outcome_a_note(self, caplog: pytest.LogCaptureFixture) -> None:
        """The level follows what was decided, by whom."""
        caplog.set_level(logging.INFO, LOG)
        run(raising(OwnError()), non_retryable=OwnError)
        run(lambda _: Discard("old"))
        levels = [(each.levelno, each.getMessage()) for each in caplog.records if each.name == LOG]
        assert [level for level, _ in levels] == [logging.ERROR, logging.INFO]
        assert "Traceback" not in levels[1][1]

    def test_a_log_that_raises_changes_nothing(self) -> None:
        """A broken log handler costs the line; the verdict stands and the hooks are told."""

        class Broken(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                raise OSError("disk full")

        broken, told = Broken(), []
        logging.getLogger(LOG).addHandler(broken)
        try:
            verdict = run(raising(OwnError("x")), on_error=(lambda *each: told.append(each[1]),), retry=[3])
        finally:
            logging.getLogger(LOG).removeHandler(broken)
        assert verdict == Verdict(Kind.RETRY, after=3, reason="OwnError: x", failed=True)
        assert told == ["invoices"]

    def test_an_outcome_that_cannot_be_read_is_retried(self) -> None:
        """Even a signal of a user's own making, broken, gives a verdict."""

        class Broken(Retry):
            def __getattribute__(self, name: str) -> Any:
                if name == "after":
                    raise OwnError("no time")
                return super().__getattribute__(name)

        verdict = run(raising(Broken()))
        assert (verdict.kind, verdict.after, verdict.reason) == (Kind.RETRY, 30, "Broken")

    def test_a_traceback_that_cannot_be_written_is_said_so(self, caplog: pytest.LogCaptureFixture) -> None:
        """An exception whose own methods fail while it is formatted still gives a line and a verdict."""

        class Twisted(OwnError):
            """Its notes cannot be read."""

            @property
            def __notes__(self) -> list[str]:
                raise OwnError("no notes")

        assert run(raising(Twisted("x"))).kind is Kind.RETRY
        assert "Twisted" in caplog.text

    def test_a_huge_failure_is_shortened(self, caplog: pytest.LogCaptureFixture) -> None:
        """A megabyte of words gives at most 16 KiB of traceback."""
        run(raising(OwnError("x" * 1_000_000)))
        (record,) = [each for each in caplog.records if each.name == LOG]
        assert len(record.getMessage()) < failure.TRACEBACK_CHARACTERS + 2_000
        assert "[... cut ...]" in record.getMessage()

    def test_current_message_is_set_while_the_handler_runs(self) -> None:
        """Log lines of the user can name the message; afterwards there is none."""
        seen: list[Any] = []
        handler = handler_of(lambda _: seen.append(current_message.get()))
        handler.run(received(), context())
        assert seen[0].message_id == "m-1"
        assert seen[0].handler == handler.name
        assert current_message.get() is None


def keep_frame(_: Invoice) -> None:
    """Fail with a cycle: the frame holds the exception that holds the frame."""
    try:
        raise OwnError("inner")
    except OwnError as error:
        kept = error
        raise ValueError("outer") from kept


def raise_group(invoice: Invoice) -> None:
    """Fail with members that hold frames of their own."""
    found = []
    for _ in range(2):
        try:
            keep_frame(invoice)
        except ValueError as error:
            found.append(error)
    raise ExceptionGroup("several", found)


def raise_retry(invoice: Invoice) -> None:
    """Ask for a retry while another exception is being handled."""
    held = invoice
    try:
        keep_frame(held)
    except ValueError as error:
        again = Retry(5, str(error))
        raise again  # noqa: B904 -- the context is what is looked at


def bad_hook(error: BaseException, _queue: str, message: Message[Any]) -> None:
    """Fail with all that a hook gets in a cycle."""
    held = message
    trouble = OwnError(str(held))
    raise trouble from error


@pytest.mark.parametrize(
    ("function", "body", "hooks"),
    [
        (lambda _: None, None, ()),
        (lambda invoice: DeadLetter(str(invoice.id)), None, ()),
        (keep_frame, None, ()),
        (raise_group, None, ()),
        (raise_retry, None, ()),
        (lambda _: None, '{"id":1}', ()),
        (keep_frame, None, (bad_hook,)),
        (lambda _: 42, None, (bad_hook,)),
    ],
    ids=["ok", "returned", "failed", "group", "retry-raised", "undecodable", "hook-raises", "wrong-value"],
)
def test_nothing_of_a_message_outlives_its_run(function: Any, body: str | None, hooks: Any) -> None:
    """I8: body, message, context, exceptions and the raw message die by reference count alone."""
    watched: list[weakref.ref[Any]] = []

    def hook(error: BaseException, _queue: str, message: Message[Any]) -> None:
        watched.extend([weakref.ref(error), weakref.ref(message)])

    def spied(invoice: Invoice, message: Message[Invoice], ctx: Context) -> Outcome | None:
        watched.extend([weakref.ref(invoice), weakref.ref(message), weakref.ref(ctx)])
        return function(invoice)  # type: ignore[no-any-return] # whatever the case returns

    handler = handler_of(spied, on_error=(hook, *hooks))
    raw, ctx = received() if body is None else received(body), context()
    watched.extend([weakref.ref(raw), weakref.ref(ctx)])
    gc.disable()
    try:
        handler.run(raw, ctx)
        del raw, ctx
        alive = [ref() for ref in watched if ref() is not None]
        assert not alive
    finally:
        gc.enable()
    assert len(watched) >= 4


def test_options_are_those_given_over_the_defaults() -> None:
    """What a handler does not say comes from the app."""
    app = App("test", defaults=HandlerOptions(time_limit=60, hold_limit=10))
    handler = app.queue("q", str).handler(time_limit=None)(lambda _: None)
    assert handler.options == HandlerOptions(time_limit=None, hold_limit=10)
    assert handler.given == {"time_limit": None}


def test_a_bad_body_is_logged_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """A body that does not decode is the sender's doing: the log says what is wrong with it, without frames of ours."""
    handler = hadoken.App("shop").queue("orders", dict).handler(lambda body: None)
    with caplog.at_level(logging.WARNING, logger="hadoken.handler"):
        verdict = handler.run(received("not json"), context())
    assert verdict.kind is Kind.RETRY
    assert "Traceback" not in caplog.text
    assert "DecodeError" in caplog.text


def test_an_ack_may_be_raised() -> None:
    """All five outcomes are returned or raised; a raised Ack is as good as a return."""
    assert run(raising(Ack())) == ACKED


def test_a_context_is_made_for_a_unit_test_without_an_engine() -> None:
    """`Context()` is a first attempt whose lease never ends, and asking for more time is harmless."""
    ctx = hadoken.Context()
    ctx.extend(60)
    assert (ctx.attempt, ctx.is_last_attempt, ctx.lease_lost, ctx.cancelled) == (1, False, False, False)
    assert ctx.time_left == float("inf")


def test_the_last_failure_is_an_error_that_says_where_the_message_goes(caplog: pytest.LogCaptureFixture) -> None:
    """After the last attempt there is no next try: the log says so, as an error."""
    handler = handler_of(raising(OwnError("broken")))
    last = Context(attempt=5, is_last_attempt=True)
    with caplog.at_level(logging.INFO, logger="hadoken.handler"):
        handler.run(received(), last)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "attempt 5" in record.getMessage()
    assert "its last attempt: to the dead-letter queue: OwnError: broken" in record.getMessage()


def test_a_traceback_begins_where_the_users_code_does(caplog: pytest.LogCaptureFixture) -> None:
    """The frames between the thread and the function are the same every time and are left out."""
    with caplog.at_level(logging.INFO, logger="hadoken.handler"):
        handler_of(raising(OwnError("broken"))).run(received(), context())
    frames = [line for line in caplog.text.splitlines() if line.startswith('  File "')]
    assert frames
    assert not [line for line in frames if 'handler.py", line' in line and "src/hadoken" in line]


def test_what_was_returned_by_mistake_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """A wrong return value has no frames to show, so its sentence stands alone."""
    with caplog.at_level(logging.INFO, logger="hadoken.handler"):
        handler_of(lambda invoice: 42).run(received(), context())
    assert caplog.text.count("returned int") == 1


def test_an_async_function_behind_a_partial_is_refused_too() -> None:
    """What would be awaited is found under `functools.partial`."""

    async def later(_body: Invoice, _how: str) -> None: ...

    with pytest.raises(errors.InvalidHandler, match="is async"):
        handler_of(functools.partial(later, _how="x"))
