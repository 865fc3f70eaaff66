"""One handler on one message: the codec, the run and the outcome are the real ones, a queue is not needed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

import hadoken
from hadoken.testing import perform


@dataclass
class Order:
    """A typed body."""

    id: int
    total: int


def test_the_body_goes_through_the_codec(app: hadoken.App) -> None:
    """What the handler gets is decoded from what SQS would carry, not the test's own object."""
    got: list[Order] = []

    @app.queue("orders", Order).handler
    def handle(order: Order) -> None:
        got.append(order)

    order = Order(1, 5)
    assert repr(perform(handle, order)) == "Ack()"
    assert got == [order]
    assert got[0] is not order


def test_a_body_that_could_not_be_sent_fails(app: hadoken.App) -> None:
    """A body of another type, or beyond what SQS takes, is refused before the handler runs."""

    @app.queue("orders", Order).handler
    def handle(order: Order) -> None:
        raise AssertionError("not reached")

    with pytest.raises(hadoken.EncodeError, match="this queue takes"):
        perform(handle, {"id": 1, "total": 5})  # type: ignore[arg-type] # the point
    with pytest.raises(hadoken.EncodeError, match="SQS"):
        perform(handle, Order(1, 5), attributes={"AWS.x": "y"})


def test_message_and_context_are_as_told(app: hadoken.App) -> None:
    """Every field of the message and the context that a handler looks at can be set."""
    seen: list[tuple[object, ...]] = []

    @app.queue("orders.fifo", str).handler
    def handle(body: str, message: hadoken.Message[str], ctx: hadoken.Context) -> None:
        seen.append((body, message.id, message.key, message.message_group_id, message.receive_count))
        seen.append((ctx.attempt, ctx.is_last_attempt, dict(message.attributes), message.sent_at))

    when = datetime(2026, 7, 1, tzinfo=UTC)
    perform(
        handle, "a", id="m-1", key="k-1", message_group_id="g7", receive_count=3, attempt=5, is_last_attempt=True,
        attributes={"kind": "receipt", "size": 3}, sent_at=when,
    )  # fmt: skip
    assert seen == [
        ("a", "m-1", "k-1", "g7", 3),
        (5, True, {"kind": "receipt", "size": "3", "hadoken-key": "k-1"}, when),
    ]
    seen.clear()
    perform(handle, "b")
    (_, id_, key, group, receives), (attempt, last, attributes, _) = seen
    assert (key, group, receives, attempt, last, attributes) == (id_, "g", 1, 1, False, {})


def test_outcomes_are_returned_however_they_came(app: hadoken.App) -> None:
    """Returned or raised, with the policy's wait where the handler gave none."""

    @app.queue("orders", str).handler(retry=hadoken.fixed(30))
    def handle(body: str) -> hadoken.Outcome | None:
        if body == "raised":
            raise hadoken.DeadLetter("no customer")
        return {"retry": hadoken.Retry(), "after": hadoken.Retry(5), "discard": hadoken.Discard("old")}.get(body)

    said = {body: repr(perform(handle, body)) for body in ("raised", "retry", "after", "discard", "none")}
    assert said == {
        "raised": "DeadLetter('no customer')",
        "retry": "Retry(after=30, reason='')",
        "after": "Retry(after=5, reason='')",
        "discard": "Discard('old')",
        "none": "Ack()",
    }


def test_an_error_is_raised_or_judged(app: hadoken.App) -> None:
    """The handler's exception comes up; on demand, what its policy makes of it is returned instead."""

    @app.queue("orders", str).handler(retry=[10, 60], non_retryable=KeyError)
    def handle(body: str) -> None:
        raise {"bug": KeyError, "down": ConnectionError}[body](body)

    with pytest.raises(ConnectionError, match="down"):
        perform(handle, "down")
    again = perform(handle, "down", attempt=2, raise_errors=False)
    assert isinstance(again, hadoken.Retry)
    assert again.after == 60
    hopeless = perform(handle, "bug", raise_errors=False)
    assert isinstance(hopeless, hadoken.DeadLetter)
    assert hopeless.reason == "KeyError: 'bug'"


def test_what_is_no_handler_is_refused() -> None:
    """A plain function is named, with what to do."""
    with pytest.raises(hadoken.ConfigurationError, match=r"is no handler .*@queue.handler"):
        perform(print, "a")  # type: ignore[arg-type] # the point
