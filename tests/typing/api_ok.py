"""The public API as people use it: every line must please mypy --strict and basedpyright. Never run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypedDict, assert_type

import msgspec

import hadoken
from hadoken import Message


@dataclass
class Invoice:
    """A body."""

    id: int
    total: int


class Paid(TypedDict):
    """A body."""

    invoice: int


class Parcel(msgspec.Struct):
    """A body."""

    weight: float


class Hex:
    """A codec."""

    def encode(self, value: int, /) -> str:
        """To text."""
        return f"{value:x}"

    def decode(self, text: str, /) -> int:
        """From text."""
        return int(text, 16)


app = hadoken.App("billing", defaults=hadoken.HandlerOptions(time_limit=60, retry=hadoken.fixed(5)))
invoices = app.queue("invoices", Invoice)
assert_type(invoices, hadoken.Queue[Invoice])
assert_type(app.queue("paid", Paid), hadoken.Queue[Paid])
assert_type(app.queue("counts", dict[str, int]), hadoken.Queue[dict[str, int]])
assert_type(app.queue("numbers", int, codec=Hex()), hadoken.Queue[int])
app.pool("slow", concurrency=2, queues={"invoices": 3})


@invoices.handler(
    pool="slow",
    retry=hadoken.exponential(10, max=900),
    non_retryable=(KeyError, ValueError),
    time_limit=timedelta(minutes=1),
    visibility_timeout=30,
    hold_limit=10,
)
def charge(invoice: Invoice, ctx: hadoken.Context) -> hadoken.Outcome | None:
    """Use what a context has."""
    if ctx.is_last_attempt or ctx.cancelled or ctx.lease_lost or ctx.time_left < 5:
        return hadoken.DeadLetter(f"{invoice.id}: attempt {ctx.attempt}")
    ctx.extend(60)
    if invoice.total < 0:
        raise hadoken.Discard("negative")
    return hadoken.Retry(after=timedelta(seconds=5))


def call_it(ctx: hadoken.Context) -> None:
    """Call a handler as the function that it is."""
    assert_type(charge(Invoice(1, 2), ctx), hadoken.Outcome | None)
    assert_type(charge.options.time_limit, float | None)


@app.queue("parcels", Parcel).handler
def ship(parcel: Parcel) -> None:
    """Take the bare decorator."""
    assert_type(parcel.weight, float)


@app.handler("paid", retry=[1, 5, 60], time_limit=None)
def note(paid: Paid, message: Message[Paid], *, ctx: hadoken.Context) -> None:
    """Use what a message has."""
    assert_type(message.body, Paid)
    assert_type(message.attributes.get("tenant"), str | bytes | None)
    assert_type(paid["invoice"], int)
    assert_type(ctx.message.id, str)


@app.handler("texts", retry=lambda attempt: attempt * 2.0, non_retryable=lambda error: "x" in str(error))
def text(_: str) -> hadoken.Retry | hadoken.Ack:
    """Return some of the outcomes."""
    return hadoken.Ack()


assert_type(ship, hadoken.Handler[Parcel, [], None])
assert_type(ship(Parcel(1.5)), None)
assert_type(text("x"), hadoken.Retry | hadoken.Ack)


@app.on_error
def report(error: BaseException, queue: str, message: Message[object]) -> None:
    """Be told."""
    assert_type((error, queue, message.key), tuple[BaseException, str, str])


part = hadoken.Handlers(defaults=hadoken.HandlerOptions(hold_limit=1), on_error=[report])


@part.queue("part", str).handler(time_limit=1)
def part_of(body: str) -> None:
    """Be declared elsewhere."""
    assert_type(body, str)


app.include(part)
app.connect(hadoken.Connection(endpoint_url="http://localhost:9324", anonymous=True))

assert_type(invoices.send(Invoice(1, 2), delay=5, attributes={"a": "x", "n": 1.5, "b": b""}), str)
assert_type(
    invoices.send_many(
        [Invoice(1, 2), hadoken.Outgoing(Invoice(3, 4), delay=timedelta(seconds=1))], message_group_id="g"
    ),
    list[str],
)


async def send_on_a_loop() -> None:
    """Send and await."""
    assert_type(await invoices.asend(Invoice(1, 2), delay=5, deduplication_id="d"), str)
    assert_type(await invoices.asend_many([Invoice(1, 2), hadoken.Outgoing(Invoice(3, 4))], delay=5), list[str])


def failed_of(error: hadoken.BatchFailed) -> Mapping[int, str]:
    """Use an error's facts."""
    return error.failed


worker_options = hadoken.WorkerOptions(concurrency=4, queues=("invoices",), wait_time=10)
