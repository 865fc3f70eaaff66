"""Bodies arrive as the types they were declared with, whoever sent them; what does not decode is not lost.

The testing kit runs all of it but `test_parity_10_text`: what becomes of a text between another client's request and
the handler is the business of the wire too, so that one goes over HTTP.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest

import hadoken
from hadoken.testing import FakeSQS, StartWorker
from tests.support.signals import TestSignal
from tests.support.worker import Bench


@pytest.fixture
def app() -> hadoken.App:
    """A fresh app."""
    return hadoken.App("t")


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


def test_parity_09_json(app: hadoken.App, fake_sqs: FakeSQS, worker: StartWorker) -> None:
    """JSON that any client sent arrives as the declared dataclass or dict."""
    bodies: list[object] = []

    @app.handler("invoices")
    def on_invoice(invoice: Invoice) -> None:
        bodies.append(invoice)

    @app.handler("dicts")
    def on_dict(body: dict[str, Any]) -> None:
        bodies.append(body)

    work = worker(app)
    fake_sqs.send("invoices", '{"number": 7, "lines": ["a", "ß"]}')
    fake_sqs.send("dicts", '{"deep": {"er": [1, null]}}')
    assert len(work.drain()) == 2
    assert Invoice(7, ["a", "ß"]) in bodies
    assert {"deep": {"er": [1, None]}} in bodies
    assert fake_sqs.held("invoices") == fake_sqs.held("dicts") == (0, 0, 0)


def test_parity_10_text(app: hadoken.App, bench: Bench) -> None:
    """Text arrives as it is: no JSON is read into it, white space and every plane of Unicode stay."""
    url = bench.queue()
    texts = ["plain", ' {"not": "parsed"}\n', "tab\tß€😀\r\n", "123"]
    bench.send(url, *texts)
    bodies = TestSignal[str]("bodies")
    app.queue(bench.name(url), str).handler(bodies.emit)
    with hadoken.Worker(app, connection=bench.connection, wait_time=1):
        assert sorted(bodies.wait(4)) == sorted(texts)
        bench.wait_empty(url)


def test_parity_11_own_codec(app: hadoken.App, fake_sqs: FakeSQS, worker: StartWorker) -> None:
    """A user's codec encodes what is sent and decodes what is received; what it refuses follows the retry policy."""
    bodies: list[str] = []
    queue = app.queue("q", str, codec=Reversed())
    queue.handler(retry=hadoken.fixed(0))(bodies.append)
    fake_sqs.provide(app, max_receives=2)
    work = worker(app)
    queue.send("hadoken")
    work.drain()
    assert bodies == ["hadoken"]
    assert [sent.body for sent in work.sent(queue)] == ["hadoken"]
    (refused,) = fake_sqs.send("q", "42")
    with work.expect(hadoken.DecodeError) as errors:
        work.drain()
    assert len(errors) == 2
    assert fake_sqs.receives("q")[refused] == 2
    assert [event.id for event in fake_sqs.events("q", "moved")] == [refused]
    assert [letter.raw_body for letter in work.dead_letters(queue)] == ["42"]
    assert fake_sqs.held("q") == (0, 0, 0)
    assert bodies == ["hadoken"]


def test_undecodable_bodies_follow_the_retry_policy(app: hadoken.App, fake_sqs: FakeSQS, worker: StartWorker) -> None:
    """A body that does not decode is retried, told to the error hook, dead-lettered by SQS, and kills no thread."""
    good: list[int] = []
    errors: list[tuple[str, str, str]] = []
    app.on_error(lambda error, queue, message: errors.append((type(error).__name__, queue, message.id)))

    @app.handler("q", retry=[0, 10])
    def on_invoice(invoice: Invoice) -> None:
        good.append(invoice.number)

    fake_sqs.provide(app, max_receives=3)
    work = worker(app, concurrency=2, raise_errors=False)
    bad = fake_sqs.send("q", "{", "[]", "7")
    work.advance("21s")
    assert len(fake_sqs.events("q", "moved")) == 3
    fake_sqs.send("q", *(json.dumps({"number": n, "lines": []}) for n in range(20)))
    work.drain()
    assert sorted(good) == list(range(20))
    assert fake_sqs.held("q") == (0, 0, 0)
    ours = [thread.name for thread in threading.enumerate() if thread.name.startswith("hadoken-")]
    assert sorted(ours) == ["hadoken-default-1", "hadoken-default-2", "hadoken-engine"]
    assert {id_: fake_sqs.receives("q")[id_] for id_ in bad} == dict.fromkeys(bad, 3)
    assert not set(fake_sqs.deleted("q")) & set(bad)
    assert sorted(letter.raw_body for letter in work.dead_letters("q")) == sorted(["{", "[]", "7"])
    assert Counter(errors) == dict.fromkeys([("DecodeError", "q", id_) for id_ in bad], 3)
    changes = fake_sqs.events("q", "visibility changed")
    assert sorted(event.timeout for event in changes) == [0, 0, 0, 10, 10, 10, 10, 10, 10]


def test_undecodable_and_non_retryable(app: hadoken.App, fake_sqs: FakeSQS, worker: StartWorker) -> None:
    """Where decode errors are non-retryable, a body that does not decode takes one attempt to the dead-letter queue."""

    @app.handler("q", non_retryable=hadoken.DecodeError)
    def on_invoice(invoice: Invoice) -> None:
        raise AssertionError(invoice)

    work = worker(app)
    (bad,) = fake_sqs.send("q", "{")
    with work.expect(hadoken.DecodeError) as errors:
        work.drain()
    assert len(errors) == 1
    assert fake_sqs.receives("q") == {bad: 1}
    assert fake_sqs.held("q") == (0, 0, 0)
    (copy,) = work.dead_letters(on_invoice)
    assert (copy.raw_body, copy.key) == ("{", bad)
    assert "does not decode as Invoice" in str(copy.attributes["hadoken-reason"])


def test_parity_40_sent_by_the_app(app: hadoken.App, fake_sqs: FakeSQS, worker: StartWorker) -> None:
    """Text, a dict, a batch and a delayed message that the app sends reach their handlers, from a handler too."""
    texts, dicts = app.queue("texts", str), app.queue("dicts", dict)
    got: list[object] = []

    @texts.handler
    def on_text(body: str) -> None:
        if body == "forward":
            dicts.send({"from": "handler"})

    dicts.handler(got.append)
    work = worker(app)
    late = texts.send("delayed", delay=60)
    sent = [texts.send("alone"), texts.send("forward"), *texts.send_many([f"m{n}" for n in range(12)])]
    dicts.send({"n": 1, "deep": {"er": [True]}})
    assert len(work.drain()) == 14 + 2
    assert fake_sqs.held("texts") == (0, 0, 1)
    assert work.advance("59s") == []
    assert [(run.body, run.message.id) for run in work.advance("1s")] == [("delayed", late)]
    assert {"from": "handler"} in got
    assert {"n": 1, "deep": {"er": [True]}} in got
    assert fake_sqs.receives("texts") == Counter([*sent, late])
    assert sorted(fake_sqs.deleted("texts")) == sorted([*sent, late])
    assert fake_sqs.held("texts") == fake_sqs.held("dicts") == (0, 0, 0)
    (sent_at,) = (event.at for event in fake_sqs.events("texts", "sent") if event.id == late)
    (received_at,) = (event.at for event in fake_sqs.events("texts", "received") if event.id == late)
    assert received_at >= sent_at + 60
