"""The running Python as it must be typed, for hints that can be copied."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path


def interpreter() -> str:
    """What to type for this Python: its name if the search path leads to it, else its path."""
    program = Path(sys.executable)
    for name in ("python", "python3"):
        found = shutil.which(name)
        # Not resolved: the Python of a virtual environment is a link to another, and finds its packages by the link.
        if found is not None and Path(found).absolute() == program.absolute():
            return name
    return shlex.quote(as_typed(program))


def as_typed(path: Path) -> str:
    """A program's path as the shell takes it from here: within the current folder, if it is there."""
    here = Path.cwd()
    if not path.is_relative_to(here):
        return str(path)
    within = str(path.relative_to(here))
    return within if os.sep in within else f"{os.curdir}{os.sep}{within}"  # a bare name would be searched for
