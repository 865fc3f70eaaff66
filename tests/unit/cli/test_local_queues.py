"""What `--local` makes, and where a local SQS is looked for."""

from __future__ import annotations

import pytest

import hadoken
from hadoken.errors import ConfigurationError
from hadoken.local.child import ChildServer
from hadoken.local.finding import VARIABLE, answers, default_url, look_at, usual_or_local
from hadoken.local.provision import dead_letter_queue_of, provision
from tests.support import ports


@pytest.mark.parametrize(
    ("name", "letters"),
    [
        ("orders", "orders-dlq"),
        ("steps.fifo", "steps-dlq.fifo"),
        ("x" * 80, "x" * 76 + "-dlq"),
        ("x" * 75 + ".fifo", "x" * 71 + "-dlq.fifo"),
    ],
)
def test_a_dead_letter_queue_is_named_after_its_queue(name: str, letters: str) -> None:
    """A FIFO queue's is a FIFO queue too, and no name is longer than SQS allows."""
    assert dead_letter_queue_of(name) == letters
    assert len(letters) <= 80


def test_a_queue_elsewhere_cannot_be_made_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue that the environment maps to a URL is not looked for on the local SQS; nothing is asked."""
    app = hadoken.App("x")
    app.queue("orders", str)
    monkeypatch.setenv("HADOKEN_QUEUES__ORDERS", "https://sqs.eu-west-3.amazonaws.com/123456789012/orders")
    with ports.refusing_port() as port:
        connection = hadoken.Connection(endpoint_url=f"http://127.0.0.1:{port}", anonymous=True)
        with pytest.raises(ConfigurationError, match="unset HADOKEN_QUEUES__ORDERS"):
            provision(app, connection)


def test_the_default_port_can_be_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable moves it for all commands; what is no port is refused."""
    monkeypatch.delenv(VARIABLE, raising=False)
    assert default_url() == "http://127.0.0.1:9324"
    monkeypatch.setenv(VARIABLE, "4711")
    assert default_url() == "http://127.0.0.1:4711"
    for text in ("", "0", "65536", "http", "-1"):
        monkeypatch.setenv(VARIABLE, text)
        with pytest.raises(ConfigurationError, match=VARIABLE):
            default_url()


def test_nobody_and_strangers_are_no_local_sqs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port where nobody listens is none, and the usual settings hold then."""
    with ports.refusing_port() as port:
        monkeypatch.setenv(VARIABLE, str(port))
        assert look_at(default_url(), "state") is None
        assert not answers()
        assert usual_or_local(region="eu-west-3") == hadoken.Connection(region="eu-west-3")
    elsewhere = hadoken.Connection(endpoint_url="http://sqs:1")
    assert usual_or_local(endpoint_url="http://sqs:1") == elsewhere


def test_only_what_a_worker_uses_is_made() -> None:
    """A queue whose handler is left out is not made; one without a handler is, for handlers may send to it."""
    app = hadoken.App("x")
    app.queue("audit", str)
    for name in ("orders", "steps.fifo"):
        app.handler(name)(_take)
    with ChildServer() as sqs:
        assert provision(app, sqs.connection, served=["orders"]) == ["audit", "orders"]
        assert set((look_at(sqs.url, "state") or {})["queues"]) == {"audit", "audit-dlq", "orders", "orders-dlq"}
        assert provision(app, sqs.connection) == ["steps.fifo"]


def _take(body: str) -> None: ...
