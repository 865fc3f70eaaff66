"""The benchmark measures what it says, at a size at which its numbers mean nothing yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import keeper, machine, report, testing_kit
from benchmarks.local_sqs import LocalSQS
from benchmarks.run import PROGRAMS, Run, run

MESSAGES = 40


@pytest.fixture(scope="module")
def runs() -> report.Runs:
    """One short run of each program at each workload."""
    runs: report.Runs = {}
    with LocalSQS() as sqs:
        for workload, seconds in (("no-op", 0.0), ("50 ms", 0.05)):
            one = {
                program: run(program, sqs, f"{workload}-{program}".replace(" ", "-"), MESSAGES, seconds)
                for program in PROGRAMS
            }
            runs[workload] = {program: [measured] for program, measured in one.items()}
    return runs


def requests(one: Run) -> dict[str, int]:
    """The requests that messages cause."""
    return {name: one.requests[name] for name in ("ReceiveMessage", "DeleteMessageBatch")}


def test_both_programs_empty_the_queue_with_full_batches(runs: report.Runs) -> None:
    """Ten messages a request, by the server's count; one more poll, which finds nothing, may have been counted."""
    for program in PROGRAMS:
        counted = requests(runs["no-op"][program][0])
        assert counted["DeleteMessageBatch"] >= MESSAGES // 10
        assert MESSAGES // 10 <= counted["ReceiveMessage"] <= MESSAGES // 10 + 1


def test_threads_are_the_budget_at_every_sample(runs: report.Runs) -> None:
    """Seen from outside, a worker has as many threads as it promised; the other program promises nothing."""
    for workload in runs.values():
        ours, theirs = workload["hadoken"][0], workload["plain boto3"][0]
        assert ours.samples >= 1
        assert ours.threads == [ours.budget]
        assert theirs.budget is None


def test_handlers_of_50_ms_are_measured_from_inside(runs: report.Runs) -> None:
    """Ten threads are never busier than all of them, and handle at most ten messages in 50 ms."""
    for one in (runs["50 ms"][program][0] for program in PROGRAMS):
        assert 0 < one.utilisation <= 1
        assert one.per_second <= 10 / 0.05


def test_the_report_names_every_requirement(runs: report.Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text and files hold a line for each requirement, and a requirement that is missed is shown as missed."""
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    expensive = keeper.KeeperCost(held=1.0, extended=6.0, batches=1)
    lines = report.write(runs, expensive, machine.look(0.0)).read_text(encoding="utf-8").splitlines()
    assert len(list(tmp_path.glob("*-consumers.*"))) == 2
    assert "| keeper, CPU us / message held | 6.00 | <= 5 | **missed** |" in lines
    assert len([line for line in lines if line.endswith(("| holds |", "| **missed** |"))]) == 6


def test_the_keeper_extends_each_message_once() -> None:
    """10,000 messages are extended in 1,000 batches of ten, and none is left behind."""
    assert keeper.measure().batches == 1_000


def test_the_kit_is_measured_at_work() -> None:
    """Each round starts a worker, which handles all of its messages; wall clock and CPU of each are kept."""
    wall, cpu = testing_kit.measure("a drain", 40, testing_kit.drain, 3)
    assert [len(line.values) for line in (wall, cpu)] == [3, 3]
    assert all(value > 0 for value in (*wall.values, *cpu.values))
    assert [line.what for line in (wall, cpu)] == ["a drain, wall clock", "a drain, CPU"]
