"""Clients for loops of the caller's: credentials that expire, botocore behind a thread, what blocks done elsewhere."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import pytest

from hadoken.errors import ConfigurationError, SQSDenied
from hadoken.sqs import onloop
from hadoken.sqs.api import ForLoops, LoopSQS, SendBatch, SendEntry, SentBatch
from hadoken.sqs.credentials import Credentials, Keys
from hadoken.sqs.onloop import ByThread, Stepping, Waiting
from hadoken.sqs.settings import Settings
from tests.support.peer import Peer, answer

T = TypeVar("T")

TAKEN = answer(b'{"Successful":[{"Id":"0","MessageId":"m"}]}')
URL = answer(b'{"QueueUrl":"http://sqs/1/q"}')
ONE = SendBatch("http://sqs/1/q", [SendEntry("x")])


class Here:
    """Does at once, in the calling thread, what is to be done elsewhere; counts it."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, work: Callable[[], T], /) -> asyncio.Future[T]:
        """Do it."""
        self.calls += 1
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            future.set_result(work())
        except (ConfigurationError, OSError, SQSDenied) as error:
            future.set_exception(error)
        return future


class Expiring:
    """Credentials that expire, of botocore's kind."""

    def __init__(self) -> None:
        self.asked = 0
        self.broken = False

    def refresh_needed(self) -> bool:
        """Mark them as such."""
        return False

    def get_frozen_credentials(self) -> Keys:
        """Give the keys of now."""
        self.asked += 1
        if self.broken:
            raise OSError("the role is gone")
        return Keys(f"key{self.asked}", "secret", None)


class Aside:
    """A client that blocks, in the place of botocore's."""

    made = 0

    def __init__(self) -> None:
        Aside.made += 1

    def send_batch(self, request: SendBatch) -> SentBatch:
        """Take everything."""
        return SentBatch({at: "aside" for at, _ in enumerate(request.entries)})

    def queue_url(self, name: str) -> str:
        """One URL for each name; a queue called "denied" is."""
        if name == "denied":
            raise SQSDenied("no", operation="GetQueueUrl", code="AccessDenied")
        return f"http://aside/{name}"


@pytest.fixture(autouse=True)
def count_from_zero() -> None:
    """Each test counts for itself."""
    Aside.made = 0


def settings(url: str, source: Any, **given: Any) -> Settings:
    """Settings with these credentials."""
    return Settings(url, "us-east-1", Credentials(lambda: source), **given)


def test_keys_that_expire_are_renewed_elsewhere_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not at every send; and where it fails, sending goes on with those that are there."""
    source, here = Expiring(), Here()

    async def main(url: str) -> None:
        client = Stepping(settings(url, source), Aside).on_loop(here)
        await client.queue_url("q")
        assert (source.asked, here.calls) == (1, 1)  # the one call looks the name up
        client.close()
        monkeypatch.setattr(onloop, "REFRESH_EVERY", -1.0)
        client = Stepping(settings(url, source), Aside).on_loop(here)
        source.broken = True
        with caplog.at_level(logging.WARNING, "hadoken.sqs"):
            assert (await client.send_batch(ONE)).sent == {0: "m"}
        assert source.asked == 3
        client.close()

    with Peer(URL, TAKEN) as peer:
        asyncio.run(main(peer.url))
    assert "the role is gone" in caplog.text
    assert b"Credential=key2/" in peer.requests[1]


def test_it_steps_aside_while_botocore_is_patched_and_comes_back() -> None:
    """A client of botocore is made anew for each such time."""
    here = Here()

    async def main(url: str) -> list[str]:
        client = Stepping(settings(url, Keys("k", "s", None)), Aside).on_loop(here)
        ids = []
        for _ in range(2):
            ids.append((await client.send_batch(ONE)).sent[0])
            with mock.patch("botocore.client.BaseClient._make_api_call"):
                ids += [(await client.send_batch(ONE)).sent[0] for _ in range(2)]
        client.close()
        return ids

    with Peer(TAKEN, TAKEN) as peer:
        assert asyncio.run(main(peer.url)) == ["m", "aside", "aside"] * 2
    assert Aside.made == 2


def test_botocore_is_made_once_for_all_loops_and_called_elsewhere() -> None:
    """Results and errors come by the future; nothing is called in the loop's own turn but by `offload`."""
    every, here = ByThread(Aside), Here()

    async def main() -> str:
        client = every.on_loop(here)
        with pytest.raises(SQSDenied):
            await client.queue_url("denied")
        url = await client.queue_url("q")
        assert (await client.send_batch(ONE)).sent == {0: "aside"}
        client.close()
        return url

    assert [asyncio.run(main()) for _ in range(2)] == ["http://aside/q"] * 2
    assert (Aside.made, here.calls) == (1, 6)


def test_certificates_that_cannot_be_read_are_the_users_mistake(tmp_path: Path) -> None:
    """Found where it may block, before any loop is served."""
    with pytest.raises(ConfigurationError, match=r"cannot be read from .*gone.pem"):
        Stepping(settings("https://sqs.invalid/", None, ca_bundle=str(tmp_path / "gone.pem")), Aside)


class Baggage:
    """What a request of a web application carries in a context variable."""


def test_a_connection_does_not_keep_the_context_of_who_opened_it() -> None:
    """It lives for minutes; who sent by it first may be gone at once, and with it what its variables held."""
    here = Here()
    baggage: contextvars.ContextVar[Baggage] = contextvars.ContextVar("baggage")

    async def caller(client: LoopSQS) -> weakref.ref[Baggage]:
        carried = Baggage()
        baggage.set(carried)
        await client.queue_url("q")
        return weakref.ref(carried)

    async def main(url: str) -> None:
        client = Stepping(settings(url, Keys("k", "s", None)), Aside).on_loop(here)
        carried = await asyncio.create_task(caller(client))
        await asyncio.sleep(0)  # the step in which a task ends us still holds it
        gc.collect()
        assert carried() is None
        await client.send_batch(ONE)
        client.close()

    with Peer(URL, TAKEN) as peer:
        asyncio.run(main(peer.url))
    assert peer.connections == 1


def test_a_choice_made_under_a_patch_is_made_again_after_it() -> None:
    """All that wait for it share one choice, also those of other loops; a failed one is made by the next call."""
    here, chosen = Here(), 0

    def choose() -> ForLoops:
        nonlocal chosen
        chosen += 1
        if chosen == 1:
            raise ConfigurationError("no region")
        return Stepping(settings(peer.url, Keys("k", "s", None)), Aside)

    waiting = Waiting(choose, Aside)

    async def main(fails: int) -> list[str]:
        client = waiting.on_loop(here)
        with mock.patch("botocore.client.BaseClient._make_api_call"):
            ids = [(await client.send_batch(ONE)).sent[0], await client.queue_url("q")]
        for _ in range(fails):
            with pytest.raises(ConfigurationError, match="no region"):
                await client.send_batch(ONE)
        both = await asyncio.gather(client.send_batch(ONE), client.send_batch(ONE))
        with mock.patch("botocore.client.BaseClient._make_api_call"):
            ids.append((await client.send_batch(ONE)).sent[0])
        client.close()
        return [*ids, *[one.sent[0] for one in both]]

    with Peer(*[TAKEN] * 4) as peer:
        assert [asyncio.run(main(fails)) for fails in (1, 0)] == [["aside", "http://aside/q", "aside", "m", "m"]] * 2
    assert chosen == 2


def test_a_caller_that_is_cancelled_leaves_the_choice_to_others() -> None:
    """And a client that was closed before it chose has nothing to close."""
    here: list[asyncio.Future[Any]] = []

    def offload(_: Any) -> asyncio.Future[Any]:
        here.append(asyncio.get_running_loop().create_future())
        return here[-1]

    async def main(url: str) -> str:
        client = Waiting(lambda: ByThread(Aside), Aside).on_loop(offload)
        client.close()
        calls = [asyncio.ensure_future(client.send_batch(ONE)) for _ in range(2)]
        await asyncio.sleep(0)
        calls[0].cancel()
        await asyncio.sleep(0)
        here[0].set_result(Stepping(settings(url, Keys("k", "s", None)), Aside))
        sent = (await calls[1]).sent[0]
        assert (calls[0].cancelled(), len(here)) == (True, 1)
        client.close()
        return sent

    with Peer(TAKEN) as peer:
        assert asyncio.run(main(peer.url.replace("localhost", "127.0.0.1"))) == "m"


def test_who_stands_aside_is_made_anew_for_what_comes_later() -> None:
    """A client of botocore that was made before moto was imported would send to AWS itself."""
    here = Here()

    async def main() -> None:
        client = Stepping(settings("http://127.0.0.1:9/", Keys("k", "s", None)), Aside).on_loop(here)
        with mock.patch("botocore.client.BaseClient._make_api_call"):
            await client.send_batch(ONE)
        with mock.patch("botocore.endpoint.Endpoint.make_request"):
            await client.send_batch(ONE)
            await client.send_batch(ONE)
        client.close()

    asyncio.run(main())
    assert Aside.made == 2
