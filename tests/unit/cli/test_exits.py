"""The exit code of each kind of error."""

from __future__ import annotations

import pytest

from hadoken import errors
from hadoken.cli.exits import code_of


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidOption("x"), 2),
        (errors.EncodeError("x"), 2),
        (errors.SQSDenied("x"), 3),
        (errors.SQSUnavailable("x"), 69),
        (errors.QueueNotFound("x", queues=["q"]), 78),
        (errors.ConfigurationError("x"), 78),
        (errors.SQSThrottled("x"), 1),
        (errors.BatchFailed("x", failed={0: "why"}), 1),
    ],
)
def test_the_narrowest_class_decides(error: errors.HadokenError, code: int) -> None:
    """Whose fault it is decides the code: the typing's, the account's, the network's, the configuration's."""
    assert code_of(error) == code
