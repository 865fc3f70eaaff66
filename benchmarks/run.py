"""One run of one contender over full queues, and what it cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import proc
from benchmarks.child import PATIENCE, Child
from benchmarks.contender import Contender
from benchmarks.programs.job import Job
from benchmarks.stock import Stock

SAMPLE = 0.05  # seconds between two looks at the process: 20 Hz
POLL = 0.005  # seconds between two questions whether all is deleted
CONCURRENCY = 10


@dataclass(frozen=True, slots=True)
class Run:
    """What one run cost.

    Attributes:
        cpu_ms: milliseconds of CPU per message, which is seconds per 1,000: user and system of the process and its
            children, from the first handler call until the last delete, by the kernel's count.
        start_cpu: seconds of CPU from exec to the first handler call.
        server_ms: milliseconds of CPU per message that the server used meanwhile.
        server_share: how busy the server was, of one core; near 1 it is the server that was measured.
        per_second: messages handled per second, from the first call to the end of the last.
        utilisation: time in handlers / (concurrency x time from the first start to the last end).
        requests: the server's count by operation, boot included.
        threads: each number of threads that a sample saw after the first handler call, sorted.
        budget: how many threads the program promised; None for one that promises nothing.
        rss_mib: the largest resident memory that a sample saw, in MiB.
        pss_mib: proportional memory at the end, in MiB.
    """

    messages: int
    cpu_ms: float
    start_cpu: float
    server_ms: float
    server_share: float
    per_second: float
    utilisation: float
    requests: dict[str, int]
    threads: list[int]
    budget: int | None
    samples: int
    rss_mib: float
    pss_mib: float

    @property
    def requests_per_message(self) -> float:
        """All requests that the server counted, over the messages."""
        return sum(self.requests.values()) / self.messages


def run(
    contender: Contender,
    stock: Stock,
    messages: int,
    seconds: float = 0.0,
    *,
    log: bool = False,
    size: int = 200,
    queues: int = 1,
    concurrency: int = CONCURRENCY,
) -> Run:
    """Fill fresh queues, let a program empty them, and measure from outside.

    Args:
        contender: whose program.
        stock: where the queues are filled.
        messages: how many in all, a multiple of ten for each queue.
        seconds: how long each handler sleeps; 0 for no-op.
        log: whether each message writes a line of JSON.
        size: bytes of a body.
        queues: how many are filled and consumed.
        concurrency: handlers at once.

    Raises:
        RuntimeError: the program failed, was too slow, or handled another number of messages.
    """
    filled = [stock.full(contender, messages // queues, size) for _ in range(queues)]
    sqs = stock.sqs
    before, deleted = sqs.requests(), sqs.deleted()
    job = Job(
        "work",
        stock.endpoint,
        [name for name, _ in filled],
        [url for _, url in filled],
        messages,
        seconds,
        log=log,
        concurrency=concurrency,
        transport=contender.transport,
        ca=sqs.ca,
    )
    with Child(contender, job) as child:
        first = child.line()
        began, start, server = time.monotonic(), proc.look(child.pid), sqs.cpu()
        looks = _sample(child)
        report = child.line()
        await_(lambda: sqs.deleted() >= deleted + messages, f"{contender.name} did not delete {messages} messages")
        end, server = proc.look(child.pid), sqs.cpu() - server
        took = time.monotonic() - began
        counted = sqs.requests()
        pss = sum(map(proc.pss_bytes, proc.tree(child.pid)))
    if report["handled"] != messages or sqs.deleted() != deleted + messages:
        gone = sqs.deleted() - deleted
        raise RuntimeError(f"{contender.name} handled {report['handled']} and deleted {gone} of {messages} messages")
    looks = [start, *looks, end]
    wall = report["last"] - report["first"]
    return Run(
        messages=messages,
        cpu_ms=(end.cpu - start.cpu) / messages * 1000,
        start_cpu=start.cpu,
        server_ms=server / messages * 1000,
        server_share=server / took,
        per_second=messages / wall,
        utilisation=report["busy"] / (concurrency * wall),
        requests={name: more for name, n in counted.items() if (more := n - before.get(name, 0))},
        threads=sorted({look.threads for look in looks}),
        budget=first["budget"],
        samples=len(looks),
        rss_mib=max(look.rss for look in looks) / 2**20,
        pss_mib=pss / 2**20,
    )


def _sample(child: Child) -> list[proc.Look]:
    """Look at the process 20 times a second until it reports, or for as long as a line may take."""
    looks: list[proc.Look] = []
    deadline = time.monotonic() + child.patience
    while not child.has_line(SAMPLE) and time.monotonic() < deadline:
        looks.append(proc.look(child.pid))
    return looks


def await_(ready: Callable[[], bool], otherwise: str) -> None:
    """Ask again and again; raises `RuntimeError` with a sentence when it takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not ready():
        if time.monotonic() > deadline:
            raise RuntimeError(otherwise)
        time.sleep(POLL)
