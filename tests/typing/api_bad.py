"""Mistakes that a type checker must see: each marked line must be an error, and no other. Never run."""

from __future__ import annotations

from dataclasses import dataclass

import hadoken


@dataclass
class Invoice:
    """A body."""

    id: int


app = hadoken.App("billing")
invoices = app.queue("invoices", Invoice)


@invoices.handler(time_limt=60)  # BAD: misspelt option
def misspelt(invoice: Invoice) -> None:
    """Have a misspelt option."""


@app.handler("a", visibility_timout=30)  # BAD: misspelt option of the shorthand
def misspelt_too(body: str) -> None:
    """Have a misspelt option."""


@invoices.handler  # BAD: another body
def other_body(body: str) -> None:
    """Take what the queue does not hold."""


@invoices.handler(time_limit=5)  # BAD: another body, with options
def other_body_too(body: str) -> None:
    """Take what the queue does not hold."""


@invoices.handler(time_limit=5)  # BAD: no outcome
def other_result(invoice: Invoice) -> int:
    """Return what is no outcome."""
    return invoice.id


@invoices.handler  # BAD: async, not there yet
async def later(invoice: Invoice) -> None:
    """Be a coroutine function."""


@invoices.handler(time_limit=5)
def charge(invoice: Invoice, ctx: hadoken.Context) -> None:
    """Be right."""


def call_it(ctx: hadoken.Context) -> None:
    """Call a handler wrongly."""
    charge("text", ctx)  # BAD: another body
    charge(Invoice(1))  # BAD: context left out
    _ = ctx.attempts  # BAD: misspelt attribute


invoices.send({"id": 1})  # BAD: another body
invoices.send(Invoice(1), dely=5)  # BAD: misspelt keyword
invoices.send(Invoice(1), attributes={"a": None})  # BAD: no attribute value
invoices.send_many([Invoice(1), "text"])  # BAD: one of them is another body
invoices.asend({"id": 1})  # BAD: another body
invoices.asend_many([Invoice(1)], deduplication_id="d")  # BAD: of one message only
app.queue("numbers", int, codec=object())  # BAD: no codec
app.pool("p", concurency=3)  # BAD: misspelt option
hadoken.HandlerOptions(time_limt=3)  # BAD: misspelt field
hadoken.Retry(after="5")  # BAD: no duration
hadoken.fixd(3)  # BAD: misspelt name
app.on_error(lambda: None)  # BAD: takes nothing
hadoken.exponential("5")  # BAD: no duration
