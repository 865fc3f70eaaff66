"""MODULE:APP in this process; what it says to a user is in the integration tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hadoken.cli.target import BrokenModule, load
from hadoken.errors import ConfigurationError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current folder of the test's own; what is imported from it is forgotten after the test."""
    package = tmp_path / "hd_shop"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "billing.py").write_text("import hadoken\nclass Site:\n    app = hadoken.App('billing')\n")
    (package / "leaves.py").write_text("import sys\nsys.exit(0)\n")
    (package / "typo.py").write_text("def charge(:\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if name.startswith("hd_shop"):
            del sys.modules[name]


def test_an_app_is_found_by_a_path_of_attributes() -> None:
    """The part behind the colon may have dots, and the current folder can be imported from."""
    assert load("hd_shop.billing:Site.app").name == "billing"


def test_a_missing_member_of_the_path_is_named() -> None:
    """The whole path is in the sentence, and what could be done."""
    with pytest.raises(ConfigurationError, match=r"hd_shop\.billing has no attribute Site\.ap "):
        load("hd_shop.billing:Site.ap")


def test_a_class_is_no_app() -> None:
    """What was found is told by its kind."""
    with pytest.raises(ConfigurationError, match=r"is the class Site, not a hadoken\.App"):
        load("hd_shop.billing:Site")


def test_a_neighbour_is_suggested() -> None:
    """A module that is nearly called so is suggested, within its package."""
    with pytest.raises(ConfigurationError, match=r"no module biling in hd_shop \(did you mean hd_shop\.billing\?\)"):
        load("hd_shop.biling:app")


def test_the_package_of_a_module_may_be_what_is_missing() -> None:
    """Then the sentence says so."""
    with pytest.raises(ConfigurationError, match=r"no module hd_shp, which hd_shp\.billing is in"):
        load("hd_shp.billing:app")


def test_a_module_that_ends_the_program_is_not_obeyed() -> None:
    """`sys.exit(0)` at import is a broken module, not success."""
    with pytest.raises(BrokenModule, match=r"SystemExit\(0\)"):
        load("hd_shop.leaves:app")


def test_a_syntax_error_shows_its_line() -> None:
    """A module that does not parse has no frames, but a line to show."""
    with pytest.raises(BrokenModule, match=r"(?s)typo\.py.*def charge\(:.*SyntaxError"):
        load("hd_shop.typo:app")


@pytest.mark.parametrize("target", ["app", ":app", "hd_shop:", "hd_shop/billing.py:app", "hd_shop/billing.py"])
def test_the_form_is_looked_at_before_anything_is_imported(target: str) -> None:
    """What is no MODULE:APP is a mistake of usage."""
    with pytest.raises(click.UsageError):
        load(target)
    assert not any(name.startswith("hd_shop") for name in sys.modules)
