"""Bodies arrive as the types they were declared with, whoever sent them; what does not decode is not lost."""

from __future__ import annotations

import json
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any

import hadoken
from tests.support.journal import ENDED, Journal
from tests.support.signals import TestSignal
from tests.support.worker import Bench


@dataclass
class Invoice:
    """A body with a type of its own."""

    number: int
    lines: list[str]


class Reversed:
    """A codec of a user's own: text backwards, and numbers are not taken."""

    def encode(self, value: str, /) -> str:
        """The text backwards."""
        return value[::-1]

    def decode(self, text: str, /) -> str:
        """The text backwards."""
        if text.isdecimal():
            raise ValueError("numbers are not taken")
        return text[::-1]


def test_parity_09_json(bench: Bench) -> None:
    """JSON that any client sent arrives as the declared dataclass or dict."""
    invoices, dicts = bench.queue(), bench.queue()
    bench.send(invoices, '{"number": 7, "lines": ["a", "ß"]}')
    bench.send(dicts, '{"deep": {"er": [1, null]}}')
    app = hadoken.App("t")
    bodies = TestSignal[object]("bodies")

    @app.handler(bench.name(invoices))
    def on_invoice(invoice: Invoice) -> None:
        bodies.emit(invoice)

    @app.handler(bench.name(dicts))
    def on_dict(body: dict[str, Any]) -> None:
        bodies.emit(body)

    with hadoken.Worker(app, connection=bench.connection, wait_time=1):
        got = bodies.wait(2)
        bench.wait_empty(invoices)
        bench.wait_empty(dicts)
    assert Invoice(7, ["a", "ß"]) in got
    assert {"deep": {"er": [1, None]}} in got


def test_parity_10_text(bench: Bench) -> None:
    """Text arrives as it is: no JSON is read into it, white space and every plane of Unicode stay."""
    url = bench.queue()
    texts = ["plain", ' {"not": "parsed"}\n', "tab\tß€😀\r\n", "123"]
    bench.send(url, *texts)
    app = hadoken.App("t")
    bodies = TestSignal[str]("bodies")
    app.queue(bench.name(url), str).handler(bodies.emit)
    with hadoken.Worker(app, connection=bench.connection, wait_time=1):
        assert sorted(bodies.wait(4)) == sorted(texts)
        bench.wait_empty(url)


def test_parity_11_own_codec(bench: Bench) -> None:
    """A user's codec encodes what is sent and decodes what is received; what it refuses follows the retry policy."""
    url, dead = bench.letterbox(2)
    app = hadoken.App("t", defaults=hadoken.HandlerOptions(retry=hadoken.fixed(0)))
    bodies = TestSignal[str]("bodies")
    queue = app.queue(bench.name(url), str, codec=Reversed())
    queue.handler(bodies.emit)
    with hadoken.Worker(app, connection=bench.connection, wait_time=1):
        queue.send("hadoken")
        assert bodies.wait(1) == ["hadoken"]
        (refused,) = bench.send_many(url, ["42"])
        bench.wait_told(url, "moved", 1)
        bench.wait_empty(url)
    assert bench.receives(url)[refused] == 2
    assert bench.bodies(dead) == ["42"]
    assert bodies.facts == ["hadoken"]


def test_undecodable_bodies_follow_the_retry_policy(bench: Bench) -> None:
    """A body that does not decode is retried, told to the error hook, dead-lettered by SQS, and kills no thread."""
    url, dead = bench.letterbox(3, {"VisibilityTimeout": 30})
    bad = bench.send_many(url, ["{", "[]", "7"])
    app = hadoken.App("t")
    good, errors = TestSignal[int]("good"), TestSignal[tuple[str, str, str]]("errors")
    app.on_error(lambda error, queue, message: errors.emit((type(error).__name__, queue, message.id)))

    @app.handler(bench.name(url), retry=[0, 1])
    def on_invoice(invoice: Invoice) -> None:
        good.emit(invoice.number)

    with hadoken.Worker(app, connection=bench.connection, wait_time=1, concurrency=2) as worker:
        bench.wait_told(url, "moved", 3)
        bench.send_many(url, [json.dumps({"number": n, "lines": []}) for n in range(20)])
        assert sorted(good.wait(20)) == list(range(20))
        bench.wait_empty(url)
        assert all(birth.thread.is_alive() for birth in worker.threads.alive())
        assert len(worker.threads.alive()) == sum(worker.plan.budget.values()) - 1
    assert {id_: bench.receives(url)[id_] for id_ in bad} == dict.fromkeys(bad, 3)
    assert not set(bench.deleted(url)) & set(bad)
    assert sorted(bench.bodies(dead)) == sorted(["{", "[]", "7"])
    assert Counter(errors.facts) == dict.fromkeys([("DecodeError", bench.name(url), id_) for id_ in bad], 3)
    assert sorted(e["timeout"] for e in bench.told(url, "visibility changed")) == [0, 0, 0, 1, 1, 1, 1, 1, 1]


def test_undecodable_and_non_retryable(bench: Bench) -> None:
    """Where decode errors are non-retryable, a body that does not decode takes one attempt to the dead-letter queue."""
    url, dead = bench.letterbox(5)
    (bad,) = bench.send_many(url, ["{"])
    app = hadoken.App("t")

    @app.handler(bench.name(url), non_retryable=hadoken.DecodeError)
    def on_invoice(invoice: Invoice) -> None:
        raise AssertionError(invoice)

    with hadoken.Worker(app, connection=bench.connection, wait_time=1):
        bench.wait_told(dead, "sent", 1)
        bench.wait_empty(url)
    assert bench.receives(url) == {bad: 1}
    (copy,) = bench.receive(dead)
    attributes = {name: value["StringValue"] for name, value in copy["MessageAttributes"].items()}
    assert copy["Body"] == "{"
    assert attributes["hadoken-key"] == bad
    assert "does not decode as Invoice" in attributes["hadoken-reason"]


def test_parity_40_sent_by_the_app(bench: Bench, journal: Journal) -> None:
    """Text, a dict, a batch and a delayed message that the app sends reach their handlers, from a handler too."""
    texts, dicts = bench.queue(), bench.queue()
    app = hadoken.App("t")
    got = TestSignal[object]("got")
    delayed = threading.Event()
    out = app.queue(bench.name(dicts), dict)

    @app.handler(bench.name(texts))
    def on_text(body: str, ctx: hadoken.Context) -> None:
        with journal.run(ctx):
            if body == "forward":
                out.send({"from": "handler"})
            if body == "delayed":
                delayed.set()

    out.handler(got.emit)
    queue = app.queue(bench.name(texts), str)
    with hadoken.Worker(app, connection=bench.connection, wait_time=1):
        late = queue.send("delayed", delay=1)
        sent = [queue.send("alone"), queue.send("forward"), *queue.send_many([f"m{n}" for n in range(12)])]
        out.send({"n": 1, "deep": {"er": [True]}})
        journal.wait(14, ENDED)
        got.wait(2)
        journal.wait(15, ENDED)
        assert delayed.is_set()
        bench.wait_empty(texts)
        bench.wait_empty(dicts)
    assert {"from": "handler"} in got.facts
    assert {"n": 1, "deep": {"er": [True]}} in got.facts
    assert bench.receives(texts) == Counter([*sent, late])
    (sent_at,) = (event["at"] for event in bench.told(texts, "sent", late))
    (received_at,) = (event["at"] for event in bench.told(texts, "received", late))
    assert received_at >= sent_at + 1
