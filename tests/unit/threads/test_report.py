"""The census and its table, also where little can be read."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from hadoken.threads import census as stage
from hadoken.threads.census import ThreadInfo, census, stack
from hadoken.threads.report import table

ENGINE = ThreadInfo(11, "hadoken-engine", "hd-engine", "S", 1.25, "worker/engine.py:10 Engine.run", 1)
NATIVE = ThreadInfo(12, "native", "grpc", "R", 0.0, "", None)


def test_the_census_is_that_of_the_kernel() -> None:
    """Every task of /proc, by native id, the caller with its own frame."""
    found = census()
    assert [info.tid for info in found] == sorted(int(task.name) for task in Path("/proc/self/task").iterdir())
    me = next(info for info in found if info.ident == threading.get_ident())
    assert me.where.startswith(("threads/test_report.py", "threads/census.py"))


def test_without_proc_it_is_what_python_knows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Fields that cannot be read are empty, never an error."""
    monkeypatch.setattr(stage, "_TASKS", tmp_path / "none")
    me = next(info for info in census() if info.ident == threading.get_ident())
    assert (me.tid, me.comm, me.state, me.cpu) == (threading.get_native_id(), "", "?", 0.0)


def test_a_thread_that_python_does_not_know_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As native, without a frame."""
    monkeypatch.setattr(threading, "enumerate", list)
    assert {(info.name, info.where, info.ident) for info in census()} == {("native", "", None)}


def test_a_frame_deep_in_the_standard_library_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """When nothing else is near, the innermost frame is better than none."""
    monkeypatch.setattr(stage, "_STDLIB", "/")
    me = next(info for info in census() if info.ident == threading.get_ident())
    assert "census.py" in me.where


def test_the_stack_of_a_thread_is_text() -> None:
    """Innermost last; empty for one that has ended."""
    assert "test_the_stack_of_a_thread_is_text" in stack(threading.get_ident())
    assert stack(0) == ""


def test_the_table_names_each_thread_and_its_message() -> None:
    """A heading with the verdict, a header, one line a thread."""
    text = table([ENGINE, NATIVE], budget=2, in_hand={"hadoken-engine": "m1 of orders"})
    heading, header, first, second = text.splitlines()
    assert heading == "2 threads (1 Python, 1 native), as budgeted"
    assert header.split() == ["TID", "NAME", "COMM", "S", "CPU", "s", "AT", "MESSAGE", "IN", "HAND"]
    assert first.split(maxsplit=5) == ["11", "hadoken-engine", "hd-engine", "S", "1.25", first.split(maxsplit=5)[5]]
    assert first.endswith("worker/engine.py:10 Engine.run  m1 of orders")
    assert second.split() == ["12", "native", "grpc", "R", "0.00", "-", "-"]
    assert header.index("AT") == first.index("worker/")
    assert "BUDGET 3" in table([ENGINE], budget=3, in_hand={})
