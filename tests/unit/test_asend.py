"""Sending that is awaited: the same decisions as `send`, one client for each loop, one thread for what would block."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import queue
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any

import pytest

from hadoken.app import App
from hadoken.errors import BatchFailed, EncodeError, InvalidOption, QueueNotFound, SQSDenied, SQSError, SQSThrottled
from hadoken.sending import background as module
from hadoken.sending.background import NAME, Background, background
from hadoken.sending.sender import Sender
from hadoken.sqs.api import BlockingSQS, EntryFailure, ForLoops, LoopSQS, Offload, SendBatch, SentBatch, sqs_error
from hadoken.testing import FakeSQS, worker
from tests.support.waiting import wait_until

LIMIT = 10.0


class FarOnLoop:
    """One loop's client of `Far`."""

    def __init__(self, far: Far) -> None:
        self._far = far
        self.closed = 0
        self.was_closed = asyncio.Event()

    def queue_url(self, name: str) -> asyncio.Future[str]:
        """One URL for each name."""
        self._far.asked.append(name)
        return done(f"http://sqs/1/{name}")

    def send_batch(self, request: SendBatch) -> asyncio.Future[SentBatch]:
        """Answer by the script."""
        self._far.requests.append(request)
        self._far.requested.set()
        reply = self._far.script.pop(0) if self._far.script else taken()
        if isinstance(reply, asyncio.Future):
            return reply
        return done(reply if isinstance(reply, SQSError) else reply(request))

    def close(self) -> None:
        """Count it."""
        self.closed += 1
        self.was_closed.set()


class Far:
    """The far end: answers by a script, and takes everything once the script has ended.

    Attributes:
        openings: how often it was asked what clients are made of; the answer comes by `opened`, where that is set.
        clients: one for each loop.
    """

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.requests: list[SendBatch] = []
        self.asked: list[str] = []
        self.openings = 0
        self.opened: Callable[[Offload], asyncio.Future[ForLoops]] | None = None
        self.clients: list[FarOnLoop] = []
        self.requested = asyncio.Event()

    def blocking(self) -> BlockingSQS:
        """Be no door for callers that block."""
        raise AssertionError("nothing here blocks")

    def for_loops(self, offload: Offload, /) -> asyncio.Future[ForLoops]:
        """Be the door."""
        self.openings += 1
        return done(self) if self.opened is None else self.opened(offload)

    def on_loop(self, _: Offload, /) -> LoopSQS:
        """Make a client."""
        self.clients.append(FarOnLoop(self))
        return self.clients[-1]


def done(outcome: Any) -> asyncio.Future[Any]:
    """A future of the running loop that is settled."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
    return future


def taken(**failed: EntryFailure) -> Callable[[SendBatch], SentBatch]:
    """Accept every entry but those at the positions `e<n>`."""
    refused = {int(name[1:]): failure for name, failure in failed.items()}

    def reply(request: SendBatch) -> SentBatch:
        sent = {place: f"id-{each.body}" for place, each in enumerate(request.entries) if place not in refused}
        return SentBatch(sent, refused)

    return reply


def throttled() -> SQSError:
    """A whole call that may work later."""
    return sqs_error("SendMessageBatch", "RequestThrottled", "slow down")


def app_at(far: Far) -> tuple[App, list[float]]:
    """An app that sends to `far`; its pauses are recorded, not waited for."""
    app, pauses = App("test"), []
    app.sender = Sender(pause=pauses.append, draw=lambda: 1.0)
    app.connect(far)
    return app, pauses


@pytest.fixture(autouse=True)
def quick_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The thread does not linger, and each test has one of its own."""
    monkeypatch.setattr(module, "LINGER", 0.0)
    monkeypatch.setattr(module, "_of_process", {})
    yield
    assert wait_until(lambda: not living())


def living() -> list[threading.Thread]:
    """Threads of ours."""
    return [thread for thread in threading.enumerate() if thread.name == NAME]


# ---- as send ---------------------------------------------------------------------------------------------------------


def test_asend_is_one_request_and_gives_the_id() -> None:
    """Client and URL are made once; nothing else is asked for, and no thread is started."""
    far = Far()
    app, _ = app_at(far)
    queue = app.queue("orders", dict)

    async def main() -> list[str]:
        return [await queue.asend({"id": number}, delay=2) for number in (1, 2)]

    assert asyncio.run(main()) == ['id-{"id":1}', 'id-{"id":2}']
    assert [(one.queue_url, one.entries[0].delay) for one in far.requests] == [("http://sqs/1/orders", 2)] * 2
    assert (far.asked, far.openings, len(far.clients), living()) == (["orders"], 1, 1, [])


def test_asend_many_batches_in_order() -> None:
    """Twenty-three bodies make three requests; ids come in the order of the bodies."""
    far = Far()
    app, _ = app_at(far)
    bodies = [str(number) for number in range(23)]
    assert asyncio.run(app.queue("q", str).asend_many(iter(bodies))) == [f"id-{body}" for body in bodies]
    assert [len(one.entries) for one in far.requests] == [10, 10, 3]


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"delay": 901}, InvalidOption, "delay is 901 s"),
        ({"attributes": {"a": ""}}, EncodeError, "attribute a is empty"),
        ({"dely": 1}, InvalidOption, "asend.*dely.*delay"),
    ],
    ids=["delay", "attribute", "misspelt"],
)
def test_what_sqs_would_refuse_is_refused_before_the_call(
    given: dict[str, Any], error: type[Exception], says: str
) -> None:
    """Nothing is opened or asked for."""
    far = Far()
    app, _ = app_at(far)
    with pytest.raises(error, match=says):
        asyncio.run(app.queue("q", str).asend("x", **given))
    with pytest.raises(EncodeError, match="item 1: body is empty"):
        asyncio.run(app.queue("q", str).asend_many(["a", ""]))
    assert (far.requests, far.openings) == ([], 0)


def test_transient_failures_are_retried_and_then_raised() -> None:
    """Three tries with the pauses of `send`, then the last error; a denied request is made once."""
    far = Far(throttled(), taken(e0=EntryFailure("InternalError", sender_fault=False)))
    app, pauses = app_at(far)
    queue = app.queue("q", str)
    assert asyncio.run(queue.asend("x")) == "id-x"
    assert pauses == [0.1, 0.2]
    far.script = [throttled() for _ in range(3)]
    with pytest.raises(SQSThrottled):
        asyncio.run(queue.asend("x"))
    assert (len(pauses), far.script) == (4, [])
    far.script = [sqs_error("SendMessageBatch", "AccessDenied", "no")]
    with pytest.raises(SQSDenied):
        asyncio.run(queue.asend("x"))
    assert len(pauses) == 4


def test_the_real_pause_leaves_the_loop_to_others() -> None:
    """Between two tries another task runs."""
    far = Far(throttled())
    sender = Sender(draw=lambda: 0.0)
    app = App("test")
    app.sender = sender
    app.connect(far)
    order: list[str] = []

    async def main() -> None:
        async def other() -> None:
            order.append("other")

        task = asyncio.ensure_future(other())
        order.append(await app.queue("q", str).asend("x"))
        await task

    asyncio.run(main())
    assert order == ["other", "id-x"]
    assert len(far.requests) == 2


def test_errors_are_those_of_send() -> None:
    """A missing queue is named; refused entries are reported by their position, and all others are sent."""
    far = Far(sqs_error("SendMessageBatch", "QueueDoesNotExist", "gone"))
    app, _ = app_at(far)
    with pytest.raises(QueueNotFound, match="queue orders does not exist"):
        asyncio.run(app.queue("orders", str).asend("x"))
    far.script = [taken(e7=EntryFailure("InvalidMessageContents", "bad"))]
    with pytest.raises(BatchFailed) as raised:
        asyncio.run(app.queue("orders", str).asend_many([str(number) for number in range(12)]))
    assert list(raised.value.failed) == [7]
    assert [len(one.entries) for one in far.requests[1:]] == [10, 2]


# ---- one client for each loop ----------------------------------------------------------------------------------------


def test_calls_at_once_share_one_opening() -> None:
    """Fifty calls at once make one client, however long it takes to open; a cancelled one takes nothing from others."""
    far = Far()
    app, _ = app_at(far)

    async def main() -> list[Any]:
        opening: asyncio.Future[ForLoops] = asyncio.get_running_loop().create_future()
        far.opened = lambda _: opening
        calls = [asyncio.ensure_future(app.queue("q", str).asend(str(number))) for number in range(50)]
        await asyncio.sleep(0)
        calls[0].cancel()
        await asyncio.sleep(0)
        assert not far.requests
        opening.set_result(far)
        return await asyncio.gather(*calls, return_exceptions=True)

    first, *others = asyncio.run(main())
    assert isinstance(first, asyncio.CancelledError)
    assert others == [f"id-{number}" for number in range(1, 50)]
    assert (far.openings, len(far.clients), len(far.requests)) == (1, 1, 49)


def test_an_opening_that_failed_is_tried_again() -> None:
    """A wrong setting is told to those who wait, and looked at anew by the next call."""
    far = Far()
    app, _ = app_at(far)

    async def main() -> None:
        far.opened = lambda _: done(InvalidOption("no region"))
        for _ in range(2):
            with pytest.raises(InvalidOption, match="no region"):
                await app.queue("q", str).asend("x")
        far.opened = None
        assert await app.queue("q", str).asend("x") == "id-x"

    asyncio.run(main())
    assert far.openings == 3


def test_a_hundred_loops_leave_nothing() -> None:
    """Each has a client of its own, which is closed with it; no loop is held, and what was found out serves all."""
    far = Far()
    app, _ = app_at(far)
    queue = app.queue("q", str)
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []

    async def main() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await queue.asend("x")

    for _ in range(100):
        asyncio.run(main())
    assert [client.closed for client in far.clients] == [1] * 100
    assert (far.openings, len(far.requests)) == (1, 100)
    gc.collect()
    assert not [loop for loop in loops if loop() is not None]


def test_a_loop_closed_without_a_word_is_forgotten_by_the_next() -> None:
    """`loop.close()` alone tells nobody; at most one such loop is held."""
    far = Far()
    app, _ = app_at(far)
    queue = app.queue("q", str)
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []
    for _ in range(5):
        loop = asyncio.new_event_loop()
        loops.append(weakref.ref(loop))
        loop.run_until_complete(queue.asend("x"))
        loop.close()
        del loop
    gc.collect()
    assert len([loop for loop in loops if loop() is not None]) <= 1
    asyncio.run(queue.asend("x"))
    gc.collect()
    assert not [loop for loop in loops if loop() is not None]


def test_loops_in_many_threads_at_once() -> None:
    """Each has its own client; every message arrives once."""
    far = Far()
    app, _ = app_at(far)
    queue = app.queue("q", str)

    async def main(number: int) -> None:
        await asyncio.gather(*[queue.asend(f"{number}-{at}") for at in range(20)])

    threads = [threading.Thread(target=lambda number=number: asyncio.run(main(number))) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert len({one.entries[0].body for one in far.requests}) == len(far.requests) == 160
    assert [client.closed for client in far.clients] == [1] * 8


def test_another_door_closes_the_clients_of_the_old_one() -> None:
    """What is sent next goes by the new door."""
    first, second = Far(), Far()
    app, _ = app_at(first)

    async def main() -> None:
        await app.queue("q", str).asend("x")
        app.connect(second)
        await app.queue("q", str).asend("y")
        await asyncio.wait_for(first.clients[0].was_closed.wait(), LIMIT)

    asyncio.run(main())
    assert ([len(far.requests) for far in (first, second)]) == [1, 1]


def test_a_call_that_is_cancelled_cancels_its_request() -> None:
    """The future of the request is cancelled; the next call works, and nothing is sent twice."""
    far = Far()
    app, _ = app_at(far)

    async def main() -> None:
        request: asyncio.Future[SentBatch] = asyncio.get_running_loop().create_future()
        far.script = [request]
        call = asyncio.ensure_future(app.queue("q", str).asend("x"))
        await far.requested.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert request.cancelled()
        assert await app.queue("q", str).asend("y") == "id-y"

    asyncio.run(main())
    assert len(far.requests) == 2


# ---- the thread ------------------------------------------------------------------------------------------------------


def test_one_thread_does_what_blocks_for_all_loops() -> None:
    """Work of many loops is done by one named thread, in order; results and errors come back to who asked."""
    names: list[str] = []

    def work(number: int) -> int:
        names.append(threading.current_thread().name)
        if number == 3:
            raise ValueError("three")
        return number

    async def main() -> list[Any]:
        calls = [background().submit(lambda number=number: work(number)) for number in range(5)]
        return await asyncio.gather(*calls, return_exceptions=True)

    results = asyncio.run(main())
    assert results[:3] + results[4:] == [0, 1, 2, 4]
    assert str(results[3]) == "three"
    assert names == [NAME] * 5


def test_the_thread_ends_and_is_started_again() -> None:
    """It lingers for a while only; work that comes later is done all the same."""
    mine = Background()

    async def main() -> None:
        for _ in range(3):
            assert await mine.submit(lambda: 1) == 1
            assert wait_until(lambda: not living())

    asyncio.run(main())


def test_work_that_nobody_waits_for_is_not_begun() -> None:
    """A cancelled call that waits its turn is skipped."""
    gate: Future[None] = Future()
    made: list[str] = []

    async def main() -> None:
        first = background().submit(lambda: gate.result(LIMIT))
        second = background().submit(lambda: made.append("second"))
        third = background().submit(lambda: made.append("third"))
        second.cancel()
        gate.set_result(None)
        await asyncio.gather(first, third)

    asyncio.run(main())
    assert made == ["third"]


def test_an_answer_for_a_closed_loop_is_dropped() -> None:
    """The thread goes on with the work of others."""
    gate: Future[None] = Future()
    loop = asyncio.new_event_loop()

    async def leave() -> None:
        background().submit(lambda: gate.result(LIMIT))

    loop.run_until_complete(leave())
    loop.close()
    gate.set_result(None)

    async def main() -> int:
        return await background().submit(lambda: 7)

    assert asyncio.run(main()) == 7


@pytest.mark.parametrize("fails", [False, True])
def test_an_answer_that_nobody_waits_for_any_more_is_dropped(fails: bool) -> None:
    """A call that is cancelled while it is done: its outcome is nobody's, be it a result or an error."""
    begun, gate = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        gate.wait(LIMIT)
        if fails:
            raise ValueError("nobody hears it")

    async def main() -> int:
        call = background().submit(work)
        assert begun.wait(LIMIT)
        call.cancel()
        gate.set()
        return await background().submit(lambda: 7)

    assert asyncio.run(main()) == 7


def test_work_that_comes_as_the_thread_ends_is_done() -> None:
    """The last look of a thread that found nothing to do sees what came meanwhile."""
    mine = Background()
    mine._work.put(lambda: None)

    class Late:
        """A queue whose wait ends a moment too early."""

        def __init__(self) -> None:
            self.gets = 0

        def get(self, timeout: float | None = None) -> Callable[[], None]:
            self.gets += 1
            if timeout is not None:
                raise queue.Empty
            return waiting.get()

        def empty(self) -> bool:
            return waiting.empty()

    waiting = mine._work
    mine._work = late = Late()  # type: ignore[assignment] # a double
    assert mine._next() is not None
    assert mine._next() is None
    assert late.gets == 3


def test_a_child_process_has_a_thread_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a fork the parent's thread is not there, and its lock may be held for ever: both are left alone."""
    mine = background()
    mine._lock.acquire()
    monkeypatch.setattr(module.os, "getpid", lambda: 1)

    async def main() -> int:
        return await background().submit(lambda: 7)

    assert asyncio.run(main()) == 7
    assert background() is not mine


# ---- the testing kit -------------------------------------------------------------------------------------------------


def test_the_kits_sqs_answers_on_the_callers_loop() -> None:
    """`asend` under the kit is done at once; its faults fail it, and no thread is needed."""
    app, seen = App("test"), []

    @app.handler("orders")
    def keep(body: str) -> None:
        seen.append(body)

    sqs = FakeSQS()
    with worker(app, sqs=sqs) as work:
        queue = app.queues["orders"]
        sent = asyncio.run(queue.asend("one")), *asyncio.run(queue.asend_many(["two", "three"]))
        work.drain()
    assert len(set(sent)) == 3
    assert sorted(seen) == ["one", "three", "two"]
    assert not living()


def test_a_thread_that_is_lent_does_the_work() -> None:
    """None of ours is started; the one lent last does it, and one that refuses is passed over."""
    mine = Background()
    taken: list[str] = []

    def take(name: str, work: Callable[[], None], *, takes: bool = True) -> bool:
        taken.append(name)
        if takes:
            work()
        return takes

    lent = [partial(take, "first"), partial(take, "second"), partial(take, "third", takes=False)]

    async def main() -> None:
        for one in lent:
            mine.lend(one)
        assert await mine.submit(lambda: 1) == 1
        assert (taken, living()) == (["third", "second"], [])
        for one in lent[1:]:
            mine.take_back(one)
        assert await mine.submit(lambda: 2) == 2
        assert (taken, living()) == (["third", "second", "first"], [])
        mine.take_back(lent[0])
        assert await mine.submit(lambda: threading.current_thread().name) == NAME

    asyncio.run(main())


def test_where_no_thread_can_be_had_the_next_call_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller is told; nobody waits for a thread that was never there."""
    mine = Background()

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> int:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            with pytest.raises(RuntimeError, match="new thread"):
                mine.submit(lambda: 1)
        return await asyncio.wait_for(mine.submit(lambda: 2), LIMIT)

    assert asyncio.run(main()) == 2


def test_work_sees_the_context_of_who_asks_for_it() -> None:
    """A tracer finds the caller's span by a context variable."""
    span: contextvars.ContextVar[str] = contextvars.ContextVar("span", default="none")

    async def ask(name: str) -> str:
        span.set(name)
        return await background().submit(span.get)

    async def main() -> list[str]:
        return await asyncio.gather(ask("a"), ask("b"))

    assert asyncio.run(main()) == ["a", "b"]


# ---- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
def test_an_error_ends_with_its_last_user(many: bool) -> None:
    """No circle holds it, and with it the message, until the garbage collector runs."""
    far = Far()
    app, _ = app_at(far)
    queue = app.queue("q", str)
    errors: list[weakref.ref[BaseException]] = []

    async def main() -> None:
        far.script = [sqs_error("SendMessageBatch", "AccessDenied", "no")]
        ask: Callable[[], Coroutine[Any, Any, object]] = (
            (lambda: queue.asend_many(["x"])) if many else (lambda: queue.asend("x"))
        )
        errors.append(weakref.ref(far.script[0]))
        try:
            await ask()
        except SQSError as error:
            errors.append(weakref.ref(error))
        gone = [one() is None for one in errors]
        assert gone == [True, True]

    gc.disable()
    try:
        asyncio.run(main())
    finally:
        gc.enable()
