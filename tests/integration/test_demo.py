"""The demo from outside: it does its work, and its books notice what is wrong."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hadoken.demo.books import read_rows
from hadoken.demo.plant import PAUSE
from hadoken.demo.query import find
from hadoken.demo.source import python_files, standard_library
from tests.support import ports
from tests.support.processes import Child
from tests.support.waiting import GLOBAL, wait_until

Start = Callable[..., Child]

# A demo waits for its slow handlers, whatever the machine; the rest is work on a few files or on the whole library.
DEMO = PAUSE + 50

# Runs the demo on a folder, and lets `meddle` get at the database before the books are compared.
MEDDLE = """
import sqlite3, sys
from pathlib import Path
from hadoken.demo.run import demo

def meddle(database):
    with sqlite3.connect(database) as connection:
        connection.execute("DELETE FROM files WHERE file = 'shop/money.py'")
        connection.execute("UPDATE definitions SET line = 99 WHERE file = 'shop/cart.py'")
        connection.execute("UPDATE packages SET digest = '' WHERE package = 'shop'")
    connection.close()

sys.exit(demo(library=Path("library"), database=Path("index.sqlite3"), meddle=meddle))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a small library: a package of thirty files, and one file that is no Python."""
    shop = tmp_path / "library" / "shop"
    shop.mkdir(parents=True)
    (shop / "money.py").write_text("class Money:\n    def add(self): ...\n")
    (shop / "cart.py").write_text("def fill():\n    def inner(): ...\n\nasync def empty(): ...\n")
    (shop / "broken.py").write_text("this is no python\n")
    for number in range(27):
        (shop / f"part_{number:02}.py").write_text(f"def part_{number}(): ...\n")
    return tmp_path


@pytest.mark.timeout(90)
def test_the_demo_indexes_the_standard_library_and_its_books_balance(start_hadoken: Start, tmp_path: Path) -> None:
    """`hadoken demo` exits 0, and what it tells is what an outsider finds in the database and in /proc."""
    database = tmp_path / "index.sqlite3"
    demo = start_hadoken("demo", env={"HADOKEN_LIBRARY_INDEX": str(database)}, cwd=tmp_path)
    budget = int(demo.wait_for_line(r"threads +(\d+), a number that will not change")[1])
    demo.wait_for_line(r"\[#.*threads \(flat\)")
    assert len(demo.threads()) == budget
    assert demo.wait(DEMO) == 0
    text = "\n".join(demo.out)
    assert demo.err == []
    assert not re.search(r"FAIL", text)
    assert demo.out[-1] == "The books balance."

    files = python_files(standard_library())
    rows = read_rows(database)
    assert set(files) <= set(rows.defined)
    assert f"{len(rows.defined)} files walked = {len(rows.defined)} rows" in text
    assert f"{len(files) + 8} messages sent" in text
    assert rows.digests["json"]
    assert any("class JSONDecoder" in line for line in find(database, "JSONDecoder"))
    for line in ("4 retried = 4 planted", "3 extended = 3 planted", "5 dead-lettered = 5 planted"):
        assert f"ok    {line}" in text
    for word in (
        "ReceiveMessage",
        "DeleteMessageBatch",
        "before the worker",
        "SyntaxError",
        "not there, after 3 attempts",
    ):
        assert word in text
    assert f"{budget} at start, {budget} at the peak, {budget} at the end; 1 before and 1 after" in text


@pytest.mark.timeout(90)
def test_books_that_do_not_balance_exit_1_and_name_the_difference(start_process: Start, folder: Path) -> None:
    """A row that is lost, a line that is wrong and an order that is wrong are each found and named."""
    demo = start_process([sys.executable, "-c", MEDDLE], cwd=folder)
    assert demo.wait(DEMO) == 1
    text = "\n".join(demo.out)
    failed = [line for line in demo.out if line.startswith("  FAIL")]
    assert "only walked: shop/money.py" in text
    assert "shop/cart.py: 3 walked, 3 indexed" in text
    assert "definitions of a file that is not indexed: shop/money.py" in text
    assert len(failed) == 4  # files, definitions, messages sent, packages
    assert "ok    6 dead letters = 5 planted + 1 more that are no Python, each with its reason" in text
    assert "The books do not balance" in demo.out[-1]


@pytest.mark.timeout(90)
def test_a_folder_is_told_as_what_it_is_and_can_be_asked(start_hadoken: Start, folder: Path) -> None:
    """The demo on a folder does not call it a library; the query that it proposes finds something; asking has an end.

    A reader that goes away ends the query without a traceback, and a name that is not there is said so.
    """
    demo = start_hadoken("demo", "--library", "library", "--database", "index.sqlite3", cwd=folder)
    assert demo.wait(DEMO) == 0
    text = "\n".join(demo.out)
    assert f"folder     {folder / 'library'}" in text
    assert "of Python" not in text
    ask = re.search(r"HADOKEN_LIBRARY_INDEX=\S+ \\\n +.* -m hadoken\.demo\.query '\w+'", text)
    assert ask is not None, text
    assert typed(ask[0], folder) == (0, "shop/cart.py:4 function empty\n", "")
    everything = re.sub(r"'\w+'$", "'*'", ask[0])
    assert typed(f"({everything}; echo $? >&2) | exec true", folder)[::2] in {(0, "0\n"), (0, "141\n")}
    code, out, err = typed(re.sub(r"'\w+'$", "nothing", ask[0]), folder)
    assert (code, out) == (1, "")
    assert err.startswith(f"nothing named nothing in {folder / 'index.sqlite3'}")


def typed(line: str, folder: Path) -> tuple[int, str, str]:
    """Type a line into a shell: exit code, standard output, standard error."""
    done = subprocess.run(["sh", "-c", line], cwd=folder, capture_output=True, text=True, timeout=GLOBAL, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.timeout(90)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_drains_and_leaves_nothing(
    start_hadoken: Start, folder: Path, number: signal.Signals
) -> None:
    """Ctrl-C or SIGTERM in the middle: exit 130, no index, no temporary folder, no process."""
    temporary = folder / "tmp"
    temporary.mkdir()
    words = ("demo", "--library", "library", "--database", "index.sqlite3")
    demo = start_hadoken(*words, env={"TMPDIR": str(temporary)}, cwd=folder)
    demo.wait_for_line("a number that will not change")
    (sqs,) = demo.children()
    demo.send_signal(number)
    assert demo.wait(DEMO) == 130
    assert "interrupted" in demo.out[-1]
    assert not (folder / "index.sqlite3").exists()
    assert list(temporary.iterdir()) == []
    assert wait_until(lambda: not Path(f"/proc/{sqs}").exists())


@pytest.mark.timeout(90)
def test_the_example_runs_until_sigterm(start_hadoken: Start, start_process: Start, folder: Path) -> None:
    """`run examples.library_index:app --local` fed by the example and by hand; SIGTERM leaves nothing."""
    env = {
        "HADOKEN_LOCAL_PORT": str(ports.free_port()),
        "HADOKEN_LIBRARY_INDEX": str(folder / "index.sqlite3"),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    worker = start_hadoken("run", "examples.library_index:app", "--local", "--wait-time", "2", env=env)
    worker.wait_for_line("receiving from files, slow-files, summaries.fifo")
    feeder = start_process([sys.executable, "examples/library_index.py", str(folder / "library")], env=env)
    assert feeder.wait() == 0
    assert "30 files of" in feeder.err[-1]
    library = str(folder / "library")
    body = {"run": "hand", "root": library, "file": "shop/money.py", "package": "by-hand", "package_files": 1}
    sender = start_hadoken("send", "files", json.dumps(body), "--local", env=env)
    assert sender.wait() == 0

    def summed_up() -> bool:
        worker.read()
        rows = read_rows(folder / "index.sqlite3")
        return set(rows.digests) == {"shop", "by-hand"} and len(rows.defined) + len(rows.refused) == 30

    worker.wait_for_line("to the dead-letter queue: SyntaxError")
    assert wait_until(summed_up)
    assert worker.terminate() == 0
    assert worker.err[-1] == "hadoken: drained, nothing left in flight"
