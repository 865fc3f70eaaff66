"""The doors through which the conformance suite runs: ours, the oracles, and AWS itself if asked.

`HADOKEN_CONFORMANCE_DOORS` names them, with commas between; `USUAL` by default. AWS wants `HADOKEN_CONFORMANCE_AWS=1`
and the usual credentials and region beside it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.support.authority import Authority
from tests.support.fast import Blocking, Fast, OnLoop
from tests.support.local_sqs import Answer, Sqs, boto3_client
from tests.support.oracles import COMMANDS, Oracle
from tests.support.ours import Timed, TimedServer, Virtual
from tests.support.polls import OpenPoll
from tests.support.waiting import GLOBAL

VARIABLE = "HADOKEN_CONFORMANCE_DOORS"
AWS_VARIABLE = "HADOKEN_CONFORMANCE_AWS"
OURS = ("http", "virtual", "fast", "loop", "tls")
USUAL = ("http", "virtual", "fast", "loop")  # TLS is what `loop` is, encrypted: `make conformance` runs it too
ON_LOOP = ("loop", "tls")
ORACLES = tuple(COMMANDS)
AWS = "aws"
ALL = (*OURS, *ORACLES, AWS)
TITLES = {
    "http": "ours, HTTP",
    "virtual": "ours, in process",
    "fast": "ours, own transport, blocking",
    "loop": "ours, own transport, on a loop",
    "tls": "ours, own transport, TLS",
    **{name: name for name in ORACLES},
    AWS: "AWS",
}


def chosen() -> list[str]:
    """The doors to run, in the order of `ALL`.

    Raises:
        pytest.UsageError: an unknown name, or AWS without its own consent.
    """
    names = os.environ.get(VARIABLE, ",".join(USUAL)).split(",")
    if unknown := set(names) - set(ALL):
        raise pytest.UsageError(f"{VARIABLE} names {sorted(unknown)}; there are {', '.join(ALL)}")
    if AWS in names and os.environ.get(AWS_VARIABLE) != "1":
        raise pytest.UsageError(f"{AWS} costs money and time; set {AWS_VARIABLE}=1 beside credentials and a region")
    return [name for name in ALL if name in names]


@contextmanager
def opened(name: str) -> Iterator[Sqs]:
    """Open a door, with a connection that tests share; close it at the end."""
    with ExitStack() as stack:
        if name == "http":
            sqs: Sqs = Timed(stack.enter_context(TimedServer()))
        elif name == "fast":
            sqs = Fast(stack.enter_context(TimedServer()), Blocking)
        elif name == "loop":
            sqs = Fast(stack.enter_context(TimedServer()), OnLoop)
        elif name == "tls":
            authority = Authority(Path(stack.enter_context(TemporaryDirectory())))
            sqs = Fast(stack.enter_context(TimedServer(*authority.certificate())), OnLoop, authority.bundle)
        elif name == "virtual":
            sqs = Virtual()
        elif name == AWS:
            sqs = Aws()
        else:
            oracle = stack.enter_context(Oracle(name))
            sqs = Sqs(boto3_client(oracle.url))
            sqs.url = oracle.url
        stack.enter_context(closing(sqs.client))
        if isinstance(sqs, Aws):
            stack.callback(sqs.delete_queues)
        sqs.client.list_queues()
        yield sqs


# Receives that bring nothing after which a queue on AWS counts as empty. Guess; each asks a sample of its servers.
SHORT_POLLS = 5


class Aws(Sqs):
    """The real SQS, which sees everything a little later and costs money."""

    prefix = "hadoken-conformance-"
    settling = 0.0  # its clock is exact; where it is late to tell, `receive` asks again

    def __init__(self) -> None:
        config = Config(parameter_validation=False, read_timeout=GLOBAL * 2)
        super().__init__(boto3.client("sqs", config=config))
        self.url = str(self.client.meta.endpoint_url)

    def delete_queues(self) -> None:
        """Delete all queues of ours, those of an interrupted run too."""
        for page in self.client.get_paginator("list_queues").paginate(QueueNamePrefix=self.prefix, MaxResults=1000):
            for url in page.get("QueueUrls", []):
                self.client.delete_queue(QueueUrl=url)

    def receive(self, url: str, most: int = 10, **options: Any) -> list[dict[str, Any]]:
        """Receive by a few short polls, because each asks only some of the servers that hold a queue.

        A long poll would ask them all, but hold a test up in which nothing is to be received: leases would end in it.
        """
        for _ in range(1 if "WaitTimeSeconds" in options else SHORT_POLLS):
            if found := super().receive(url, most, **options):
                return found
        return []

    def call(self, target: str, body: bytes) -> Answer:
        """End the test here: a bare client signs nothing."""
        pytest.skip("AWS wants signed requests; what the test asked before this has passed")

    def poll(self, url: str, wait: int = 20) -> AbstractContextManager[OpenPoll]:
        """End the test here: a bare client signs nothing."""
        pytest.skip("AWS wants signed requests; what the test asked before this has passed")

    def counts(self, url: str) -> tuple[int, int, int]:
        """End the test here: the counters of SQS are late by about a minute."""
        pytest.skip("AWS counts late; what the test asked before this has passed")
