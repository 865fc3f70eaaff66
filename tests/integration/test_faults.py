"""A worker on an SQS that fails in every way the fault script knows: nothing is lost, and deletes come after the work.

Each kind of fault has queues of its own, standard and FIFO, so that one worker meets all of them side by side. It runs
for real, over HTTP: what a fault is made of here is bytes, sockets and time-outs. What the engine makes of calls that
fail is tested in virtual time, by the kit, in test_harsh.py and tests/testing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest

import hadoken
from tests.support.journal import ENDED, Journal
from tests.support.local_sqs import Server
from tests.support.waiting import wait_until
from tests.support.worker import Bench

MESSAGES = 6  # a queue
PATIENCE = 20.0  # seconds; a liveness bound, five times the longest time-out that is met here
SHORT, LONG = 3, 600  # s of visibility timeout: of what is received in vain once; of what must come once only
RECEIVE, DELETE, CHANGE = "ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"
CALLS = (RECEIVE, DELETE, CHANGE)


class Kind(NamedTuple):
    """One kind of fault.

    Attributes:
        rule: of the script, without its operation and queue.
        timeout: visibility timeout of its queues.
        calls: operations it is for.
    """

    rule: Mapping[str, object]
    timeout: int = LONG
    calls: tuple[str, ...] = CALLS


KINDS = {
    "500": Kind({"status": 500, "times": 1}),
    "503-page": Kind({"answer": "html", "times": 1}),
    "throttled": Kind({"code": "RequestThrottled", "times": 1}),
    "expired-credentials": Kind({"code": "ExpiredToken", "times": 1}),
    "over-limit": Kind({"code": "OverLimit", "times": 1}, calls=(RECEIVE,)),
    "reset": Kind({"answer": "reset", "times": 1}),
    "slow": Kind({"delay": 0.7, "times": 1}),
    "chunked": Kind({"answer": "chunked", "times": 2}),
    "close": Kind({"answer": "close", "times": 2}),
    "entries": Kind({"entries": [0, 1], "times": 1}, calls=(DELETE, CHANGE)),
    "clock-ahead": Kind({"clock_offset": 3600, "times": 2}, calls=(RECEIVE,)),
    "clock-behind": Kind({"clock_offset": -3600, "times": 2}, calls=(RECEIVE,)),
    "lost-500": Kind({"status": 500, "applied": True, "times": 1}, SHORT),
    "lost": Kind({"answer": "reset", "applied": True, "times": 1}, SHORT),
    "truncated": Kind({"answer": "truncated", "times": 1}, SHORT),
    "malformed": Kind({"answer": "malformed", "times": 1}, SHORT),
    "twice": Kind({"twice": True, "times": 1}, SHORT, calls=(RECEIVE,)),
    "hang": Kind({"answer": "hang", "times": 1}, SHORT),
    "no-queue": Kind({"code": "QueueDoesNotExist", "times": 2}, SHORT),
}


@pytest.fixture(params=["aws", "harsh"])
def profile(request: pytest.FixtureRequest) -> str:
    """How kind the local SQS is."""
    return str(request.param)


@pytest.fixture
def bench(profile: str) -> Iterator[Bench]:
    """A local SQS of its own."""
    with Server(0, f"--profile={profile}", "--seed=7") as server:
        bench = Bench(server)
        yield bench
        bench.close()


def declared(journal: Journal, names: list[str]) -> hadoken.App:
    """An app whose handler has every third message come again at its first start, whatever SQS counts."""
    app = hadoken.App("faults")
    seen: set[str] = set()

    def handle(body: str, ctx: hadoken.Context) -> None:
        if int(body) % 3 == 0 and ctx.message.id not in seen:
            seen.add(ctx.message.id)
            raise hadoken.Retry(after=2)  # time to ask again: after 0 s an unanswered call may have been heard
        with journal.run(ctx):
            pass

    for name in names:
        app.queue(name, str).handler(handle)
    return app


def sent_to(bench: Bench, url: str) -> list[str]:
    """Send the messages of one queue, to two message groups where it has any; returns their ids."""
    if not url.endswith(".fifo"):
        return bench.send_many(url, [str(number) for number in range(MESSAGES)])
    return [bench.send(url, str(number), MessageGroupId=f"g{number % 2}")[0]["MessageId"] for number in range(MESSAGES)]


def rules(bench: Bench, urls: Mapping[str, str]) -> list[dict[str, object]]:
    """The script: each kind on its queue, for each of its operations."""
    return [
        {"operation": call, "queue": bench.name(url), **KINDS[kind].rule}
        for url, kind in urls.items()
        for call in KINDS[kind].calls
        if not (call == CHANGE and url.endswith(".fifo"))  # a FIFO head is retried in place, without a call
    ]


def unfired(script: list[dict[str, object]], fired: list[int]) -> list[dict[str, object]]:
    """The rules that never fired, for the complaint of a test that waited for them."""
    return [rule for rule, count in zip(script, fired, strict=True) if not count]


def left(bench: Bench, urls: Mapping[str, str], ids: Mapping[str, list[str]]) -> dict[str, object]:
    """Kind -> the messages that are not deleted, and what happened to them, for the same complaint."""
    return {
        f"{urls[url]} {url[-5:]}": [event for event in bench.events(url) if event["id"] not in bench.deleted(url)]
        for url, many in ids.items()
        if set(many) - set(bench.deleted(url))
    }


def deleted_unprocessed(events: list[dict[str, Any]], journal: Journal) -> list[dict[str, Any]]:
    """Deletes that came before the end of any run of their message's handler; both sides go by the same clock."""
    first: dict[str, float] = {}
    for line in journal.lines(ENDED):
        first.setdefault(line.id, line.at)
    return [event for event in events if event["at"] < first.get(event["id"], float("inf"))]


def test_a_worker_outlives_every_kind_of_fault(bench: Bench, journal: Journal, profile: str) -> None:
    """Each fault fires, every message is processed and deleted, in that order; FIFO order holds; no thread is lost."""
    urls: dict[str, str] = {}
    for kind, (_, timeout, _) in KINDS.items():
        for fifo in (False, True):
            urls[bench.queue({"VisibilityTimeout": timeout}, fifo=fifo)] = kind
    app = declared(journal, [bench.name(url) for url in urls])
    ids: dict[str, list[str]] = {}

    def all_deleted() -> bool:
        gone = {event["id"] for url in urls for event in bench.told(url, "deleted") if event.get("found", True)}
        return all(gone.issuperset(many) for many in ids.values())

    with hadoken.Worker(app, connection=bench.connection, wait_time=1, concurrency=8) as worker:
        assert wait_until(lambda: bench.requests(RECEIVE) >= len(urls)), "it polls them all"
        with bench.faults(*rules(bench, urls)) as fired:
            ids.update((url, sent_to(bench, url)) for url in urls)
            assert wait_until(lambda: all(fired()), PATIENCE), unfired(rules(bench, urls), fired())
            assert wait_until(all_deleted, PATIENCE), left(bench, urls, ids)
        threads = len(worker.threads.alive())
    assert threads == sum(worker.plan.budget.values()) - 1, "all but main, which is ours"
    assert worker.exit_code == 0
    processed = {line.id for line in journal.lines(ENDED)}
    assert processed == {id_ for many in ids.values() for id_ in many}, "lost"
    deletes = [event for url in urls for event in bench.told(url, "deleted") if event.get("found", True)]
    assert not deleted_unprocessed(deletes, journal)
    assert_order(journal, [id_ for url, many in ids.items() if url.endswith(".fifo") for id_ in many])
    if profile == "aws":
        once = {id_ for url, many in ids.items() if KINDS[urls[url]].timeout == LONG for id_ in many}
        assert not once & set(journal.duplicates()), "a fault that leaves the message with us runs no handler twice"
        for url in urls:
            assert bench.counts(url) == (0, 0, 0)


def assert_order(journal: Journal, ids: list[str]) -> None:
    """Check that first runs of FIFO messages ended in the order in which they were sent, group by group."""
    position = {id_: at for at, id_ in enumerate(ids)}
    ended: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for id_ in dict.fromkeys(line.id for line in journal.lines(ENDED) if line.id in position):
        queue, number = divmod(position[id_], MESSAGES)
        ended[queue, number % 2].append(number)
    assert len(ended) == 2 * len(ids) // MESSAGES
    assert all(numbers == sorted(numbers) for numbers in ended.values()), ended
