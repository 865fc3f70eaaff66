"""Exit codes of the command line. Source: sysexits(3) for all above 2."""

from __future__ import annotations

from typing import Final

from hadoken.errors import BodyError, ConfigurationError, HadokenError, InvalidOption, SQSDenied, SQSUnavailable

FINDINGS: Final = 1  # it was tried, and SQS refused it
USAGE: Final = 2  # what was typed cannot be; nothing was tried
DENIED: Final = 3  # no credentials, or they do not allow it
UNREACHABLE: Final = 69  # EX_UNAVAILABLE
MISCONFIGURED: Final = 78  # EX_CONFIG: app, queues or settings

# The first class that fits, so the narrower ones come first.
_CODES: Final[tuple[tuple[type[HadokenError], int], ...]] = (
    (InvalidOption, USAGE),
    (ConfigurationError, MISCONFIGURED),
    (BodyError, USAGE),
    (SQSDenied, DENIED),
    (SQSUnavailable, UNREACHABLE),
)


def code_of(error: HadokenError) -> int:
    """The exit code for an error that ends a command."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), FINDINGS)
