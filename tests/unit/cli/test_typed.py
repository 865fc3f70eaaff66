"""Hints that can be copied: programs as they are typed here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hadoken.cli.typed import program
from hadoken.demo.interpreter import interpreter


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment's folder of programs below the current one, which the search path does not have."""
    folder = tmp_path / "my env" / "bin"
    folder.mkdir(parents=True)
    for name in ("hadoken", "python"):
        (folder / name).touch(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setattr(sys, "argv", [str(folder / "hadoken"), "local"])
    return folder


def test_what_the_search_path_has_is_a_name(bin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an environment that is active the names alone will do."""
    monkeypatch.setenv("PATH", str(bin_folder))
    assert (program(), interpreter()) == ("hadoken", "python")


def test_what_it_has_not_is_a_path_from_here(bin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the current folder the path is short, and quoted where the shell wants it; elsewhere it is whole."""
    assert (program(), interpreter()) == ("'my env/bin/hadoken'", "'my env/bin/python'")
    monkeypatch.chdir(bin_folder)
    assert (program(), interpreter()) == ("./hadoken", "./python")
    monkeypatch.chdir("/")
    monkeypatch.setattr(sys, "executable", "/elsewhere/python")
    assert interpreter() == "elsewhere/python"


def test_a_module_is_typed_as_one(bin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever typed `python -m hadoken` types that again."""
    monkeypatch.setattr(sys, "argv", [str(bin_folder / "__main__.py")])
    assert program() == "'my env/bin/python' -m hadoken"
