"""`asend` over real sockets: both transports, both loops, TLS, and loops that come and go."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import uvloop

import hadoken
from hadoken.sending import background
from hadoken.sqs.connection import Transport
from tests.support.authority import Authority
from tests.support.local_sqs import Server
from tests.support.peer import Peer, answer
from tests.support.waiting import wait_until
from tests.support.worker import Bench

Run = Callable[[Coroutine[Any, Any, Any]], Any]

_TAKEN = answer(b'{"Successful":[{"Id":"0","MessageId":"m"}]}')


@pytest.fixture(autouse=True)
def quick_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The thread ends as soon as it has nothing to do, and with it botocore's client."""
    monkeypatch.setattr(background, "LINGER", 0.0)
    yield
    assert wait_until(lambda: not [one for one in threading.enumerate() if one.name == background.NAME])


def queue_at(url: str, address: str, transport: Transport, monkeypatch: pytest.MonkeyPatch) -> hadoken.Queue[str]:
    """A queue that is sent to by this transport."""
    monkeypatch.setenv("HADOKEN_QUEUES__Q", address)
    app = hadoken.App("t")
    app.connect(hadoken.Connection(endpoint_url=url, anonymous=True, transport=transport))
    return app.queue("q", str)


@pytest.mark.parametrize("transport", ["fast", "botocore"])
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_what_is_sent_arrives(bench: Bench, transport: Transport, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many at once and many in batches; ids are those of SQS."""
    url = bench.queue()
    queue = queue_at(bench.url, Bench.name(url), transport, monkeypatch)

    async def main() -> list[str]:
        ids = await asyncio.gather(*[queue.asend(f"one {number}") for number in range(20)])
        return [*ids, *await queue.asend_many([f"many {number}" for number in range(23)])]

    ids = run(main())
    assert len(set(ids)) == 43
    assert bench.counts(url)[0] == 43


def test_loops_that_come_and_go_leave_no_socket(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred runs open a hundred connections, and hold none."""
    queue = queue_at(bench.url, Bench.name(bench.queue()), "fast", monkeypatch)
    asyncio.run(queue.asend("x"))
    gc.collect()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(100):
        asyncio.run(queue.asend("x"))
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_tls_with_an_authority_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_CA_BUNDLE counts for `send` and `asend`; without it, nothing is sent."""
    authority = Authority(tmp_path)
    with Server(0, *authority.certificate().options) as server:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.bundle))
        queue = queue_at(server.url, "q", "fast", monkeypatch)
        with pytest.raises(hadoken.QueueNotFound):
            asyncio.run(queue.asend("x"))
        with pytest.raises(hadoken.QueueNotFound):
            queue.send("x")
        monkeypatch.delenv("AWS_CA_BUNDLE")
        stranger = queue_at(server.url, "q", "fast", monkeypatch)
        with pytest.raises(hadoken.SQSUnavailable, match="certificate"):
            asyncio.run(stranger.asend("x"))
        with pytest.raises(hadoken.SQSUnavailable, match="certificate"):
            stranger.send("x")


@pytest.mark.parametrize("awaits", [False, True], ids=["send", "asend"])
def test_a_mock_that_begins_later_sees_every_send(awaits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """While botocore is patched nothing goes over our sockets; afterwards it does again."""
    with Peer(_TAKEN, _TAKEN) as peer:
        queue = queue_at(peer.url, f"{peer.url}000000000000/q", "auto", monkeypatch)

        def send(body: str) -> str:
            return asyncio.run(queue.asend(body)) if awaits else queue.send(body)

        said = {"Successful": [{"Id": "0", "MessageId": "mocked"}], "ResponseMetadata": {"HTTPStatusCode": 200}}
        assert send("first") == "m"
        with mock.patch("botocore.client.BaseClient._make_api_call", return_value=said) as call:
            assert [send("second"), send("third")] == ["mocked"] * 2
        assert [each.args[0] for each in call.call_args_list] == ["SendMessageBatch"] * 2
        assert send("last") == "m"
    assert [body in sent for body, sent in zip((b"first", b"last"), peer.requests, strict=True)] == [True, True]


@pytest.mark.parametrize("awaits", [False, True], ids=["send", "asend"])
def test_a_first_send_under_a_mock_binds_to_nothing(awaits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the mock is gone it goes over our sockets, and aside again under the next one."""
    with Peer(_TAKEN, _TAKEN) as peer:
        queue = queue_at(peer.url, f"{peer.url}000000000000/q", "auto", monkeypatch)
        said = {"Successful": [{"Id": "0", "MessageId": "mocked"}], "ResponseMetadata": {"HTTPStatusCode": 200}}

        async def all_awaited() -> list[str]:
            return [await queue.asend("x") if awaits else queue.send("x") for _ in range(2)]

        for _ in range(2):
            with mock.patch("botocore.client.BaseClient._make_api_call", return_value=said):
                assert asyncio.run(all_awaited()) == ["mocked"] * 2
            assert (asyncio.run(queue.asend("x")) if awaits else queue.send("x")) == "m"
    assert len(peer.requests) == 2
