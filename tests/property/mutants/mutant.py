"""What a mutant is: a small fault, planted in our code for the length of one test, which a property must notice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Mutant:
    """One planted fault.

    Attributes:
        name: what is wrong with it, in words.
        plant: puts it in place; the patch takes it away again.
    """

    name: str
    plant: Callable[[pytest.MonkeyPatch], None]

    def __str__(self) -> str:
        return self.name
