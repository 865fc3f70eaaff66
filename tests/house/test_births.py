"""Threads are born in one file, and time is asked in one file.

ruff's banned-api says the same while one writes; this test cannot be waived by a `noqa`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.house import source

BIRTHPLACE = source.PACKAGE / "threads" / "spawn.py"
CLOCK = source.PACKAGE / "clock.py"

BIRTHS = frozenset(
    {
        "threading.Thread",
        "threading.Timer",
        "_thread.start_new_thread",
        "_thread.start_new",
        "_thread.start_joinable_thread",
        "concurrent.futures.ThreadPoolExecutor",
        "concurrent.futures.thread.ThreadPoolExecutor",
        "concurrent.futures.ProcessPoolExecutor",
        "multiprocessing.dummy.Pool",
        "multiprocessing.pool.ThreadPool",
        "multiprocessing.Pool",
        "asyncio.to_thread",
    }
)
# Methods of a loop that use its executor: the default one starts threads when it likes.
EXECUTOR_CALLS = frozenset({"run_in_executor", "set_default_executor"})
# Methods of a loop that use its default executor; the functions of `socket` with the same names block their caller.
LOOKUPS = frozenset({"getaddrinfo", "getnameinfo"})
TIME = frozenset(
    {
        "time.sleep",
        "time.time",
        "time.time_ns",
        "datetime.datetime.now",
        "datetime.datetime.utcnow",
        "datetime.datetime.today",
        "datetime.date.today",
    }
)


def births(tree: ast.Module) -> Iterator[str]:
    """Every place where a thread may be started, as "line: what"."""
    for node, name in source.full_names(tree):
        # A mention in an annotation starts nothing.
        if name in BIRTHS and id(node) not in annotated(tree):
            yield f"{node.lineno}: {name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in EXECUTOR_CALLS:
            yield f"{node.lineno}: {node.func.attr}"
        if isinstance(node, ast.Attribute) and node.attr in LOOKUPS and ast.unparse(node.value) != "socket":
            yield f"{node.lineno}: {node.attr} of a loop"


def annotated(tree: ast.Module) -> set[int]:
    """id() of every node inside an annotation."""
    notes: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns:
            notes.append(node.returns)
        elif isinstance(node, ast.arg | ast.AnnAssign) and node.annotation:
            notes.append(node.annotation)
    return {id(part) for note in notes for part in ast.walk(note)}


@pytest.mark.parametrize(
    "planted",
    [
        "import threading\nthreading.Thread(target=print).start()",
        "import threading as t\nclass Mine(t.Thread): pass",
        "from threading import Timer as Later\nLater(1, print)",
        "import _thread\n_thread.start_new_thread(print, ())",
        "from concurrent.futures import ThreadPoolExecutor\nThreadPoolExecutor(1)",
        "from concurrent import futures\nfutures.ThreadPoolExecutor(1)",
        "import concurrent.futures\nconcurrent.futures.ThreadPoolExecutor(1)",
        "from multiprocessing import pool\npool.ThreadPool(1)",
        "import asyncio\nasyncio.to_thread(print)",
        "def go(loop): return loop.run_in_executor(None, print)",
        "async def go(loop): return await loop.getaddrinfo('sqs.test', 443)",
    ],
)
def test_a_planted_birth_is_seen(planted: str) -> None:
    """Each way of starting a thread is recognised, under whatever name it was imported."""
    assert len(list(births(ast.parse(planted)))) == 1


def test_annotations_are_no_births() -> None:
    """Naming the type of a thread is allowed everywhere."""
    assert not list(births(ast.parse("import threading\ndef f(t: threading.Thread) -> list[threading.Thread]: ...")))


def test_threads_are_born_in_one_file() -> None:
    """No other file of the package starts a thread."""
    found = [f"{source.shown(path)}:{birth}" for path in source.modules() if path != BIRTHPLACE
             for birth in births(source.parsed(path))]  # fmt: skip
    assert not found


def test_time_is_asked_in_one_file() -> None:
    """No other file of the package asks what time it is, or sleeps."""
    found = [f"{source.shown(path)}:{node.lineno}: {name}" for path in source.modules() if path != CLOCK
             for node, name in source.full_names(source.parsed(path)) if name in TIME]  # fmt: skip
    assert not found


def test_no_test_sleeps() -> None:
    """Tests wait on events or move a virtual clock; `asyncio.sleep(0)` only lets the loop turn."""
    found = [f"{source.shown(path)}:{line}" for path in source.tests() for line in sleeps(source.parsed(path))]
    assert not found


def sleeps(tree: ast.Module) -> Iterator[int]:
    """Lines that sleep for a time."""
    named = {id(node): name for node, name in source.full_names(tree)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = named.get(id(node.func))
        turn = node.args and isinstance(node.args[0], ast.Constant) and node.args[0].value == 0
        if name == "time.sleep" or (name == "asyncio.sleep" and not turn):
            yield node.lineno


def test_a_planted_sleep_is_seen() -> None:
    """Both kinds of sleep are recognised; letting the loop turn is none."""
    planted = "import time, asyncio as a\ntime.sleep(1)\na.sleep(0.1)\na.sleep(0)"
    assert list(sleeps(ast.parse(planted))) == [2, 3]
