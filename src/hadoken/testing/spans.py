"""Spans of time as tests write them: 31, "31s", "1h30m", timedelta(hours=1)."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Final

from hadoken.errors import InvalidOption

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_HINT: Final = 'write seconds, a timedelta, or text with units: "500ms", "31s", "2m", "1h30m", "4d"'


def seconds_of(span: str | float | timedelta) -> float:
    """The seconds of a span.

    Raises:
        InvalidOption: it is none, is negative, or has no end.
    """
    if isinstance(span, timedelta):
        seconds = span.total_seconds()
    elif isinstance(span, str):
        seconds = _read(span)
    else:
        seconds = float(span)
    if not 0 <= seconds < math.inf:
        raise InvalidOption(f"{span!r} is no span that time can move by", hint="time moves forwards, by 0 s or more")
    return seconds


def _read(text: str) -> float:
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text.replace(" ", ""):
        raise InvalidOption(f"{text!r} is no span of time", hint=_HINT)
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
