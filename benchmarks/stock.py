"""Messages as each framework sends them: a hundred are sent by itself, and copied to fill a queue."""

from __future__ import annotations

import itertools

from benchmarks.child import Child
from benchmarks.contender import Contender
from benchmarks.local_sqs import Entry, LocalSQS
from benchmarks.programs.job import QUEUE, WARM, Job

ORIGINALS = 100  # enough that copies of one message are never in flight together


class Stock:
    """The originals of each contender and size, sent once and kept, and queues that are filled with their copies.

    Args:
        sqs: where the queues are made.
        endpoint: where the programs are told that it is; a relay may stand between.
    """

    def __init__(self, sqs: LocalSQS, endpoint: str = "") -> None:
        self.sqs = sqs
        self.endpoint = endpoint or sqs.url
        self._kept: dict[tuple[str, int], list[Entry]] = {}
        self._names = itertools.count()

    def originals(self, contender: Contender, size: int = 200) -> list[Entry]:
        """A hundred messages, whose bodies are numbered from 0."""
        key = (contender.program, size)
        if key not in self._kept:
            name, url = self.queue()
            job = Job(
                "send", self.sqs.url, [name], [url], ORIGINALS, size=size, ca=self.sqs.ca, transport=contender.transport
            )
            with Child(contender, job) as child:
                assert child.line() == {"ready": True}
                child.go()
                assert child.line() == {"sent": True}
                self._kept[key] = self.sqs.take(url, WARM + ORIGINALS)[WARM:]
        return self._kept[key]

    def queue(self) -> tuple[str, str]:
        """A fresh queue: its name and its URL as the programs see it."""
        name = f"bench{next(self._names)}_{QUEUE}"
        return name, self.sqs.create(name).replace(self.sqs.url, self.endpoint)

    def full(self, contender: Contender, messages: int, size: int = 200) -> tuple[str, str]:
        """A fresh queue with messages in it; the same as `queue`."""
        entries = self.originals(contender, size)
        name, url = self.queue()
        self.sqs.fill(url, entries, messages)
        return name, url
