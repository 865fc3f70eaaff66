"""Whole numbers as they are typed."""

from __future__ import annotations

from typing import Any

import click


class Whole(click.IntRange):
    """A whole number within bounds, for a click option; what is none is refused in a sentence with the bounds."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 -- click's signature
        """Read the number.

        Raises:
            BadParameter: it is none, or out of bounds.
        """
        try:
            number = int(value)
        except ValueError:
            self.fail(f"{value!r} is no number; {self._wanted}", param, ctx)
        if (self.min is not None and number < self.min) or (self.max is not None and number > self.max):
            self.fail(f"{number} is out of range; {self._wanted}", param, ctx)
        return number

    @property
    def _wanted(self) -> str:
        bounds = f"{self.min:g} or more" if self.max is None else f"{self.min:g} to {self.max:g}"
        return f"write a whole number, {bounds}"
