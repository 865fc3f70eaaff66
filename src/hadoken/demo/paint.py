"""Colour where a person looks on: on a terminal, unless NO_COLOR is set or the terminal is dumb."""

from __future__ import annotations

import os
import sys
from typing import Final

_CODES: Final = {"bold": "1", "green": "32", "red": "1;31", "faint": "2"}


def paint(kind: str, text: str) -> str:
    """The text in a kind of print ("bold", "green", "red", "faint"), or as it is where nobody would see it."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{_CODES[kind]}m{text}\x1b[0m"
