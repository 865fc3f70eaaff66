from __future__ import annotations

import pytest

from hadoken.local.inprocess import LocalSQS
from hadoken.sqs import api


@pytest.mark.parametrize("text", ["0", "-1", "+1.5", ".5", "5.", "1e3", "1.5E-12"])
def test_decimals_are_numbers(text: str) -> None:
    """A decimal with or without sign, point and exponent is a Number."""
    assert not send(text).failed


@pytest.mark.parametrize("text", ["nan", "inf", "-Infinity", "1_000", " 1", "1 ", "0x1", "1e", ".", "\u0661"])
def test_what_only_python_reads_is_none(text: str) -> None:
    """What Python's float() takes beyond decimals is refused."""
    (failure,) = send(text).failed.values()
    assert failure.code == "InvalidParameterValue"


def send(text: str) -> api.SentBatch:
    """Send one message with a Number."""
    local = LocalSQS()
    url = local.create_queue("queue")
    return local.execute(api.SendBatch(url, [api.SendEntry("x", {"n": api.Attribute("Number", text)})]))
