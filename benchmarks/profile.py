"""`make profile`: CPU per message of engine, handler threads and transport, alone and by stage; about a minute.

Two views of the same code without a socket: SQS is played by `Endless`, whose answers are there at once.

- *live*: a worker as it is. What its threads used is read from the kernel (schedstat), over the messages handled.
- *stepped*: one pool on one thread, receive after receive, with a clock around each stage. It shows where the time of
  the live view goes; hand-over between threads and the event loop are not in it.

What they leave out is the *transport*: full receives and deletes, one after the other, from the local SQS in a process
of its own. It runs on the engine thread, so the two add up.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypedDict
from unittest.mock import patch

import hadoken
from benchmarks import machine
from benchmarks.endless import DONE, Endless, receives
from benchmarks.local_sqs import LocalSQS
from benchmarks.on_loop import BODY, CALLS, LOOPS, WARM, blocking, calls, fast
from benchmarks.report import RESULTS
from hadoken.clock import SYSTEM
from hadoken.pipeline.acknowledger import Batch
from hadoken.pipeline.executor import Executor
from hadoken.pipeline.queues import QueueInfo
from hadoken.sqs import api
from hadoken.worker.pool import Call, Pool
from hadoken.worker.receipts import Poll


class Options(TypedDict, total=False):
    """What a worker of the live view is."""

    concurrency: int
    queues: int
    round_trip: float


CONCURRENCY = 10
WARM_UP, SECONDS = 0.5, 1.5
ROUNDS = 3
RECEIVES = 2_000  # of the stepped view, each of ten messages
WORKERS: dict[str, Options] = {
    "10 threads, 1 queue": {},
    "256 threads": {"concurrency": 256},
    "400 queues": {"queues": 400},
    "answers after 2 ms": {"round_trip": 0.002},
    "256 threads, answers after 2 ms": {"concurrency": 256, "round_trip": 0.002},
    "400 queues, answers after 2 ms": {"queues": 400, "round_trip": 0.002},
}
KINDS: dict[type, str] = {Poll: "receive", Batch: "delete"}
LIMIT_ENGINE, LIMIT_HANDLERS = 50.0, 20.0  # us per message


@dataclass(frozen=True, slots=True)
class Live:
    """What one run of a worker used, per message.

    Attributes:
        engine, handlers: us of CPU of the engine thread, and of all handler threads together.
        switches: times that one of these threads went to sleep or was made to wait.
        turns: of the engine.
        requests: to SQS.
        rate: messages a second.
    """

    engine: float
    handlers: float
    switches: float
    turns: float
    requests: float
    rate: float


# ---- live ------------------------------------------------------------------------------------------------------------


def live(concurrency: int = CONCURRENCY, queues: int = 1, round_trip: float = 0.0) -> Live:
    """Run a worker on an endless queue. Blocks for `WARM_UP` + `SECONDS`."""
    app = hadoken.App("profile")
    names = [f"q{number}" for number in range(queues)]
    for name in names:
        app.queue(name, dict).handler(_nothing)
    worker = hadoken.Worker(app, sqs=Endless(round_trip=round_trip), concurrency=concurrency)
    with worker, counted() as turns:
        threads = _threads()
        time.sleep(WARM_UP)
        before = _look(worker, threads, turns)
        time.sleep(SECONDS)
        after = _look(worker, threads, turns)
    used = {name: after[name] - before[name] for name in after}
    done = used["messages"]
    return Live(
        engine=used["engine"] / done / 1e3,
        handlers=used["handlers"] / done / 1e3,
        switches=used["switches"] / done,
        turns=used["turns"] / done,
        requests=used["requests"] / done,
        rate=done / (used["at"] / 1e9),
    )


def _nothing(_body: dict[str, object]) -> None:
    """Handle a message: the cheapest handler there is."""


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count the turns of pools."""
    count: Counter[str] = Counter()
    turn = Pool.turn

    def counting(self: Pool, now: float) -> list[Call]:
        count["turns"] += 1
        return turn(self, now)

    with patch.object(Pool, "turn", counting):
        yield count


def _threads() -> dict[str, list[int]]:
    """Kernel ids of the worker's threads, by what they are."""
    found: dict[str, list[int]] = {"engine": [], "handlers": []}
    for thread in threading.enumerate():
        if thread.native_id is None or not thread.name.startswith("hadoken-"):
            continue
        if thread.name == "hadoken-engine":
            found["engine"].append(thread.native_id)
        elif thread.name.rpartition("-")[2].isdecimal():
            found["handlers"].append(thread.native_id)
    return found


def _look(worker: hadoken.Worker, threads: dict[str, list[int]], turns: Counter[str]) -> Counter[str]:
    """Counters of this moment; times in ns."""
    snapshot = worker.snapshot()
    now: Counter[str] = Counter({kind: sum(map(_used, ids)) for kind, ids in threads.items()})
    now["at"] = time.monotonic_ns()
    now["messages"] = sum(counts["deleted"] for counts in snapshot.counts.values())
    now["requests"] = sum(snapshot.requests.values())
    now["turns"] = turns["turns"]
    now["switches"] = sum(_switches(thread) for ids in threads.values() for thread in ids)
    return now


def _used(thread: int) -> int:
    """Nanoseconds on a CPU. Source: Linux, Documentation/scheduler/sched-stats.rst."""
    return int(Path(f"/proc/self/task/{thread}/schedstat").read_text(encoding="ascii").split()[0])


def _switches(thread: int) -> int:
    """Context switches, both voluntary and not."""
    lines = Path(f"/proc/self/task/{thread}/status").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)


# ---- stepped ---------------------------------------------------------------------------------------------------------


@dataclass
class Stages:
    """Nanoseconds by stage; what is called inside of another stage is not counted there."""

    spent: Counter[str] = field(default_factory=Counter)
    _stack: list[int] = field(default_factory=list)

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with a clock around it."""

        def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 -- passed on
            self._stack.append(0)
            began = time.perf_counter_ns()
            try:
                return function(*args, **kwargs)
            finally:
                took = time.perf_counter_ns() - began
                self.spent[name] += took - self._stack.pop()
                if self._stack:
                    self._stack[-1] += took

        return call


def stepped(queues: int = 1) -> dict[str, float]:
    """Microseconds per message by stage: the work of engine and handler threads, done by one thread in turn."""
    stages = Stages()
    infos = [QueueInfo(f"q{number}", f"http://localhost/1/q{number}") for number in range(queues)]
    app = hadoken.App("profile")
    handlers = {info.name: app.queue(info.name, dict).handler(_nothing) for info in infos}
    executor = Executor(handlers, CONCURRENCY, wake=lambda: None, ask_extend=lambda *_: None)
    pool = Pool("default", infos, executor)
    for name, owner, method in (
        ("keeper", pool.keeper, "due"),
        ("acknowledger", pool.acknowledger, "flush_due"),
        ("admission", pool, "_polls"),
        ("outcomes taken in", pool, "_take_outcomes"),
    ):
        setattr(owner, method, stages.timed(name, getattr(owner, method)))
    turn = stages.timed("turn, the rest", pool.turn)
    next_due = stages.timed("next due", pool.next_due)
    taken_in = {of: stages.timed(f"{what} taken in", pool.answered) for of, what in KINDS.items()}
    work = stages.timed("handler thread", _work)
    done, full = 0, receives()
    while done < RECEIVES * 10:
        now = SYSTEM.lease()
        for call in turn(now):
            done += isinstance(call, Batch) and len(call.records)
            taken_in[type(call)](call, _answer(call, full), now)
        next_due()
        work(executor, pool.table.active)
    return {name: spent / done / 1e3 for name, spent in stages.spent.most_common()}


def _answer(call: Call, full: Iterator[api.Received]) -> object:
    return next(full) if isinstance(call, Poll) else DONE


def _work(executor: Executor, count: int) -> None:
    """Do what the handler threads would, for so many messages."""
    for _ in range(count):
        handed = executor.take(executor.slots[0])
        assert handed is not None
        executor._bring_back(executor._handle(handed, executor.slots[0]))  # noqa: SLF001 -- the steps of `run`, one by one


# ---- transport -------------------------------------------------------------------------------------------------------


def transport() -> dict[str, list[tuple[float, float]]]:
    """Microseconds per message of receiving ten and of deleting ten, by kind of loop, the loop's own work included."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in LOOPS}
    with blocking() as resolver, LocalSQS() as sqs:
        for number in range(ROUNDS):
            for name, make_loop in LOOPS.items():
                url = sqs.create(f"{name}-{number}")
                sqs.fill(url, [{"MessageBody": BODY}] * 10, (WARM + CALLS) * 10)
                with asyncio.Runner(loop_factory=make_loop) as runner:
                    receive, delete = runner.run(calls(fast, sqs, resolver, url))
                found[name].append((receive / 10, delete / 10))
    return found


# ---- the table -------------------------------------------------------------------------------------------------------


def table(runs: dict[str, list[Live]]) -> str:
    """What workers used, as Markdown: medians, with the range where there is a limit."""
    lines = [
        "| worker | engine, us | handler threads, us | requests | turns | context switches | messages/s |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, each in runs.items():
        cells = [
            _cell([run.engine for run in each]),
            _cell([run.handlers for run in each]),
            *(f"{statistics.median(getattr(run, of) for run in each):.3f}" for of in ("requests", "turns", "switches")),
            f"{statistics.median(run.rate for run in each):,.0f}",
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def stage_table(columns: dict[str, dict[str, float]]) -> str:
    """The stepped view, as Markdown: one column for each number of queues."""
    first = next(iter(columns.values()))
    lines = [f"| stage, us per message | {' | '.join(columns)} |", f"|---{'|---' * len(columns)}|"]
    lines += [f"| {name} | {' | '.join(f'{spent[name]:.2f}' for spent in columns.values())} |" for name in first]
    lines.append(f"| all | {' | '.join(f'{sum(spent.values()):.2f}' for spent in columns.values())} |")
    return "\n".join(lines)


def transport_table(found: dict[str, list[tuple[float, float]]]) -> str:
    """What the transport used, as Markdown: medians and ranges."""
    lines = ["| transport, us per message | receive | delete | both |", "|---|---|---|---|"]
    for name, rounds in found.items():
        columns = (*zip(*rounds, strict=True), [sum(each) for each in rounds])
        lines.append(f"| {name} | {' | '.join(_cell(list(values)) for values in columns)} |")
    return "\n".join(lines)


def main() -> int:
    load = os.getloadavg()[0]
    stages = {
        f"{queues} queue{'s' if queues > 1 else ''}": min(
            (stepped(queues) for _ in range(ROUNDS)), key=lambda one: sum(one.values())
        )
        for queues in (1, 400)
    }
    runs: dict[str, list[Live]] = {name: [] for name in WORKERS}
    for _ in range(ROUNDS):
        for name, options in WORKERS.items():
            runs[name].append(live(**options))
    wire = transport()
    here = replace(machine.look(load), place="in the process that is measured: played, no wire, full for ever")
    text = (
        f"# Engine cost\n\n{here.text()}\n\nPer message of 200 bytes of JSON, no-op handler; required: engine <= "
        f"{LIMIT_ENGINE:g} us, handler threads <= {LIMIT_HANDLERS:g} us, transport included.\n\n"
        f"{table(runs)}\n\nOne pool stepped on one thread, without hand-over and event loop:\n\n{stage_table(stages)}\n"
        f"\nTransport: plain HTTP, ten messages a request, the local SQS in another process:\n\n"
        f"{transport_table(wire)}\n"
    )
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{here.date}-{here.commit}-engine.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
