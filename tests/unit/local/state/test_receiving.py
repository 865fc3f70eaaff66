"""What a receive of a FIFO queue does to the attempt it names, at its edges."""

from __future__ import annotations

import pytest

from hadoken.local.inprocess import LocalSQS
from hadoken.sqs import api


@pytest.mark.parametrize("timeout", [0, 1])
def test_another_receive_under_the_same_attempt_id_ends_the_attempt(timeout: int) -> None:
    """A smaller request is no repeat; although it brings nothing, and with whatever timeout, the first one is over."""
    local = LocalSQS()
    url = local.create_queue("orders.fifo")
    entries = [api.SendEntry(body, message_group_id="g", deduplication_id=body) for body in "abc"]
    local.execute(api.SendBatch(url, entries))
    first = local.execute(api.Receive(url, 2, 0, 30, "one"))
    assert len(first.messages) == 2
    assert local.execute(api.Receive(url, 2, 0, 30, "one")).messages == first.messages
    assert not local.execute(api.Receive(url, 1, 0, timeout, "one")).messages
    assert not local.execute(api.Receive(url, 2, 0, 30, "one")).messages
    assert len(local.queues.named("orders.fifo").attempts) == 0
