"""What goes wrong in handlers comes up in the test, and what keeps a worker from coming to rest is named."""

from __future__ import annotations

import threading

import pytest

import hadoken
from hadoken.testing import FakeSQS, StartWorker, worker
from tests.support.waiting import GLOBAL

SOON = 0.3  # real seconds for what is meant to fail for being late


class GatewayDown(Exception):
    """What a handler of these tests raises."""


def fail(body: str) -> None:
    """A handler that always fails."""
    secret = body.upper()
    raise GatewayDown(secret)


def test_an_error_is_raised_once_with_its_own_traceback(app: hadoken.App, worker: StartWorker) -> None:
    """The exception itself comes up, with the handler's frames and their locals, and only once."""
    orders = app.queue("orders", str)
    orders.handler(fail)
    work = worker(app)
    orders.send("a")
    with pytest.raises(GatewayDown, match="A") as caught:
        work.drain()
    innermost = caught.traceback[-1]
    assert innermost.name == "fail"
    assert innermost.frame.f_locals["secret"] == "A"
    assert work.drain() == []


def test_several_errors_come_as_a_group(app: hadoken.App, worker: StartWorker) -> None:
    """Two failed runs in one call are one group; what went well is run all the same."""
    orders = app.queue("orders", str)
    seen: list[str] = []

    @orders.handler
    def handle(body: str) -> None:
        seen.append(body)
        if body != "fine":
            raise GatewayDown(body)

    work = worker(app)
    orders.send_many(["a", "fine", "b"])
    with pytest.raises(ExceptionGroup, match="2 runs of handlers failed") as caught:
        work.drain()
    assert sorted(str(error) for error in caught.value.exceptions) == ["a", "b"]
    assert sorted(seen) == ["a", "b", "fine"]


def test_an_exit_of_a_handler_is_an_error_too(app: hadoken.App, worker: StartWorker) -> None:
    """SystemExit fails the message, not the thread, and is raised in the test."""
    orders = app.queue("orders", str)

    @orders.handler
    def handle(body: str) -> None:
        raise SystemExit(3)

    work = worker(app)
    orders.send("a")
    with pytest.raises(SystemExit):
        work.drain()


def test_a_body_that_does_not_decode_is_an_error(app: hadoken.App, worker: StartWorker) -> None:
    """The DecodeError is raised; the run has the text for a body."""
    producer = hadoken.App("other")
    orders = app.queue("orders", dict)
    orders.handler(lambda body: None)
    work = worker(app)
    producer.connect(work.sqs.door)
    producer.queue("orders", str).send("not json")
    with pytest.raises(hadoken.DecodeError):
        work.drain()
    assert work.runs[0].body == "not json"


def test_the_end_of_the_block_raises(app: hadoken.App) -> None:
    """Nobody drained, so the end does, and the error comes up there."""
    orders = app.queue("orders", str)
    orders.handler(fail)
    with pytest.raises(GatewayDown), worker(app):
        orders.send("a")


def test_a_block_that_fails_itself_tells_of_handlers(app: hadoken.App) -> None:
    """The block's own error is raised, with a note for each handler that failed unheard."""
    orders = app.queue("orders", str)
    release = threading.Event()

    @orders.handler
    def handle(body: str) -> None:
        if body == "bad":
            raise GatewayDown(body)
        assert release.wait(GLOBAL)

    def block() -> None:
        with worker(app) as work:
            orders.send_many(["bad", "hangs"])
            try:
                work.drain(timeout=SOON)
            finally:
                release.set()

    with pytest.raises(hadoken.DrainTimeout) as caught:
        block()
    (note,) = caught.value.__notes__
    assert note.startswith("meanwhile handler tests.testing.test_errors.")
    assert note.endswith("raised GatewayDown('bad')")


def test_outcomes_are_no_errors(app: hadoken.App, worker: StartWorker) -> None:
    """What a handler asks for by raising it is no failure of the test, out of a group neither."""
    orders = app.queue("orders", str)
    kinds = {
        "ack": hadoken.Ack(),
        "retry": hadoken.Retry(60),
        "dead": hadoken.DeadLetter("why"),
        "discard": hadoken.Discard("why"),
        "group": BaseExceptionGroup("of a task group", [hadoken.Discard("all")]),
    }

    @orders.handler
    def handle(body: str) -> None:
        raise kinds[body]

    work = worker(app)
    orders.send_many(list(kinds))
    outcomes = {run.body: (repr(run.outcome), run.error) for run in work.drain()}
    assert outcomes == {
        "ack": ("Ack()", None),
        "retry": ("Retry(after=60, reason='')", None),
        "dead": ("DeadLetter('why')", None),
        "discard": ("Discard('why')", None),
        "group": ("Discard('all')", None),
    }


def test_expected_errors_are_collected(app: hadoken.App, worker: StartWorker) -> None:
    """`expect` takes what it names, leaves the rest, and fails when nothing came."""
    orders = app.queue("orders", str)

    @orders.handler(retry=hadoken.fixed(1))
    def handle(body: str) -> None:
        raise {"gateway": GatewayDown, "bug": KeyError}[body]

    work = worker(app)
    orders.send("gateway")
    with work.expect(ConnectionError, GatewayDown) as found:
        (run,) = work.drain()
        work.advance("1s")
    assert [type(error) for error in found] == [GatewayDown, GatewayDown]
    assert isinstance(run.outcome, hadoken.Retry)
    orders.send("bug")
    with pytest.raises(KeyError), work.expect(GatewayDown):
        work.drain()
    with (
        pytest.raises(AssertionError, match="no handler raised ConnectionError or KeyError"),
        work.expect(ConnectionError, KeyError),
    ):
        work.drain()


def test_a_handler_that_hangs_is_named(app: hadoken.App) -> None:
    """`drain` ends after its time-out with handler, message, thread and stack; once it returns, all is well."""
    orders = app.queue("orders", str)
    release = threading.Event()

    @orders.handler
    def hang(body: str) -> None:
        assert release.wait(GLOBAL)

    with worker(app) as work:
        id_ = orders.send("a")
        with pytest.raises(hadoken.DrainTimeout, match=r"(?s)drain\(\) did not come to an end in 0.3 s:.*hang") as late:
            work.drain(timeout=SOON)
        (one,) = late.value.in_flight
        assert (one.message_id, one.queue) == (id_, "orders")
        assert one.thread in {f"hadoken-default-{n}" for n in range(1, 17)}, "whichever was free first"
        assert "release.wait(GLOBAL)" in one.stack
        assert "release.wait(GLOBAL)" in str(late.value)
        release.set()
        work.drain()
        assert [type(run.outcome) for run in work.runs] == [hadoken.Ack]


def test_a_handler_that_never_returns_is_left_behind_and_named(app: hadoken.App) -> None:
    """The block ends all the same, at the drain deadline of virtual time, and says what it left."""
    orders = app.queue("orders", str)
    release = threading.Event()

    @orders.handler
    def hang(body: str) -> None:
        assert release.wait(GLOBAL)

    def block() -> None:
        with worker(app, patience=0.01) as work:
            orders.send("a")
            work.advance(0)
            raise KeyboardInterrupt

    with pytest.raises(hadoken.DrainTimeout, match=r"(?s)ended without .*hang, message .*release.wait") as late:
        block()
    release.set()
    assert isinstance(late.value.__context__, KeyboardInterrupt)


def test_an_endless_retry_is_found(app: hadoken.App, fake_sqs: FakeSQS) -> None:
    """A message that is released for ever ends in an error that says what runs again and again."""
    fake_sqs.create_queue("orders")  # without a dead-letter queue, so nothing else ends it
    orders = app.queue("orders", str)
    enough = threading.Event()

    @orders.handler
    def again(body: str) -> hadoken.Outcome:
        return hadoken.Discard("enough") if enough.is_set() else hadoken.Release()

    with worker(app, sqs=fake_sqs) as work:
        orders.send("a")
        says = r"drain\(\) did not come to an end in 0.3 s: \d+ runs so far; the last one of .*again, .*released"
        with pytest.raises(hadoken.LifecycleError, match=says):
            work.drain(timeout=SOON)
        enough.set()
        assert isinstance(work.drain()[-1].outcome, hadoken.Discard)
