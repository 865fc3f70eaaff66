"""The benchmark measures what it says, at a size at which its numbers mean nothing yet."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import chart, keeper, machine, proc, report, testing_kit
from benchmarks.child import Child
from benchmarks.contender import ALL, Contender, named
from benchmarks.latency import latency
from benchmarks.local_sqs import LocalSQS
from benchmarks.programs.job import Job, body
from benchmarks.relay import Relay
from benchmarks.run import Run, run
from benchmarks.sending import send
from benchmarks.stock import Stock

MESSAGES = 40
# The same programs in the environment of the tests, where peers are not installed.
OURS = replace(named("hadoken, botocore"), name="hadoken", place="")
LOOP = replace(named("boto3 loop"), place="")


@pytest.fixture(scope="module")
def stock() -> Iterator[Stock]:
    """A local SQS, and the messages that each program sent once."""
    with LocalSQS() as sqs:
        yield Stock(sqs)


@pytest.fixture(scope="module")
def runs(stock: Stock) -> dict[str, dict[str, Run]]:
    """One short run of each program at each workload."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks.child.ENDING", 0.1)  # a worker that is measured waits for its last poll: 20 s
        return {
            workload: {one.name: run(one, stock, MESSAGES, seconds) for one in (OURS, LOOP)}
            for workload, seconds in (("no-op", 0.0), ("50 ms", 0.05))
        }


def test_both_programs_empty_the_queue_with_full_batches(runs: dict[str, dict[str, Run]]) -> None:
    """Ten messages a request, by the server's count; one more poll, which finds nothing, may have been counted."""
    for one in runs["no-op"].values():
        assert one.requests["DeleteMessageBatch"] >= MESSAGES // 10
        assert MESSAGES // 10 <= one.requests["ReceiveMessage"] <= MESSAGES // 10 + 1


def test_threads_are_the_budget_at_every_sample(runs: dict[str, dict[str, Run]]) -> None:
    """Seen from outside, a worker has as many threads as it promised; the other program promises nothing."""
    for workload in runs.values():
        assert workload["hadoken"].samples >= 2
        assert workload["hadoken"].threads == [workload["hadoken"].budget]
        assert workload["boto3 loop"].budget is None


def test_handlers_of_50_ms_are_measured_from_inside(runs: dict[str, dict[str, Run]]) -> None:
    """Ten threads are never busier than all of them, and handle at most ten messages in 50 ms."""
    for one in runs["50 ms"].values():
        assert 0 < one.utilisation <= 1
        assert one.per_second <= 10 / 0.05


def test_a_program_that_handles_too_few_fails(stock: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue with fewer messages than were asked for is no run, however fast it was."""
    monkeypatch.setattr("benchmarks.child.PATIENCE", 1.0)
    fill = stock.sqs.fill
    monkeypatch.setattr(stock.sqs, "fill", lambda url, entries, count: fill(url, entries, count - 10))
    with pytest.raises(RuntimeError, match="boto3 loop said nothing for 1 s"):
        run(LOOP, stock, MESSAGES)


def test_a_program_that_ends_early_fails_with_its_reason(stock: Stock) -> None:
    """What it wrote to standard error is in the error, so that nobody has to run it again by hand."""
    job = Job("work", stock.sqs.url, ["none_orders"], [f"{stock.sqs.url}/000000000000/none_orders"], MESSAGES)
    with Child(LOOP, job) as child, pytest.raises(RuntimeError, match="QueueDoesNotExist"):
        child.line()


def test_a_contender_that_is_not_installed_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The last line of the installer is the reason; without one, what to do."""
    monkeypatch.setattr("benchmarks.contender.PEERS", tmp_path)
    one = named("fanferro")
    assert "make peers" in one.missing
    (tmp_path / "fanferro").mkdir()
    (tmp_path / "fanferro" / "reason").write_text("resolving\nERROR: no matching distribution\n", encoding="utf-8")
    assert one.missing == "ERROR: no matching distribution"
    (tmp_path / "fanferro" / "peer.stamp").touch()
    assert not one.missing


@pytest.mark.parametrize("one", [OURS, LOOP], ids=lambda one: one.name)
def test_sending_is_counted_by_the_server(stock: Stock, one: Contender) -> None:
    """One by one and in batches, all that was sent has arrived before the cost is read."""
    for many in (False, True):
        sent = send(one, stock, 20, many=many)
        assert sent.messages == 20
        assert sent.cpu_ms > 0


def test_latency_is_of_each_message_that_counts(stock: Stock) -> None:
    """A handler never starts before its message was sent, and the slow end is not below the middle."""
    found = latency(LOOP, stock, 500, 120)
    assert 0 < found.p50 <= found.p99


def test_a_relay_delays_every_exchange(stock: Stock) -> None:
    """Four requests one after the other take at least four round trips."""
    with Relay(stock.sqs.url, 0.02) as relay:
        behind = Stock(stock.sqs, relay.url)
        name, url = behind.queue()
        assert url.startswith(relay.url)
        job = Job("send", relay.url, [name], [url], 4)
        with Child(LOOP, job) as child:
            assert child.line() == {"ready": True}
            began = time.monotonic()
            child.go()
            assert child.line() == {"sent": True}
            assert time.monotonic() - began >= 4 * 0.02


def test_a_body_has_the_size_that_was_asked_for() -> None:
    """Compact JSON of 200 B and of 256 KiB, numbered."""
    import json

    for size in (200, 262_144):
        assert len(json.dumps(body(7, size), separators=(",", ":"))) == size
        assert body(7, size)["n"] == 7


def test_a_process_is_seen_with_its_children() -> None:
    """CPU by the kernel's clock, threads and memory are summed over the whole tree."""
    script = (
        "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE);"
        "sum(range(10**6)); print('up', flush=True); input()"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        pids = list(proc.tree(parent.pid))
        assert len(pids) == 2
        look = proc.look(parent.pid)
        assert look.threads == 2
        assert look.cpu > proc.cpu_seconds(parent.pid) > 0
        assert look.rss > proc.rss_bytes(parent.pid) > 2**20
        assert 0 < proc.pss_bytes(parent.pid) <= proc.rss_bytes(parent.pid) * 1.1
        parent.communicate(b"\n")
    assert proc.cpu_seconds(os.getpid()) == pytest.approx(time.process_time(), abs=0.05)


def results(runs: dict[str, dict[str, Run]]) -> report.Results:
    """A benchmark of two contenders in one round, of which one failed at something."""
    found = report.Results(contenders=[OURS, LOOP], keeper=keeper.KeeperCost(held=1.0, extended=6.0, batches=1))
    for name in ("hadoken", "boto3 loop"):
        found.noop[name].append(runs["no-op"][name])
        found.slow[name].append(runs["50 ms"][name])
    found.missing = [("Celery", "no | wheel\nfor it")]
    found.failures = [("boto3 loop", "latency", "said nothing")]
    return found


def test_the_report_names_every_requirement(
    runs: dict[str, dict[str, Run]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A requirement that is missed is shown as missed, and what was not measured is never said to be reached."""
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    lines = report.write(results(runs), machine.look(0.0)).read_text(encoding="utf-8").splitlines()
    assert len(list(tmp_path.glob("*-consumers.*"))) == 2
    assert "| keeper, CPU / message held | <= 5 us | 6 us | **missed** |" in lines
    assert "| CPU / message, of fanferro's | <= 0.8 | not measured | - |" in lines
    assert "| Celery | everything | no \\| wheel for it |" in lines
    assert "| boto3 loop | latency | said nothing |" in lines
    assert not report.Requirement("anything", math.nan, 1).holds


def test_the_chart_shows_each_contender_once_a_panel(runs: dict[str, dict[str, Run]], tmp_path: Path) -> None:
    """It is well-formed, the best bar comes first, and the longest fills the width."""
    chart.write(results(runs), machine.look(0.0), tmp_path / "chart.svg")
    drawn = ET.parse(tmp_path / "chart.svg").getroot()
    bars = [float(each.get("width", "")) for each in drawn if each.tag.endswith("rect")][1:]
    assert len(bars) == 4
    assert bars[0] <= bars[1] == max(bars) == bars[2] >= bars[3]


def test_the_chart_of_the_readme_shows_whole_results_only(runs: dict[str, dict[str, Run]]) -> None:
    """A first look, or a run without one of those that have to be there, leaves the chart as it is."""
    mandatory = [one for one in ALL if one.mandatory]
    found = report.Results(contenders=list(ALL))
    for one in mandatory:
        found.noop[one.name] = [runs["no-op"]["boto3 loop"]] * chart.ROUNDS
    assert chart.is_complete(found)
    found.noop["Celery"].pop()
    assert not chart.is_complete(found)
    del found.noop["Celery"]
    assert not chart.is_complete(found)


def test_names_of_contenders_are_their_own() -> None:
    """Results are kept by name."""
    assert len({one.name for one in ALL}) == len(ALL)


def test_the_keeper_extends_each_message_once() -> None:
    """10,000 messages are extended in 1,000 batches of ten, and none is left behind."""
    assert keeper.measure().batches == 1_000


def test_the_kit_is_measured_at_work() -> None:
    """Each round starts a worker, which handles all of its messages; wall clock and CPU of each are kept."""
    wall, cpu = testing_kit.measure("a drain", 40, testing_kit.drain, 3)
    assert [len(line.values) for line in (wall, cpu)] == [3, 3]
    assert all(value > 0 for value in (*wall.values, *cpu.values))
    assert [line.what for line in (wall, cpu)] == ["a drain, wall clock", "a drain, CPU"]
