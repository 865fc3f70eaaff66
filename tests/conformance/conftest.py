"""The suite of the local SQS: each test is one line of the list of facts about SQS that hadoken relies on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.local_sqs import Server, Sqs, Virtual, boto3_client


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A local SQS of the module's own, in a child process."""
    with Server() as running:
        yield running


@pytest.fixture(scope="module")
def http(server: Server) -> Iterator[Sqs]:
    """The local SQS over HTTP, in real time."""
    client = boto3_client(server.url)
    client.list_queues()  # opens the connection that the tests share
    yield Sqs(client, lambda: server.get("events")["events"])
    client.close()


@pytest.fixture(scope="module")
def _virtual() -> Iterator[Virtual]:
    virtual = Virtual()
    yield virtual
    virtual.client.close()


@pytest.fixture
def virtual(_virtual: Virtual) -> Virtual:
    """The local SQS in process, in virtual time, empty."""
    _virtual.reset()
    return _virtual


@pytest.fixture(params=["http", "virtual"])
def sqs(request: pytest.FixtureRequest, http: Sqs, _virtual: Virtual) -> Sqs:
    """Both, for what needs no time to pass. Asked for as arguments, they are made before the leak check looks."""
    return http if request.param == "http" else _virtual
