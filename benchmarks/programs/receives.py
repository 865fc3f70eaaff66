"""CPU of one receive of ten through one transport. Arguments: TRANSPORT ENDPOINT URL COUNT [CA].

Prints microseconds of CPU of the process for each receive, one after the other, after a few that are not counted.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import botocore.session

from hadoken.sqs.api import Receive
from hadoken.sqs.credentials import Credentials, Keys
from hadoken.sqs.fast import FastTransport
from hadoken.sqs.settings import Settings
from hadoken.sqs.sockets import FastClient

WARM = 20

T = TypeVar("T")


def settings(endpoint: str, ca: str) -> Settings:
    return Settings(endpoint, "us-east-1", Credentials.fixed(Keys("local", "local", None)), ca_bundle=ca or None)


async def on_loop(endpoint: str, url: str, count: int, ca: str) -> float:
    loop = asyncio.get_running_loop()

    def resolve(host: str, port: int) -> asyncio.Future[list[tuple[str, int]]]:
        return _done(loop, [(host, port)])

    def offload(call: Callable[[], T]) -> asyncio.Future[T]:
        return _done(loop, call())

    transport = FastTransport(settings(endpoint, ca), loop, resolve=resolve, offload=offload)
    ask = Receive(url, max_messages=10, wait_time=0, visibility_timeout=600)
    for _ in range(WARM):
        await transport.receive(ask)
    began = time.process_time()
    for _ in range(count):
        assert len((await transport.receive(ask)).messages) == 10
    spent = time.process_time() - began
    transport.close()
    return spent


def _done(loop: asyncio.AbstractEventLoop, value: T) -> asyncio.Future[T]:
    future: asyncio.Future[T] = loop.create_future()
    future.set_result(value)
    return future


def blocking(endpoint: str, url: str, count: int, ca: str) -> float:
    client = FastClient(settings(endpoint, ca))
    ask = Receive(url, max_messages=10, wait_time=0, visibility_timeout=600)
    for _ in range(WARM):
        client.receive(ask)
    began = time.process_time()
    for _ in range(count):
        assert len(client.receive(ask).messages) == 10
    spent = time.process_time() - began
    client.close()
    return spent


def botocore_itself(endpoint: str, url: str, count: int, ca: str) -> float:
    client = botocore.session.get_session().create_client("sqs", endpoint_url=endpoint, verify=ca or None)
    ask = {"QueueUrl": url, "MaxNumberOfMessages": 10, "VisibilityTimeout": 600}
    for _ in range(WARM):
        client.receive_message(**ask)
    began = time.process_time()
    for _ in range(count):
        assert len(client.receive_message(**ask)["Messages"]) == 10
    return time.process_time() - began


def main(name: str, endpoint: str, url: str, count: str, ca: str = "") -> None:
    number = int(count)
    if name == "fast":
        spent = asyncio.run(on_loop(endpoint, url, number, ca))
    else:
        spent = {"fast, blocking": blocking, "botocore": botocore_itself}[name](endpoint, url, number, ca)
    print(spent / number * 1e6)


if __name__ == "__main__":
    main(*sys.argv[1:])
