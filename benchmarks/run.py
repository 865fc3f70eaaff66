"""One run of one program over one full queue, and what it cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

from benchmarks import proc
from benchmarks.local_sqs import LocalSQS

PROGRAMS = {"hadoken": "benchmarks.hadoken_worker", "plain boto3": "benchmarks.plain_boto3"}
CONCURRENCY = 10
SAMPLE = 0.05  # seconds between two looks at the process: 20 Hz
PATIENCE = 60.0  # seconds for a run

# No account, no files of the machine's user, no address that a role's credentials would be asked from.
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True, slots=True)
class Run:
    """What one run cost.

    Attributes:
        cpu_ms: milliseconds of CPU per message, which is seconds per 1,000: user and system, from the first handler
            call until the last delete, by the kernel's count.
        life_cpu: seconds of CPU of the whole process, start-up and end included, by wait4(2).
        server_ms: milliseconds of CPU per message that the server used meanwhile.
        per_second: messages handled per second, from the first call to the end of the last.
        utilisation: time in handlers / (concurrency x time from the first start to the last end).
        requests: the server's count by operation, boot included.
        threads: each number of threads that a sample saw after the first handler call, sorted.
        budget: how many threads the program promised; None for one that promises nothing.
        rss_mib: the largest resident memory that a sample saw, in MiB.
    """

    messages: int
    cpu_ms: float
    life_cpu: float
    server_ms: float
    per_second: float
    utilisation: float
    requests: dict[str, int]
    threads: list[int]
    budget: int | None
    samples: int
    rss_mib: float

    @property
    def requests_per_message(self) -> float:
        """All requests that the server counted, over the messages."""
        return sum(self.requests.values()) / self.messages


def run(program: str, sqs: LocalSQS, queue: str, messages: int, seconds: float) -> Run:
    """Fill a fresh queue, let a program empty it, and measure from outside.

    Args:
        program: a key of `PROGRAMS`.
        sqs: where the queue is made.
        queue: a name that was not used before.
        messages: how many, a multiple of ten.
        seconds: how long each handler sleeps; 0 for no-op.

    Raises:
        RuntimeError: the program failed, was too slow, or handled another number of messages.
    """
    sqs.fill(queue, messages)
    before, deleted = sqs.requests(), sqs.deleted()
    words = [sys.executable, "-m", PROGRAMS[program], sqs.url, queue, str(seconds)]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=os.environ | ENVIRONMENT)  # noqa: S603 -- ours
    try:
        first = _line(child)
        server = sqs.cpu()
        threads, rss = _sample(child.pid, sqs, deleted + messages)
        cpu, server = proc.cpu_seconds(child.pid) - first["cpu"], sqs.cpu() - server
        counted = sqs.requests()
        child.terminate()
        last = _line(child)
    except BaseException:
        child.kill()
        raise
    finally:
        life = proc.reap(child, PATIENCE)
    if last["handled"] != messages:
        raise RuntimeError(f"{program} handled {last['handled']} of {messages} messages")
    wall = last["last"] - last["first"]
    return Run(
        messages=messages,
        cpu_ms=cpu / messages * 1000,
        life_cpu=life,
        server_ms=server / messages * 1000,
        per_second=messages / wall,
        utilisation=last["busy"] / (CONCURRENCY * wall),
        requests={name: more for name, n in counted.items() if (more := n - before.get(name, 0))},
        threads=sorted(set(threads)),
        budget=first["budget"],
        samples=len(threads),
        rss_mib=max(rss) / 2**20,
    )


def _line(child: subprocess.Popen[str]) -> dict[str, Any]:
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line:
        raise RuntimeError("the measured program ended early; its standard error says why")
    facts: dict[str, Any] = json.loads(line)
    return facts


def _sample(pid: int, sqs: LocalSQS, wanted: int) -> tuple[list[int], list[int]]:
    """Look at the process 20 times a second until `wanted` deletes; returns threads and resident bytes of each look."""
    threads: list[int] = []
    rss: list[int] = []
    deadline = time.monotonic() + PATIENCE
    while True:
        threads.append(proc.threads(pid))
        rss.append(proc.rss_bytes(pid))
        if sqs.deleted() >= wanted:
            return threads, rss
        if time.monotonic() > deadline:
            raise RuntimeError(f"{wanted - sqs.deleted()} messages were left after {PATIENCE:g} s")
        time.sleep(SAMPLE)
