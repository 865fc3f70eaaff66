"""A worker process is told to end: what it holds is finished or given back, and its exit code says which."""

from __future__ import annotations

import re
import signal
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from hadoken.clock import SYSTEM
from tests.support import ports
from tests.support.journal import ENDED, STARTED, Journal
from tests.support.processes import Child
from tests.support.waiting import wait_until
from tests.support.worker import Bench, both_transports

StartWorker = Callable[..., Child]

DRAINED, FAILED, FORCED, MISCONFIGURED = 0, 70, 75, 78
# Seconds beyond drain_timeout within which a worker has ended, plus as much for a busy machine.
REPORT = 5.0
LONG = {"VisibilityTimeout": 600}  # s; far beyond a test: what is visible again was given back, not lapsed


@pytest.mark.parametrize("done", [1, 200])
def test_sigterm_in_full_work(bench: Bench, journal: Journal, start_worker: StartWorker, done: int) -> None:
    """SIGTERM under load: exit 0, nothing in flight or half done; a second worker does the rest, no message twice."""
    url = bench.queue(LONG)
    ids = bench.send_many(url, [f"spend:{n}" for n in range(400)])
    first = start_worker(bench.url, url, run={"concurrency": 8, "wait_time": 1})
    journal.wait(done, ENDED)
    assert first.terminate() == DRAINED
    visible, in_flight, _ = bench.counts(url)
    processed = [line.id for line in journal.lines(ENDED)]
    assert in_flight == 0
    assert len(processed) + visible == 400
    assert sorted(bench.deleted(url)) == sorted(processed)
    assert not journal.half_done()
    first.wait_for_line("hadoken: drained, nothing left in flight")

    second = start_worker(bench.url, url, run={"concurrency": 8, "wait_time": 1})
    bench.wait_empty(url)
    assert second.terminate() == DRAINED
    assert sorted(line.id for line in journal.lines(ENDED)) == sorted(ids)
    assert not journal.duplicates()
    assert max(bench.receives(url).values()) <= 2, "a stop costs a message at most one receive"


@both_transports
def test_sigterm_keeps_message_groups_in_order(bench: Bench, journal: Journal, start_worker: StartWorker) -> None:
    """Twenty message groups keep their order over three workers that are told to stop; nothing runs twice."""
    url = bench.queue(LONG, fifo=True)
    for n in range(10):
        for group in range(20):
            bench.send(url, f"spend:{n}", MessageGroupId=f"g{group}")
    for done in (20, 100, 200):
        worker = start_worker(bench.url, url, run={"concurrency": 4, "wait_time": 1})
        journal.wait(done, ENDED)
        assert worker.terminate() == DRAINED
        visible, in_flight, _ = bench.counts(url)
        assert (in_flight, visible + len(journal.lines(ENDED))) == (0, 200)
    assert journal.bodies_by_group() == {f"g{group}": [f"spend:{n}" for n in range(10)] for group in range(20)}
    assert not journal.overlaps()
    assert not journal.half_done()
    assert max(bench.receives(url).values()) <= 3, "a stop costs a message at most one receive"


@both_transports
def test_parity_47_hung_handler(bench: Bench, journal: Journal, start_worker: StartWorker) -> None:
    """A handler that hangs does not hold the exit up: 75 in time, its message visible at once, the report names it."""
    url = bench.queue(LONG)
    (hung, done) = bench.send_many(url, ["hang", "ok"])
    worker = start_worker(bench.url, url, run={"concurrency": 4, "wait_time": 1, "drain_timeout": 2})
    journal.wait(2, STARTED)
    bench.wait_told(url, "deleted", 1, done)
    began = SYSTEM.lease()
    assert worker.terminate() == FORCED
    assert SYSTEM.lease() - began <= 2 + 2 * REPORT
    assert bench.counts(url) == (1, 0, 0)
    assert bench.receives(url) == {hung: 1, done: 1}
    (line,) = [line for line in journal.lines(STARTED) if line.id == hung]
    worker.wait_for_line(
        rf"drain deadline: __main__\.Deeds\.handle still runs message {hung} of {bench.name(url)} "
        rf"in {line.thread} after \d+\.\d s"
    )
    worker.wait_for_line(r"worker_app\.py\", line \d+, in do")
    worker.wait_for_line(r"hadoken: drain forced: 1 handler was still running; exit code 75")
    assert not [line for line in worker.err if "Traceback" in line]


def test_hung_message_that_our_own_poll_brings_again(bench: Bench, journal: Journal, start_worker: StartWorker) -> None:
    """What is released at the deadline while a poll of ours is open may come back to us, but never stays in flight."""
    url = bench.queue(LONG)
    ids = bench.send_many(url, ["ok"])  # with handlers known to be quick there is an open poll beside busy threads
    worker = start_worker(bench.url, url, run={"concurrency": 4, "wait_time": 1, "drain_timeout": 0.3})
    journal.wait(1, ENDED)
    ids += bench.send_many(url, [f"hang:{n}" for n in range(4)])
    journal.wait(5, STARTED)
    polls = bench.requests("ReceiveMessage")
    assert wait_until(lambda: bench.requests("ReceiveMessage") > polls)  # one has just been opened, for 1 s
    assert worker.terminate() == FORCED
    assert bench.counts(url) == (4, 0, 0)
    assert len(journal.lines(STARTED)) == 5, "none is started anew"
    receives = bench.receives(url)
    assert sorted(receives) == sorted(ids)
    assert max(receives.values()) <= 2, "a stop costs a message at most one receive"


def test_parity_47_hung_handler_of_a_message_group(bench: Bench, journal: Journal, start_worker: StartWorker) -> None:
    """On a FIFO queue the hung message's lease is left, so that what follows it cannot run beside it."""
    url = bench.queue(LONG, fifo=True)
    hung, behind = (one["MessageId"] for one in bench.send(url, "hang", "ok", MessageGroupId="g"))
    worker = start_worker(bench.url, url, run={"wait_time": 1, "drain_timeout": 2})
    journal.wait(1, STARTED)
    assert worker.terminate() == FORCED
    assert not [event for event in bench.told(url, "visibility changed", hung) if event["timeout"] == 0]
    assert bench.receive(url) == [], "the group is held by the lease that was left"
    assert [line.id for line in journal.lines(STARTED)] == [hung]
    assert bench.receives(url) == {hung: 1, behind: 1}
    worker.wait_for_line(f"still runs message {hung} of")


def test_parity_48_messages_that_arrive_in_a_stop_run(
    bench: Bench, journal: Journal, start_worker: StartWorker
) -> None:
    """Eight messages that an open long poll brings after SIGTERM run, since threads are idle; none stays in flight."""
    url = bench.queue(LONG)
    worker = start_worker(bench.url, url, run={"concurrency": 8, "wait_time": 20})
    assert wait_until(lambda: bench.requests("ReceiveMessage") == 1)
    worker.send_signal(signal.SIGTERM)
    worker.wait_for_line("SIGTERM: draining")
    ids = bench.send_many(url, [f"ok:{n}" for n in range(8)])
    assert worker.wait() == DRAINED
    processed = [line.id for line in journal.lines(ENDED)]
    visible, in_flight, _ = bench.counts(url)
    assert in_flight == 0
    assert len(processed) + visible == 8
    assert processed, "the poll was open, and a thread was idle"
    assert Counter(processed) == bench.receives(url), "what came was run, once"
    assert sorted(bench.deleted(url)) == sorted(processed)
    assert set(processed) <= set(ids)
    assert bench.requests("ReceiveMessage") == 1, "no receive after the signal"


@pytest.mark.parametrize("signal_first", [True, False])
def test_parity_48_messages_that_arrive_with_the_signal(
    bench: Bench, journal: Journal, start_worker: StartWorker, *, signal_first: bool
) -> None:
    """Eight messages sent in the moment of SIGTERM are each processed once or visible after the exit."""
    url = bench.queue(LONG)
    for attempt in range(1, 4):
        receives = bench.requests("ReceiveMessage")
        worker = start_worker(bench.url, url, run={"concurrency": 2, "wait_time": 2})
        assert wait_until(lambda: bench.requests("ReceiveMessage") > receives)  # noqa: B023 -- called in this round only
        if signal_first:
            worker.send_signal(signal.SIGTERM)
        bench.send_many(url, [f"ok:{n}" for n in range(8)])
        if not signal_first:
            worker.send_signal(signal.SIGTERM)
        assert worker.wait() == DRAINED
        visible, in_flight, _ = bench.counts(url)
        assert in_flight == 0
        assert len(journal.lines(ENDED)) + visible == 8 * attempt
        assert not journal.duplicates()
    assert len(bench.deleted(url)) == len(journal.lines(ENDED))


def test_parity_48_messages_that_arrive_in_a_stop_are_given_back(
    bench: Bench, journal: Journal, start_worker: StartWorker, open_gate: Callable[[], None]
) -> None:
    """With all threads busy, what an open long poll brings after SIGTERM is visible again while the drain goes on."""
    url = bench.queue(LONG)
    worker = start_worker(bench.url, url, run={"concurrency": 1, "wait_time": 20})
    bench.send_many(url, ["ok"])  # with handlers known to be quick there is an open poll beside busy threads
    journal.wait(1, ENDED)
    bench.send_many(url, ["gate"])
    journal.wait(2, STARTED)
    assert wait_until(lambda: bench.requests("ReceiveMessage") == 3)
    worker.send_signal(signal.SIGTERM)
    worker.wait_for_line("SIGTERM: draining")
    bench.send_many(url, [f"ok:{n}" for n in range(8)])
    assert wait_until(lambda: bench.counts(url) == (8, 1, 0) and len(bench.told(url, "received")) > 2)
    assert worker.returncode is None
    open_gate()
    assert worker.wait() == DRAINED
    assert bench.counts(url) == (8, 0, 0)
    assert max(bench.receives(url).values()) == 1
    assert len(journal.lines(STARTED)) == 2


@pytest.mark.parametrize("again", [signal.SIGTERM, signal.SIGINT])
def test_parity_49_second_signal(
    bench: Bench, journal: Journal, start_worker: StartWorker, again: signal.Signals
) -> None:
    """A second signal makes the drain deadline now: exit 75 long before it, the message visible."""
    url = bench.queue(LONG)
    bench.send_many(url, ["gate"])
    worker = start_worker(bench.url, url, run={"wait_time": 1, "drain_timeout": 600})
    journal.wait(1, STARTED)
    worker.send_signal(signal.SIGTERM)
    worker.wait_for_line("SIGTERM: draining for up to 600 s")
    worker.send_signal(again)
    assert worker.wait() == FORCED
    assert bench.counts(url) == (1, 0, 0)
    worker.wait_for_line(f"{again.name} again: stopping now")


@pytest.mark.parametrize("bodies", [[], ["gate"]], ids=["idle", "busy"])
def test_parity_49_second_signal_in_a_long_poll(
    bench: Bench, journal: Journal, start_worker: StartWorker, bodies: list[str]
) -> None:
    """A second signal does not wait for the end of a long poll, and what it releases does not stay in flight."""
    url = bench.queue(LONG)
    bench.send_many(url, bodies)
    worker = start_worker(bench.url, url, run={"wait_time": 20, "drain_timeout": 600})
    assert wait_until(lambda: bench.requests("ReceiveMessage") == 1 + len(bodies))
    journal.wait(len(bodies), STARTED)
    worker.send_signal(signal.SIGTERM)
    worker.wait_for_line("SIGTERM: draining")
    began = SYSTEM.lease()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == FORCED, "what the poll may still bring stays invisible for a while"
    worker.wait_for_line("drain forced: " + ("1 handler" if bodies else "1 poll cut off unanswered"))
    assert SYSTEM.lease() - began <= 2 * REPORT, "far below the 20 s of the poll"
    assert bench.counts(url) == (len(bodies), 0, 0)


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_parity_49_signal_right_at_the_start(bench: Bench, start_worker: StartWorker, first: signal.Signals) -> None:
    """A signal that comes while the worker is starting ends it in order: exit 0, nothing taken from the queue."""
    url = bench.queue(LONG)
    worker = start_worker(bench.url, url, run={"wait_time": 1})
    # The banner has been seen; queues are not looked up yet.
    worker.send_signal(first)
    assert worker.wait() == DRAINED
    assert bench.counts(url) == (0, 0, 0)
    assert not [line for line in worker.err if "Traceback" in line or "CRITICAL" in line]


@both_transports
def test_parity_49_signal_while_sqs_does_not_answer(bench: Bench, start_worker: StartWorker) -> None:
    """A signal during a start that hangs in SQS ends the worker within the drain deadline and its report."""
    with ports.silent_port() as port:
        worker = start_worker(f"http://127.0.0.1:{port}", bench.queue(), run={"wait_time": 1, "drain_timeout": 6})
        began = SYSTEM.lease()
        assert worker.terminate() == DRAINED
        assert SYSTEM.lease() - began <= 6 + 2 * REPORT
    assert not [line for line in worker.err if "Traceback" in line or "CRITICAL" in line]


def test_parity_49_quiet_then_stop(
    bench: Bench, journal: Journal, start_worker: StartWorker, open_gate: Callable[[], None]
) -> None:
    """After SIGTSTP nothing new is received and what runs is finished; SIGTERM then ends the worker with 0."""
    url = bench.queue(LONG)
    (held,) = bench.send_many(url, ["gate"])
    worker = start_worker(bench.url, url, run={"wait_time": 1})
    journal.wait(1, STARTED)
    worker.send_signal(signal.SIGTSTP)
    worker.wait_for_line("SIGTSTP: no new receives")
    worker.send_signal(signal.SIGUSR1)
    worker.wait_for_line("threads .*as budgeted")  # a later fact: the engine has heard of it

    def no_poll_is_open() -> bool:
        return bench.requests("ReceiveMessage") == bench.requests("ReceiveMessage", "empty") + 1

    assert wait_until(no_poll_is_open)
    polls = bench.requests("ReceiveMessage")
    bench.send_many(url, ["ok"])
    open_gate()
    bench.wait_told(url, "deleted", 1, held)
    assert worker.returncode is None
    assert bench.counts(url) == (1, 0, 0)
    assert worker.terminate() == DRAINED
    assert bench.requests("ReceiveMessage") == polls
    assert [line.body for line in journal.lines(ENDED)] == ["gate"]


def test_parity_49_signals_during_a_stop(
    bench: Bench, journal: Journal, start_worker: StartWorker, open_gate: Callable[[], None]
) -> None:
    """While it drains a worker still reports, and neither that nor being told to be quiet changes how it ends."""
    url = bench.queue(LONG)
    (held,) = bench.send_many(url, ["gate"])
    worker = start_worker(bench.url, url, run={"wait_time": 1})
    journal.wait(1, STARTED)
    worker.send_signal(signal.SIGTERM)
    worker.wait_for_line("SIGTERM: draining")
    for number in (signal.SIGTSTP, signal.SIGUSR1, signal.SIGTTIN):
        at = len(worker.lines)
        worker.send_signal(number)
        worker.wait_for_line(
            "no new receives" if number is signal.SIGTSTP else f"{held} of {bench.name(url)}", since=at
        )
    open_gate()
    assert worker.wait() == DRAINED
    assert bench.deleted(url) == [held]
    assert bench.counts(url) == (0, 0, 0)


@both_transports
def test_sigkill_loses_nothing(bench: Bench, journal: Journal, start_worker: StartWorker) -> None:
    """Three workers are killed in full work; a fourth ends it: every message was processed before it was deleted."""
    url = bench.queue({"VisibilityTimeout": 2})
    ids = bench.send_many(url, [f"spend:{n}" for n in range(240)])
    options: dict[str, Any] = {"run": {"concurrency": 4, "wait_time": 1}, "log": "ERROR"}
    for killed in range(3):
        worker = start_worker(bench.url, url, **options)
        journal.wait(50 * (killed + 1), ENDED)
        assert worker.kill() == -signal.SIGKILL
    last = start_worker(bench.url, url, **options)
    bench.wait_empty(url)
    assert last.terminate() == DRAINED
    processed = {line.id for line in journal.lines(ENDED)}
    assert processed == set(ids)
    assert sorted(bench.deleted(url)) == sorted(ids)
    # Four running and a batch or two of ten whose delete was not confirmed when the worker was killed.
    assert len(journal.duplicates()) <= 3 * (4 + 20)
    assert len(bench.told(url, "expired")) <= 3 * (4 + 10 + 20), "in flight: running, waiting, settling"


def test_parity_53_missing_queues(bench: Bench, start_worker: StartWorker) -> None:
    """Every missing queue is named in one line, with exit code 78, no traceback, and no message touched."""
    there = bench.queue()
    bench.send_many(there, ["ok"])
    missing = ["it-missing-1", "it-missing-2.fifo", "it-missing-3"]
    worker = start_worker(bench.url, there, *missing)
    assert worker.wait() == MISCONFIGURED
    (line,) = [line for line in worker.err if all(name in line for name in missing)]
    assert line.startswith("hadoken: missing queues: ")
    assert f"{bench.name(there)}" not in line
    assert not [line for line in worker.err if "Traceback" in line]
    assert bench.counts(there) == (1, 0, 0)


def test_parity_53_missing_queues_say_where(bench: Bench, start_worker: StartWorker) -> None:
    """The line about missing queues names the region and the endpoint that were asked."""
    worker = start_worker(bench.url, "it-missing")
    assert worker.wait() == MISCONFIGURED
    (line,) = [line for line in worker.err if line.startswith("hadoken: missing queue")]
    assert "us-east-1" in line
    assert bench.url in line


def test_parity_53_configuration(bench: Bench, start_worker: StartWorker) -> None:
    """An option that does not exist ends the worker with 78 and a line that suggests the right one."""
    worker = start_worker(bench.url, bench.queue(), boots=False, run={"concurrent": 3})
    assert worker.wait() == MISCONFIGURED
    (line,) = [line for line in worker.err if line.startswith("hadoken: ")]
    assert "concurrent" in line
    assert "did you mean concurrency?" in line
    assert not [line for line in worker.err if "Traceback" in line]


def test_parity_53_too_many_hung_handlers(bench: Bench, journal: Journal, start_worker: StartWorker) -> None:
    """When a quarter of a pool hangs beyond its time limit, the worker drains by itself and exits with 70."""
    url = bench.queue(LONG)
    ids = bench.send_many(url, ["hang:1", "hang:2"])
    settings: dict[str, Any] = {"run": {"concurrency": 4, "wait_time": 1, "drain_timeout": 3}}
    worker = start_worker(bench.url, url, options={"time_limit": 1}, **settings)
    budget = int(worker.wait_for_line(r"threads +(\d+) = ").group(1))
    worker.wait_for_line("2 of 4 handlers hang; draining")
    assert len(worker.threads()) == budget, "no thread was replaced"
    assert worker.wait() == FAILED
    for id_ in ids:
        assert [line for line in worker.err if re.search(rf"has run message {id_} for \d+ s, its limit is 1", line)]
    assert bench.receives(url) == Counter(ids)
    assert bench.counts(url) == (2, 0, 0)
