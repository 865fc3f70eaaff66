"""What a worker makes of the choice of a transport: its plan, its banner, its snapshot."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

import hadoken
from hadoken.errors import ConfigurationError
from hadoken.local.inprocess import LocalSQS
from hadoken.sqs.connection import Connection
from hadoken.sqs.credentials import Credentials
from hadoken.worker.banner import banner, tracing_line
from hadoken.worker.snapshot import TransportSnapshot
from tests.support.peer import Peer, answer
from tests.support.ports import refusing_port
from tests.support.signals import TestSignal

Client = Any  # botocore makes its classes at run time


@pytest.fixture
def endpoint() -> Iterator[str]:
    """An endpoint where nobody is: nothing here sends a request."""
    with refusing_port() as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def make_client(endpoint: str) -> Iterator[Callable[..., Client]]:
    """Make clients of boto3 with settings."""
    made: list[Client] = []

    def make(**settings: Any) -> Client:
        keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
        config = Config(**settings)
        made.append(boto3.client("sqs", region_name="eu-west-1", endpoint_url=endpoint, config=config, **keys))
        return made[-1]

    yield make
    for client in made:
        client.close()


def app_of(queues: int = 2) -> hadoken.App:
    """An app with some queues."""
    app = hadoken.App("test")
    for number in range(queues):

        @app.handler(f"q{number}")
        def handle(_: str) -> None:
            return None

    return app


def test_fast_has_no_threads(endpoint: str) -> None:
    """However many queues there are: the bound of botocore's threads does not hold for it."""
    worker = hadoken.Worker(app_of(100), connection=Connection(endpoint_url=endpoint, anonymous=True))
    assert "sqs" not in worker.plan.budget
    assert worker.transport == f"fast to {endpoint}, no threads"
    assert worker.snapshot().transport == TransportSnapshot("fast", "", endpoint, 0)
    with pytest.raises(ConfigurationError, match="100 queues need 102 threads with the botocore transport"):
        hadoken.Worker(app_of(100), connection=Connection(endpoint_url=endpoint, anonymous=True), transport="botocore")


def test_the_reason_stands_in_banner_and_snapshot(endpoint: str, make_client: Callable[..., Client]) -> None:
    """With the threads that it costs."""
    worker = hadoken.Worker(app_of(), client=make_client(client_cert="client.pem"))
    assert worker.plan.budget["sqs"] == 4
    reason = "a client certificate is set"
    assert f"botocore to {endpoint}, 4 threads (queues + 2): {reason}\n" in banner(worker.plan, worker.transport)
    assert worker.snapshot().transport == TransportSnapshot("botocore", reason, endpoint, 4)
    assert tracing_line(worker.choice) == ""


@pytest.mark.parametrize(("read_timeout", "wait"), [(60, 20), (10, 8), (2.5, 1)])
def test_polls_end_before_the_users_client_gives_up(
    make_client: Callable[..., Client], read_timeout: float, wait: int
) -> None:
    """A poll that waits longer than the client reads would never be answered; our own transport does not mind."""
    client = make_client(read_timeout=read_timeout)
    assert hadoken.Worker(app_of(), client=client, transport="botocore", drain_timeout=60).plan.wait_time == wait
    assert hadoken.Worker(app_of(), client=client, drain_timeout=60).plan.wait_time == 20


def test_a_transport_that_was_given_is_named() -> None:
    """Nothing is chosen, and botocore is not asked."""
    worker = hadoken.Worker(app_of(), sqs=LocalSQS())
    assert worker.choice is None
    assert worker.snapshot().transport == TransportSnapshot("LocalSQS")


def test_two_places_are_refused(endpoint: str, make_client: Callable[..., Client]) -> None:
    """Which of them was meant, nobody knows."""
    client = make_client()
    with pytest.raises(ConfigurationError, match="connection and client name two places"):
        hadoken.Worker(app_of(), client=client, connection=Connection(endpoint_url=endpoint))
    with pytest.raises(ConfigurationError, match="region and client name two places"):
        hadoken.Worker(app_of(), client=client, region="eu-west-1")


def test_fast_with_a_cause_is_refused_before_any_thread(make_client: Callable[..., Client]) -> None:
    """The cause is named; `auto` is the way out."""
    client = make_client(client_cert="client.pem")
    with pytest.raises(ConfigurationError, match='transport="fast" cannot be taken: a client certificate is set'):
        hadoken.Worker(app_of(), client=client, transport="fast")


def test_expired_keys_are_renewed_by_the_credentials_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by the resolver's: a look-up there may take half a minute."""
    renewed = TestSignal[str]("renewed")
    load = Credentials.renew

    def renew(credentials: Credentials) -> None:
        renewed.emit(threading.current_thread().name)
        load(credentials)

    expired = answer(b'{"__type":"com.amazon.coral.service#ExpiredTokenException"}', status="400 Bad Request")
    with Peer(*[expired] * 4) as peer:
        worker = hadoken.Worker(app_of(1), connection=Connection(endpoint_url=peer.url, anonymous=True))
        monkeypatch.setattr(Credentials, "renew", renew)
        worker.begin()
        try:
            assert renewed.wait(2) == ["hadoken-resolver", "hadoken-credentials"]  # loaded first, then renewed
        finally:
            worker.drain(0.0)
            worker.stop()
