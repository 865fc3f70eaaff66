"""Expect SQS to refuse, and look at the words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import pytest
from botocore.exceptions import ClientError

# What is compared beside the legacy name. Ours must be right in everything. Of another server the other name, the words
# and the status would drown what a line is about; lines 2 to 4 and 28 look at them on purpose.
in_full: ContextVar[bool] = ContextVar("in_full", default=True)


@contextmanager
def refused(shape: str, legacy: str = "", words: str = "", status: int = 0) -> Iterator[dict[str, Any]]:
    """Expect one call to fail with an error of SQS.

    Args:
        shape: name in the JSON protocol.
        legacy: name in the query protocol; "" if it is the same.
        words: part of the message.
        status: of HTTP; 0 for any.

    Yields:
        A mapping that holds the error after the block, with its `shape` and its `status`.
    """
    facts: dict[str, Any] = {}
    with pytest.raises(ClientError) as caught:
        yield facts
    answer = caught.value.response
    facts.update(answer["Error"])
    facts["shape"] = facts.get("QueryErrorCode", facts["Code"])
    facts["status"] = answer["ResponseMetadata"]["HTTPStatusCode"]
    assert facts["Code"] == (legacy or shape)
    if in_full.get():
        assert facts["shape"] == shape
        assert words in facts["Message"]
        assert status in {0, facts["status"]}


def invalid(words: str = "") -> Any:
    """Expect a parameter value to be refused."""
    return refused("InvalidParameterValueException", "InvalidParameterValue", words, 400)


def missing(words: str = "") -> Any:
    """Expect a parameter to be missed."""
    return refused("MissingRequiredParameterException", "MissingParameter", words, 400)


PREFIX = "AWS.SimpleQueueService."
