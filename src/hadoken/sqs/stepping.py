"""Our own client, which steps aside for botocore for as long as something stands in botocore's place.

`with mock_aws():` or `mock.patch("botocore.client.BaseClient._make_api_call")` may begin long after a client was made.
Then whatever is sent belongs to them, and none of it may leave the process by a way that they do not see.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from hadoken.sqs.api import BlockingSQS, SendBatch, SentBatch

log = logging.getLogger("hadoken.sqs")


class SteppingClient:
    """The sender's door: each request looks first whether the way is clear.

    Args:
        fast: takes the requests while it is.
        aside: makes the client of botocore that takes them otherwise; made anew each time, so that it sees what was put
            into botocore meanwhile.
        client: the user's own, where there is one: what is put on it counts too.

    Thread: any, several at once; two may make a client of botocore each, and one of them is dropped.
    """

    def __init__(self, fast: BlockingSQS, aside: Callable[[], BlockingSQS], client: Any = None) -> None:  # noqa: ANN401 -- botocore ships no types
        self._fast = fast
        self._make_aside = aside
        self._aside: BlockingSQS | None = None
        from hadoken.sqs.choose import still_clear  # noqa: PLC0415 -- it loads botocore

        self._is_clear = partial(still_clear, client)

    def send_batch(self, request: SendBatch) -> SentBatch:
        """See `api.SQS.send_batch`."""
        return self._now().send_batch(request)

    def queue_url(self, name: str) -> str:
        """See `api.SQS.queue_url`."""
        return self._now().queue_url(name)

    def _now(self) -> BlockingSQS:
        """Whoever may send at this moment."""
        aside = self._aside
        if self._is_clear():
            if aside is not None:
                self._aside = None
            return self._fast
        if aside is None:
            log.info("something stands in the place of botocore: sending goes by botocore until it is gone")
            aside = self._aside = self._make_aside()
        return aside
