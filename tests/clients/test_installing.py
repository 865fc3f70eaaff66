"""A client that cannot be installed fails nothing: its tests skip, and say why."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients import conftest


@pytest.mark.parametrize(
    ("reason", "said"), [("npm: not found\n", "npm: not found"), (None, "nothing, as it was not run")]
)
def test_what_is_not_installed_is_skipped_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str | None, said: str
) -> None:
    """The words of the installation that failed are the reason; without any, what to run."""
    monkeypatch.setattr(conftest, "CLIENTS", tmp_path)
    if reason is not None:
        (tmp_path / "node.reason").write_text(reason, encoding="utf-8")
    with pytest.raises(pytest.skip.Exception, match=f"node is not installed; `make clients` said: {said}"):
        conftest.installed("node")


def test_what_is_installed_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stamp says that the installation ended well."""
    monkeypatch.setattr(conftest, "CLIENTS", tmp_path)
    (tmp_path / "node.stamp").touch()
    assert conftest.installed("node") == tmp_path / "node"
