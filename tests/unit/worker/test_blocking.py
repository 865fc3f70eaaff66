"""The two threads that may block: whose their results are, and what becomes of those that nobody waits for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from hadoken.errors import SQSDenied
from hadoken.worker import blocking
from hadoken.worker.blocking import Credentials, Resolver
from tests.support.signals import TestSignal
from tests.support.waiting import GLOBAL


@pytest.fixture(params=[Resolver, Credentials])
def resolver(request: pytest.FixtureRequest) -> Iterator[Resolver]:
    """A resolver whose thread runs, or the credentials' one, which makes calls too; it is ended after the test."""
    made: Resolver = request.param()
    thread = threading.Thread(target=made.run, name="resolver")
    thread.start()
    yield made
    made.stop()
    made.stop()
    thread.join(GLOBAL)
    assert not thread.is_alive()


def fail() -> int:
    """A call that goes wrong."""
    raise OSError("no file")


def test_results_and_errors_come_to_the_loop_that_asked(resolver: Resolver) -> None:
    """They come as futures of that loop, made in the resolver's thread; no result is unwanted."""
    unwanted: list[object] = []

    async def ask() -> tuple[str, BaseException | None]:
        loop = asyncio.get_running_loop()
        name = resolver.submit(lambda: threading.current_thread().name, loop, unwanted=unwanted.append)
        error = resolver.submit(fail, loop, unwanted=unwanted.append)
        await asyncio.wait({name, error})
        return name.result(), error.exception()

    name, error = asyncio.run(ask())
    assert name == "resolver"
    assert isinstance(error, OSError)
    assert unwanted == []


def test_a_future_that_was_given_up_takes_no_result(resolver: Resolver) -> None:
    """Cancelled while the call is made, it stays so, and the loop hears of no error."""
    go = threading.Event()

    async def give_up() -> bool:
        loop = asyncio.get_running_loop()
        complaints: list[object] = []
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        future = resolver.submit(lambda: go.wait(GLOBAL), loop, unwanted=lambda _: None)
        future.cancel()
        go.set()
        await resolver.submit(lambda: True, loop, unwanted=lambda _: None)
        assert complaints == []
        return future.cancelled()

    assert asyncio.run(give_up())


def ask_in_vain(resolver: Resolver, call: Callable[[], int], unwanted: Callable[[int], object]) -> None:
    """Submit a call that ends only when the loop has been closed."""
    go = threading.Event()

    def late() -> int:
        assert go.wait(GLOBAL)
        return call()

    async def ask() -> None:
        resolver.submit(late, asyncio.get_running_loop(), unwanted=unwanted)

    asyncio.run(ask())
    go.set()


def test_a_result_that_comes_when_the_loop_is_closed_is_handed_to_whoever_ends_it(resolver: Resolver) -> None:
    """A transport that was made too late must be closed by somebody, so it is not dropped."""
    unwanted = TestSignal[int]("unwanted")
    ask_in_vain(resolver, lambda: 7, unwanted.emit)
    assert unwanted.wait() == [7]


def test_an_error_that_comes_when_the_loop_is_closed_ends_nothing(resolver: Resolver) -> None:
    """Nobody waits for it, and the resolver goes on with the next call."""
    unwanted = TestSignal[int]("unwanted")
    ask_in_vain(resolver, fail, unwanted.emit)
    ask_in_vain(resolver, lambda: 8, unwanted.emit)
    assert unwanted.wait() == [8]


def test_credentials_that_cannot_be_renewed_are_told_once_until_they_can(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One line for each change of state, not for each look; looking goes on."""
    monkeypatch.setattr(blocking, "REFRESH_EVERY", 0.001)
    monkeypatch.setattr(blocking, "RETRY_EVERY", 0.001)
    credentials = Credentials()
    looked = TestSignal[int]("looked")
    failing = {1, 2, 3, 5}

    def refresh() -> None:
        looked.emit(len(looked) + 1)
        if len(looked) in failing:
            raise SQSDenied(f"credentials cannot be refreshed: {len(looked)}")

    thread = threading.Thread(target=credentials.run)
    thread.start()
    credentials.watch(refresh)
    looked.wait(6)
    credentials.stop()
    thread.join(GLOBAL)
    told = [record.getMessage() for record in caplog.records if record.name == "hadoken.worker"]
    assert told == [
        f"credentials cannot be refreshed: {n}; requests go on with the old ones while they last" for n in (1, 5)
    ]


def test_what_is_taken_is_done_and_nothing_is_taken_after_the_end() -> None:
    """Whoever lends it work learns that it is too late, before anybody waits for it."""
    made, done = Resolver(), list[int]()
    assert made.take(lambda: done.append(1))
    made.stop()
    assert not made.take(lambda: done.append(2))
    made.run()
    assert done == [1]
