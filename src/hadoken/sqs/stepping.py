"""Our own client, which steps aside for botocore for as long as something stands in botocore's place.

`with mock_aws():` or `mock.patch("botocore.client.BaseClient._make_api_call")` may begin long after a client was made.
Then whatever is sent belongs to them, and none of it may leave the process by a way that they do not see.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

from hadoken.sqs.api import BlockingSQS, SendBatch, SentBatch

log = logging.getLogger("hadoken.sqs")

C = TypeVar("C")


class Aside(Generic[C]):
    """Who takes requests while something stands in botocore's place.

    Args:
        make: makes it anew, by a session that sees what was put into botocore meanwhile.
        client: the user's own, where there is one: what is put on it counts too.

    Thread: any, several at once; two may make one each, and one of them is dropped.
    """

    def __init__(self, make: Callable[[], C], client: Any = None) -> None:  # noqa: ANN401 -- botocore ships no types
        from hadoken.sqs.choose import in_the_way, still_clear  # noqa: PLC0415 -- it loads botocore

        self._in_the_way = in_the_way
        self._is_clear = partial(still_clear, client)
        self._make = make
        self._made: tuple[tuple[str, ...], C] | None = None

    def needed(self) -> C | None:
        """Whoever must take the requests of this moment; None while the way is clear, and then nothing is kept."""
        if self._is_clear():
            if self._made is not None:
                self._made = None
            return None
        now, made = self._in_the_way(), self._made
        if made is None or made[0] != now:  # one that was made before moto was imported would not see moto
            log.info("something stands in the place of botocore: sending goes by botocore until it is gone")
            made = self._made = now, self._make()
        return made[1]


class SteppingClient:
    """The sender's door: each request looks first whether the way is clear.

    Args:
        own: makes what takes the requests while it is; called once, at the first of them.
        aside: makes the client of botocore that takes them otherwise.
        client: the user's own, where there is one.

    Thread: any, several at once; two may make a client each, and one of them is dropped.
    """

    def __init__(
        self,
        own: Callable[[], BlockingSQS],
        aside: Callable[[], BlockingSQS],
        client: Any = None,  # noqa: ANN401 -- botocore ships no types
    ) -> None:
        self._make_own: Callable[[], BlockingSQS] = own
        self._own: BlockingSQS | None = None
        self._aside = Aside(aside, client)

    def send_batch(self, request: SendBatch) -> SentBatch:
        """See `api.SQS.send_batch`."""
        return self._now().send_batch(request)

    def queue_url(self, name: str) -> str:
        """See `api.SQS.queue_url`."""
        return self._now().queue_url(name)

    def _now(self) -> BlockingSQS:
        """Whoever may send at this moment."""
        aside = self._aside.needed()
        if aside is not None:
            return aside
        own = self._own
        if own is None:
            own = self._own = self._make_own()
        return own
