"""Durations as they are typed: 25, 25s, 1.5m, 500ms, 500us."""

from __future__ import annotations

import re
from typing import Final

import click

_UNITS: Final = {"": 1.0, "us": 0.000_001, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_FORM: Final = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h|)")


def seconds_of(text: str) -> float:
    """Seconds of a typed duration.

    Raises:
        ValueError: it is none.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no duration; write seconds, or 500us, 500ms, 25s, 2m, 1h")
    return float(found[1]) * _UNITS[found[2]]


def seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Read a duration for a click option (its `callback`); None stays None.

    Raises:
        BadParameter: it is none.
    """
    try:
        return None if value is None else seconds_of(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error
