"""`import hadoken`: everything users need, loaded when it is used."""

from __future__ import annotations

import importlib

import pytest

import hadoken


@pytest.mark.parametrize("name", hadoken.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """Each name in `__all__` resolves, and stays the same object."""
    assert getattr(hadoken, name) is getattr(hadoken, name)
    assert name in dir(hadoken)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match="module 'hadoken' has no attribute 'Job'"):
        hadoken.Job  # type: ignore[attr-defined] # noqa: B018 -- the access is the test


def test_names_live_where_they_say() -> None:
    """The front door makes nothing of its own."""
    assert hadoken.App is importlib.import_module("hadoken.app").App
    assert hadoken.Retry is importlib.import_module("hadoken.outcome").Retry
