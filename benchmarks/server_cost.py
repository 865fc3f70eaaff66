"""`make bench-local`: what the local SQS costs over HTTP, seen from outside; about a minute.

CPU is that of the server's only thread, from the kernel, to the nanosecond (`/proc/PID/schedstat`). The client sends
bytes that were made before, so that the server is what is measured.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks import machine, proc
from benchmarks.local_sqs import LocalSQS
from benchmarks.verdict import Line, publish
from benchmarks.wire import Wire, request

ROUNDS = 11
CALLS = 200  # of each operation in a round
BODY = "x" * 200  # bytes
STORED = 100_000  # messages, for the memory of one
POLLS = 1_000
QUEUES = 20  # that the polls are spread over
IDLE = 5.0  # seconds in which parked polls are watched
STARTS = 11
MIB = 1_048_576


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU of one operation in microseconds, one number a round."""

    name: str
    limit: float
    rounds: list[float]


def measure_calls(sqs: LocalSQS, wire: Wire) -> list[Cost]:
    """Send, receive and delete full batches, round by round."""
    url = wire.ask("CreateQueue", QueueName="calls")["QueueUrl"]
    entries = [{"Id": str(at), "MessageBody": BODY} for at in range(10)]
    send = request("SendMessageBatch", QueueUrl=url, Entries=entries)
    receive = request("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"])
    costs = [Cost("SendMessageBatch", 250, []), Cost("ReceiveMessage", 200, []), Cost("DeleteMessageBatch", 120, [])]
    for _ in range(ROUNDS):
        _timed(costs[0], sqs, wire, [send] * CALLS)
        received = _timed(costs[1], sqs, wire, [receive] * CALLS)
        _timed(costs[2], sqs, wire, [_delete(url, answer) for answer in received])
    return costs


def measure_stored(sqs: LocalSQS, wire: Wire) -> float:
    """Bytes of resident memory for one stored message of 200 B."""
    url = wire.ask("CreateQueue", QueueName="stored")["QueueUrl"]
    send = request("SendMessageBatch", QueueUrl=url, Entries=[{"Id": str(at), "MessageBody": BODY} for at in range(10)])
    before = proc.rss_bytes(sqs.pid)
    for _ in range(STORED // 10):
        wire.call(send)
    return (proc.rss_bytes(sqs.pid) - before) / STORED


def measure_parked(sqs: LocalSQS, wire: Wire) -> tuple[float, float]:
    """Open long polls: the MiB they take, and the milliseconds of CPU of all of them in a second."""
    urls = [wire.ask("CreateQueue", QueueName=f"parked-{n}")["QueueUrl"] for n in range(QUEUES)]
    before = proc.rss_bytes(sqs.pid)
    with ExitStack() as stack:
        for n in range(POLLS):
            poll = stack.enter_context(Wire(sqs.url))
            poll.send(request("ReceiveMessage", QueueUrl=urls[n % QUEUES], WaitTimeSeconds=20))
        while sqs.parked() < POLLS:
            time.sleep(0.01)
        taken = proc.rss_bytes(sqs.pid) - before
        began = proc.cpu_ns(sqs.pid)
        time.sleep(IDLE)
        spent = proc.cpu_ns(sqs.pid) - began
    return taken / MIB, spent / 1e6 / IDLE


def measure_starts() -> tuple[list[float], list[float]]:
    """Milliseconds from the start of the process to its first answer, and its MiB then, one number a start."""
    took: list[float] = []
    memory: list[float] = []
    for _ in range(STARTS):
        began = time.monotonic()
        with LocalSQS() as sqs, Wire(sqs.url) as wire:
            wire.ask("ListQueues")
            took.append((time.monotonic() - began) * 1000)
            memory.append(proc.rss_bytes(sqs.pid) / MIB)
    return took, memory


def main() -> int:
    load = os.getloadavg()[0]
    _allow_files(2 * POLLS)
    took, memory = measure_starts()
    with LocalSQS() as sqs, Wire(sqs.url) as wire:
        costs = measure_calls(sqs, wire)
    with LocalSQS() as sqs, Wire(sqs.url) as wire:
        parked, idle = measure_parked(sqs, wire)
    with LocalSQS() as sqs, Wire(sqs.url) as wire:
        stored = measure_stored(sqs, wire)
    lines = [Line(f"{one.name} of 10 x 200 B, CPU", one.rounds, one.limit, "us") for one in costs]
    lines += [
        Line("start to first answer, wall clock", took, 300, "ms"),
        Line("resident memory, empty", memory, 60, "MiB"),
        Line("resident memory of a stored 200 B message", [stored], 1.2 * 1024, "B"),
        Line(f"{POLLS:,} parked polls, memory", [parked], 20, "MiB"),
        Line(f"{POLLS:,} parked polls, CPU in a second", [idle], 0.5, "ms"),
    ]
    return publish("local-sqs", "The local SQS over HTTP", lines, machine.look(load))


def _timed(cost: Cost, sqs: LocalSQS, wire: Wire, requests: Sequence[bytes]) -> list[bytes]:
    """Make the calls, note what one cost the server, and return the answers."""
    began = proc.cpu_ns(sqs.pid)
    answers = [wire.call(each) for each in requests]
    cost.rounds.append((proc.cpu_ns(sqs.pid) - began) / 1000 / len(requests))
    return answers


def _delete(url: str, answer: bytes) -> bytes:
    """The batch that deletes what a receive brought."""
    messages = json.loads(answer)["Messages"]
    assert len(messages) == 10, len(messages)
    entries = [{"Id": str(at), "ReceiptHandle": one["ReceiptHandle"]} for at, one in enumerate(messages)]
    return request("DeleteMessageBatch", QueueUrl=url, Entries=entries)


def _allow_files(wanted: int) -> None:
    """Let this process and its children open that many files, as far as the system does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))


if __name__ == "__main__":
    sys.exit(main())
