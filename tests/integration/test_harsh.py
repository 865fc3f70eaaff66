"""The real engine on the harshest SQS that the documents allow: nothing is lost, and nothing is deleted unprocessed."""

from __future__ import annotations

import json
import threading
from collections import Counter, defaultdict

import pytest

import hadoken
from hadoken.local.faults import Rule
from hadoken.local.state.eventlog import Event, What
from hadoken.local.state.profile import HARSH
from hadoken.testing import DrivenWorker, FakeSQS, worker

MESSAGES = 60
GROUPS = 5
# Enough that no chance of HARSH exhausts them: what is dead-lettered is not processed.
RECEIVES = 1_000
MOST_ROUNDS = 200  # of 30 s of virtual time; a bound for a test that fails
ENDS = (What.MOVED, What.RETIRED, What.PURGED)


class Witness:
    """What handlers finished, and what the log says was deleted before that.

    Thread: handler threads report, the engine's thread writes events.
    """

    def __init__(self, sqs: FakeSQS) -> None:
        self._lock = threading.Lock()  # guards all of it; never held while calling out
        self.starts: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.order: defaultdict[str, list[str]] = defaultdict(list)
        self.unprocessed: list[Event] = []
        self.kinds: Counter[What] = Counter()
        sqs.queues.log.on_event = self._see

    def start(self, message: str) -> int:
        """Count a start of a handler, and give the count."""
        with self._lock:
            self.starts[message] += 1
            return self.starts[message]

    def finish(self, message: str, group: str, body: str) -> None:
        """Note that a handler has done its work: from now on the message may be deleted."""
        with self._lock:
            self.done[message] += 1
            if self.done[message] == 1:
                self.order[group].append(body)

    def _see(self, event: Event) -> None:
        with self._lock:
            self.kinds[event.what] += 1
            if event.what is What.DELETED and event.found and not self.done[event.id]:
                self.unprocessed.append(event)


def declared(witness: Witness, queue: str) -> tuple[hadoken.App, hadoken.Queue[str]]:
    """An app whose handler fails the first start of every third message and retries that of every fifth."""
    app = hadoken.App("harsh")
    found = app.queue(queue, str)

    @found.handler(retry=hadoken.exponential(1, 4))
    def handle(body: str, ctx: hadoken.Context) -> None:
        start = witness.start(ctx.message.id)
        number = int(body)
        if start == 1 and number % 3 == 0:
            raise ValueError(body)
        if start == 1 and number % 5 == 0:
            raise hadoken.Retry(after=2)
        witness.finish(ctx.message.id, ctx.message.message_group_id or "", body)

    return app, found


def run_to_the_end(work: DrivenWorker, sqs: FakeSQS, names: list[str]) -> None:
    """Let time pass until every message is gone and none can come back."""
    queues = [sqs.queues.named(name) for name in names]
    for _ in range(MOST_ROUNDS):
        work.drain()
        work.advance("30s")
        if not any(queue.next_change() is not None or len(queue) for queue in queues):
            return
    pytest.fail(f"after {MOST_ROUNDS} rounds there is {queues}")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["orders", "orders.fifo"])
def test_a_worker_on_a_harsh_sqs_processes_everything_and_deletes_nothing_else(name: str, seed: int) -> None:
    """Every message is processed, each delete comes after that, and FIFO order holds; calls fail on top of it."""
    sqs = FakeSQS(profile=HARSH, seed=seed)
    dead = "dead.fifo" if name.endswith(".fifo") else "dead"
    sqs.create_queue(dead)
    arn = sqs.queues.named(dead).arn
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": RECEIVES})
    sqs.create_queue(name, {"RedrivePolicy": policy, "VisibilityTimeout": "30"})
    witness = Witness(sqs)
    app, queue = declared(witness, name)
    with worker(app, sqs=sqs, concurrency=4, raise_errors=False) as work:
        work.faults(
            Rule(operation="DeleteMessageBatch", chance=0.2, code="", applied=True),
            Rule(operation="DeleteMessageBatch", chance=0.2, entries=(0, 3)),
            Rule(operation="ReceiveMessage", chance=0.1, code="", applied=True),
        )
        groups: defaultdict[str, list[str]] = defaultdict(list)
        for number in range(MESSAGES):
            group = f"g{number % GROUPS}" if name.endswith(".fifo") else None
            groups[group or ""].append(str(number))
            own = {"message_group_id": group, "deduplication_id": str(number)} if group else {}
            queue.send(str(number), **own)
        run_to_the_end(work, sqs, [name])
    sent = {event.id for event in sqs.queues.log.since() if event.what is What.SENT}
    assert len(sent) == MESSAGES
    assert set(witness.done) == sent, "lost"
    assert not witness.unprocessed, "deleted before it was processed"
    assert not any(witness.kinds[end] for end in ENDS)
    assert len(sqs.queues.named(dead)) == 0
    if name.endswith(".fifo"):
        assert witness.order == groups
    else:
        assert witness.kinds[What.RETURNED], "no message came back: the test shows less than it says"
        assert witness.kinds[What.DOUBLED], "no message was doubled: the test shows less than it says"
