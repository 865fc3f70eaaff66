"""Apps to test with the kit: what handlers did is told by the kit itself."""

from __future__ import annotations

import pytest

import hadoken


@pytest.fixture
def app() -> hadoken.App:
    """A fresh app."""
    return hadoken.App("shop")
