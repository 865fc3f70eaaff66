"""The index: idempotent writes, from several threads, and order within a package."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hadoken.demo.books import read_rows
from hadoken.demo.index import VARIABLE, Index, OutOfOrder, Part, chain, default_path
from hadoken.demo.query import find, main
from hadoken.demo.source import Definition, SourceFile
from hadoken.errors import ConfigurationError

FILE = SourceFile(run="r", root="lib", file="p/a.py", package="p", package_files=2)
FOUND = [Definition("class", "A", 1), Definition("method", "A.m", 2)]


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """An index in a folder that is not there yet."""
    made = Index(tmp_path / "deep" / "index.sqlite3")
    yield made
    made.close()


def test_a_file_that_comes_twice_is_written_once(index: Index) -> None:
    """The second delivery replaces the first, also where the file has changed meanwhile."""
    for found in (FOUND, FOUND, FOUND[:1]):
        assert index.add(FILE, found) is False
    assert index.totals() == (1, 1)
    assert read_rows(index.path).defined == {"p/a.py": [("class", "A", 1)]}


def test_the_last_file_completes_its_package(index: Index) -> None:
    """Refused files count as done, and are not summed up; another run begins anew."""
    other = replace(FILE, file="p/b.py")
    assert index.add(FILE, FOUND) is False
    assert index.refuse(other, "why") is True
    assert index.refuse(other, "why") is True  # delivered again
    assert index.of_package("p", "r") == [("p/a.py", 2)]
    rows = read_rows(index.path)
    assert rows.refused == {"p/b.py"}
    assert rows.kinds == {"class": 1, "method": 1}
    assert index.add(replace(FILE, run="next"), FOUND) is False


def test_parts_are_added_in_order_only(index: Index) -> None:
    """A part that comes again changes nothing; one that comes too early is refused; another run starts from nothing."""
    first = Part("r", "p", 1, 2, [("p/a.py", 2)])
    second = Part("r", "p", 2, 2, [("p/b.py", 0)])
    with pytest.raises(OutOfOrder, match="part 2 of p came after part 0"):
        index.append(second)
    for part in (first, first, second, first):
        index.append(part)
    assert read_rows(index.path).digests == {"p": chain(chain("", "p/a.py", 2), "p/b.py", 0)}
    index.append(replace(first, run="next"))
    assert read_rows(index.path).digests == {"p": chain("", "p/a.py", 2)}


def test_threads_write_side_by_side(index: Index) -> None:
    """Writers queue up instead of failing; exactly one completes the package."""
    complete: list[bool] = []

    def write(number: int) -> None:
        for at in range(10):
            file = replace(FILE, file=f"p/{number}-{at}.py", package_files=40)
            complete.append(index.add(file, FOUND))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert index.totals() == (40, 80)
    assert complete.count(True) == 1


def test_a_failed_write_leaves_nothing_half(index: Index) -> None:
    """A transaction that fails is rolled back whole, and the connection can be used on."""
    index.add(FILE, FOUND)
    with pytest.raises(Exception, match="NOT NULL"):
        index.add(FILE, [Definition("class", None, 1)])  # type: ignore[arg-type] -- the mistake
    assert index.totals() == (1, 2)


def test_an_index_that_cannot_be_is_a_configuration_error(tmp_path: Path) -> None:
    """A path below a file cannot be made; the sentence names the variable that mends it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=VARIABLE):
        Index(tmp_path / "file" / "index.sqlite3").totals()


def test_where_the_index_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable names it; else it is in the cache of the user."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "x"))
    assert default_path() == tmp_path / "x"
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_path() == tmp_path / "hadoken" / "library-index.sqlite3"


def test_the_index_can_be_asked(
    index: Index, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name or a pattern finds its definitions; nothing found is 1, no index is 2."""
    index.add(FILE, FOUND)
    assert find(index.path, "A*") == ["p/a.py:1 class A", "p/a.py:2 method A.m"]
    monkeypatch.setenv(VARIABLE, str(index.path))
    assert main(["A.m"]) == 0
    assert capsys.readouterr().out == "p/a.py:2 method A.m\n"
    assert main(["B"]) == 1
    assert main([]) == 2
    monkeypatch.setenv(VARIABLE, str(index.path.with_name("none")))
    assert main(["A"]) == 2
    assert "hadoken demo" in capsys.readouterr().err


def test_a_new_index_is_opened_by_many_at_once(tmp_path: Path) -> None:
    """Threads of three workers open the same file that is not there yet: all succeed, since SQLite is asked again."""
    for round_ in range(5):
        indices = [Index(tmp_path / str(round_) / "index.sqlite3") for _ in range(3)]
        gate, done = threading.Barrier(9), list[tuple[int, int]]()

        def look(index: Index, gate: threading.Barrier = gate, done: list[tuple[int, int]] = done) -> None:
            gate.wait(20)
            done.append(index.totals())

        threads = [threading.Thread(target=look, args=(indices[number % 3],)) for number in range(9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        for index in indices:
            index.close()
        assert done == [(0, 0)] * 9
