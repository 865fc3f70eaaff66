"""How this program is typed where it was typed: for hints that can be copied."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from hadoken.demo.interpreter import as_typed, interpreter

_NAME = "hadoken"


def program() -> str:
    """What to type for `hadoken`: its name if the search path has this one, its path, or `python -m hadoken`."""
    me = Path(sys.argv[0])
    if me.name != _NAME:
        return f"{interpreter()} -m {_NAME}"
    found = shutil.which(_NAME)
    if found is not None and Path(found).absolute() == me.absolute():
        return _NAME
    return shlex.quote(as_typed(me.absolute()))
