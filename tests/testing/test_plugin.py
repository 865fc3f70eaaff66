"""The pytest plugin in a user's project: its fixtures, what it costs, and what it finds."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.processes import ROOT, Child

Start = Callable[..., Child]
Project = Callable[..., Child]

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGE = ROOT / "docs" / "testing.md"

# Lets nothing out, reads no AWS settings, and says at the end what was loaded.
HERMETIC = """
import socket, sys
import pytest

def refuse(*_, **__):
    raise AssertionError("a test of handlers needs no network")

@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    for name in ("connect", "connect_ex", "bind", "listen"):
        monkeypatch.setattr(socket.socket, name, refuse, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)

def pytest_sessionfinish():
    loaded = {name.partition(".")[0] for name in sys.modules}
    print("\\nfound:", sorted(loaded & {"botocore", "boto3", "click", "httptools"}))
"""

LEAKS = """
import asyncio, socket, subprocess, sys, threading
import pytest

KEPT = []

def test_thread(nothing_left):
    threading.Thread(target=threading.Event().wait, name="forgotten", daemon=True).start()

def test_task(nothing_left):
    loop = asyncio.new_event_loop()
    KEPT.append((loop, loop.create_task(asyncio.Event().wait(), name="forgotten-task")))

def test_timer(nothing_left):
    loop = asyncio.new_event_loop()
    KEPT.append((loop, loop.call_later(3600, print, "forgotten-timer")))

def test_socket(nothing_left):
    KEPT.append(socket.socket())

def test_child(nothing_left):
    KEPT.append(subprocess.Popen([sys.executable, "-c", "input('forgotten-child')"], stdin=subprocess.PIPE))

def test_clean(nothing_left):
    thread = threading.Thread(target=print)
    thread.start()
    thread.join()
    asyncio.run(asyncio.sleep(0))

@pytest.mark.plants_leaks
def test_marked(nothing_left):
    KEPT.append(socket.socket())

def test_not_watched():
    KEPT.append(socket.socket())
"""

ERRORS = """
import threading
import hadoken

app = hadoken.App("t")
orders = app.queue("orders", str)

@orders.handler
def handle(body: str) -> None:
    raise ConnectionError(body)

def test_nobody_drains(worker):
    worker(app)
    orders.send("unheard")

def test_assertion_beside_it(worker, fake_sqs):
    work = worker(app)
    assert work.sqs is fake_sqs
    assert not fake_sqs.sent
"""


WORKERS = """
import hadoken
import pytest

app = hadoken.App("t")
orders = app.queue("orders", str)
orders.handler(lambda body: None)

def test_worker_first(worker, nothing_left):
    worker(app)
    orders.send("a")

def test_worker_last(nothing_left, worker):
    worker(app)
    orders.send("a")
"""

HELPERS = """
import multiprocessing

def test_spawn(nothing_left):
    child = multiprocessing.get_context("spawn").Process(target=print)
    child.start()
    child.join()
    child.close()

def test_forkserver(nothing_left):
    child = multiprocessing.get_context("forkserver").Process(target=print)
    child.start()
    child.join()
    child.close()
"""

ENDING = """
import gc
import threading
from hadoken import Message

def hold(held):
    message = Message(id="1", body="a", raw_body="a", queue="orders")
    cycle = [message]
    cycle.append(cycle)
    held.set()
    threading.Event().wait(0.2)

def test_thread_that_is_just_ending():
    gc.disable()  # so that only the leak check collects
    held = threading.Event()
    threading.Thread(target=hold, args=(held,)).start()
    assert held.wait(5)
"""

OVERRIDDEN = """
import pytest

@pytest.fixture
def worker():
    return "a worker of mine"

def test_mine(worker):
    assert worker == "a worker of mine"
"""


@pytest.fixture
def project(tmp_path: Path, start_process: Start) -> Project:
    """Run pytest on a user's project: `project(files, *options)`, where files is name -> text."""

    def run(files: dict[str, str], *options: str) -> Child:
        (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        quiet = ("-p", "no:randomly", "-p", "no:xdist", "-p", "no:cacheprovider", "-rA", *options)
        return start_process([sys.executable, "-m", "pytest", *quiet], cwd=tmp_path)

    return run


def test_the_blocks_of_the_page_pass(project: Project) -> None:
    """Every example of the documentation is a test that passes, without a network and without botocore."""
    text = "\n\n".join(BLOCK.findall(PAGE.read_text(encoding="utf-8")))
    child = project({"test_page.py": text, "conftest.py": HERMETIC})
    assert child.wait() == 0, "\n".join(child.lines)
    assert child.wait_for_line(rf"{text.count('def test_')} passed")
    assert child.wait_for_line(r"found: \[\]")


def test_what_is_left_behind_is_named(project: Project) -> None:
    """Each kind of leak fails its test; clean, marked and unwatched tests pass."""
    child = project({"test_leaks.py": LEAKS}, "-o", "hadoken_leak_grace=0.1")
    assert child.wait() == 1, "\n".join(child.lines)
    lines = "\n".join(child.lines)
    for named in (
        r"thread 'forgotten' .*started at .*test_leaks.py:8",
        "task <Task pending name='forgotten-task'",
        "timer <TimerHandle",
        r"descriptor \d+: socket:",
        r"child process \d+: .*forgotten-child",
    ):
        assert re.search(named, lines), lines
    assert "8 passed, 5 errors" in lines


def test_the_ini_option_watches_all_tests(project: Project) -> None:
    """With `hadoken_leak_check = on` no test has to ask."""
    child = project(
        {"test_leaks.py": LEAKS}, "-o", "hadoken_leak_grace=0.1", "-o", "hadoken_leak_check=on", "-k", "not_watched"
    )
    assert child.wait() == 1
    assert child.wait_for_line(r"descriptor \d+: socket:")


def test_a_wrong_ini_option_is_refused(project: Project) -> None:
    """A value that is none is named, with those that are."""
    child = project({"test_leaks.py": LEAKS}, "-o", "hadoken_leak_check=always")
    assert child.wait() == 4
    assert child.wait_for_line("hadoken_leak_check is 'always'; it is one of off, on, everything")


def test_an_unheard_error_fails_the_test_at_its_end(project: Project) -> None:
    """What a handler raised and no call told comes up in the teardown of `worker`; the next test is not touched."""
    child = project({"test_errors.py": ERRORS})
    assert child.wait() == 1
    lines = "\n".join(child.lines)
    assert "ConnectionError: unheard" in lines
    assert "2 passed, 1 error" in lines


def test_a_worker_has_ended_when_it_is_looked(project: Project) -> None:
    """In whichever order a test names `worker` and `nothing_left`, the worker's threads are no leak."""
    child = project({"test_workers.py": WORKERS}, "-o", "hadoken_leak_grace=0.1")
    assert child.wait() == 0, "\n".join(child.lines)
    assert child.wait_for_line("2 passed")


def test_helpers_of_the_standard_library_are_no_leak(project: Project) -> None:
    """The processes that `multiprocessing` starts once and keeps, with the pipes to them, are nobody's leak."""
    child = project({"test_helpers.py": HELPERS}, "-o", "hadoken_leak_grace=0.1")
    assert child.wait() == 0, "\n".join(child.lines)
    assert child.wait_for_line("2 passed")


def test_garbage_of_what_was_just_ending_is_no_leak(project: Project) -> None:
    """What a thread leaves in a cycle when it ends within the grace is collected before anything is called a leak."""
    child = project({"test_end.py": ENDING}, "-o", "hadoken_leak_check=everything", "-o", "hadoken_leak_grace=0.5")
    assert child.wait() == 0, "\n".join(child.lines)
    assert child.wait_for_line("1 passed")


def test_a_fixture_of_the_users_own_wins(project: Project) -> None:
    """A project that has a fixture named `worker` keeps it."""
    child = project({"test_mine.py": OVERRIDDEN})
    assert child.wait() == 0, "\n".join(child.lines)


def test_the_plugin_loads_nothing_but_itself() -> None:
    """What pytest loads at its start, in whatever project, is four small modules."""
    code = (
        "import sys, pytest; before = set(sys.modules); import hadoken.testing.plugin; "
        "print(*sorted(set(sys.modules) - before))"
    )
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert answer.stdout.split() == ["hadoken", "hadoken.testing", "hadoken.testing.plugin", "hadoken.version"]
