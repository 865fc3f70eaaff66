"""The Python of the README and of the documentation runs as it stands there."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.house import source
from tests.support.processes import Child

Start = Callable[..., Child]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    """Every page that shows Python."""
    found = [source.ROOT / "README.md", *sorted((source.ROOT / "docs").rglob("*.md"))]
    return [page for page in found if BLOCK.search(page.read_text())]


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_python_of_a_page_runs(page: Path, start_process: Start, tmp_path: Path) -> None:
    """The blocks of a page, one after the other, declare what they show without an error."""
    script = tmp_path / "page.py"
    script.write_text("\n\n".join(BLOCK.findall(page.read_text())))
    child = start_process([sys.executable, str(script)])
    assert child.wait() == 0, "\n".join(child.lines)
