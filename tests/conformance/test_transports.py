"""Line 7: what our own transports make of SQS's answers is what boto3 makes of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any, cast

import pytest
from msgspec import structs

from hadoken.local.inprocess import LocalSQS
from hadoken.sqs import api
from hadoken.sqs.boto import BotoClient, BotoTransport
from hadoken.sqs.connection import Connection
from hadoken.sqs.settings import Settings
from hadoken.sqs.sockets import FastClient
from tests.support.fast import Fast, OnLoop, settings_for
from tests.support.local_sqs import Sqs
from tests.support.oracles import HOST
from tests.support.waiting import GLOBAL

GOOD = [
    api.SendEntry("plain"),
    api.SendEntry("ünïcode \U0001f310 \t\r\n", {"text": api.Attribute("String", "wörld")}),
    api.SendEntry(
        '{"many": true}',
        {
            "number": api.Attribute("Number.int", "7"),
            "data": api.Attribute("Binary", data=bytes(range(256))),
            "custom": api.Attribute("String.json", "{}"),
        },
    ),
    api.SendEntry("later", delay=600),
]
# A control character, and a type that there is not.
REFUSED = [api.SendEntry("refused \x08"), api.SendEntry("refused too", {"bad": api.Attribute("Bytes", "x")})]
KEPT = ("plain", "ünïcode \U0001f310 \t\r\n", '{"many": true}')
Facts = dict[str, Any]


def of_failures(failed: Mapping[int, api.EntryFailure]) -> Facts:
    """Entry failures in words that all clients share."""
    return {str(place): (one.code, one.message, one.sender_fault) for place, one in failed.items()}


def of_messages(messages: Sequence[api.ReceivedMessage]) -> list[Facts]:
    """Received messages in words that all clients share, without what differs by the time and the queue."""
    return [
        {
            "body": one.body,
            "attributes": {name: (value.type, value.text, value.data) for name, value in one.attributes.items()},
            "system": sorted(one.system),
            "count": one.system["ApproximateReceiveCount"],
        }
        for one in sorted(messages, key=lambda one: one.body)
    ]


async def by_transport(sqs: api.SQS, url: str, entries: Sequence[api.SendEntry]) -> Facts:
    """Send, receive, change and delete over the seam; say what came of it."""
    sent = await sqs.send_batch(api.SendBatch(url, entries))
    first = await sqs.receive(api.Receive(url, 10, 0, 30))
    handles = [one.receipt_handle for one in first.messages]
    changed = await sqs.change_visibility_batch(
        api.ChangeVisibilityBatch(url, [(handles[0], 0), ("garbage", 0), (handles[1], 43_201), (handles[2], 0)])
    )
    second = await sqs.receive(api.Receive(url, 10, 0, 30))
    deleted = await sqs.delete_batch(api.DeleteBatch(url, [one.receipt_handle for one in second.messages] + ["bad"]))
    return {
        "sent": sorted(map(str, sent.sent)),
        "failed": of_failures(sent.failed),
        "first": of_messages(first.messages),
        "changed": of_failures(changed.failed),
        "second": len(second.messages),
        "deleted": of_failures(deleted.failed),
    }


def entry_of_boto3(place: int, entry: api.SendEntry) -> Facts:
    """An entry as boto3 wants it."""
    made: Facts = {"Id": str(place), "MessageBody": entry.body}
    if entry.delay is not None:
        made["DelaySeconds"] = entry.delay
    if entry.attributes:
        made["MessageAttributes"] = {
            name: {
                "DataType": value.type,
                **({"StringValue": value.text} if value.text else {"BinaryValue": value.data}),
            }
            for name, value in entry.attributes.items()
        }
    return made


def by_boto3(sqs: Sqs, url: str, asked: Sequence[api.SendEntry]) -> Facts:
    """The same calls by boto3, said in the same words."""

    def failures(answer: Facts) -> Facts:
        return {one["Id"]: (one["Code"], one["Message"], one["SenderFault"]) for one in answer.get("Failed", [])}

    def message(one: Facts) -> api.ReceivedMessage:
        attributes = {
            name: api.Attribute(value["DataType"], value.get("StringValue"), value.get("BinaryValue"))
            for name, value in one.get("MessageAttributes", {}).items()
        }
        return api.ReceivedMessage(one["MessageId"], one["ReceiptHandle"], one["Body"], one["Attributes"], attributes)

    entries = [entry_of_boto3(place, entry) for place, entry in enumerate(asked)]
    sent = sqs.client.send_message_batch(QueueUrl=url, Entries=entries)
    first = [message(one) for one in sqs.receive(url, VisibilityTimeout=30)]
    handles = [one.receipt_handle for one in first]
    changes = [(handles[0], 0), ("garbage", 0), (handles[1], 43_201), (handles[2], 0)]
    changed = sqs.client.change_message_visibility_batch(
        QueueUrl=url,
        Entries=[
            {"Id": str(place), "ReceiptHandle": handle, "VisibilityTimeout": seconds}
            for place, (handle, seconds) in enumerate(changes)
        ],
    )
    second = sqs.receive(url, VisibilityTimeout=30)
    last = [one["ReceiptHandle"] for one in second] + ["bad"]
    deleted = sqs.client.delete_message_batch(
        QueueUrl=url, Entries=[{"Id": str(place), "ReceiptHandle": handle} for place, handle in enumerate(last)]
    )
    return {
        "sent": sorted(one["Id"] for one in sent["Successful"]),
        "failed": failures(sent),
        "first": of_messages(first),
        "changed": failures(changed),
        "second": len(second),
        "deleted": failures(deleted),
    }


def over_http(url: str, queue_url: str, entries: Sequence[api.SendEntry]) -> Facts:
    """Our transport with its threads, against an endpoint."""
    threads: list[threading.Thread] = []

    def spawn(name: str, body: Callable[[], None]) -> None:
        threads.append(threading.Thread(target=body, name=name))
        threads[-1].start()

    async def run() -> Facts:
        with closing(BotoTransport(client, asyncio.get_running_loop(), spawn, threads=2)) as transport:
            return await by_transport(transport, queue_url, entries)

    with closing(BotoClient(Connection(endpoint_url=url, anonymous=HOST in url))) as client:
        facts = asyncio.run(run())
        for thread in threads:
            thread.join(GLOBAL)
    return facts


def over_sockets(settings: Settings, queue_url: str, entries: Sequence[api.SendEntry]) -> Facts:
    """Our own blocking client, as if it were the engine's door."""

    class Door:
        """Answers with futures that are done."""

        def __getattr__(self, name: str) -> Callable[[object], asyncio.Future[Any]]:
            def call(request: object) -> asyncio.Future[Any]:
                future = asyncio.get_running_loop().create_future()
                future.set_result(getattr(client, name)(request))
                return future

            return call

    with closing(FastClient(settings)) as client:
        return asyncio.run(by_transport(cast("Any", Door()), queue_url, entries))


def on_a_loop(settings: Settings, queue_url: str, entries: Sequence[api.SendEntry]) -> Facts:
    """Our transport on a loop."""
    driver = OnLoop(settings)
    with closing(driver):
        return driver.loop.run_until_complete(by_transport(driver.transport, queue_url, entries))


def in_process(entries: Sequence[api.SendEntry]) -> Facts:
    """The local SQS behind the seam, without a socket."""

    async def run() -> Facts:
        with closing(LocalSQS()) as sqs:
            return await by_transport(sqs, sqs.create_queue("orders"), entries)

    return asyncio.run(run())


def compared(sqs: Sqs, entries: Sequence[api.SendEntry]) -> Facts:
    """What boto3 makes of the answers, which is what our transport makes of them."""
    expected = by_boto3(sqs, sqs.queue(), entries)
    if isinstance(sqs, Fast):
        for check_md5 in (False, True):
            settings = structs.replace(settings_for(sqs.endpoint, sqs.bundle), check_md5=check_md5)
            assert over_sockets(settings, sqs.queue(), entries) == expected
            assert on_a_loop(settings, sqs.queue(), entries) == expected
    else:
        assert (over_http(sqs.url, sqs.queue(), entries) if sqs.url else in_process(entries)) == expected
    return expected


@pytest.mark.differs("ministack", aws="VisibilityTimeout: values 0 to 43200, maximum 12 hours.")
def test_07_our_transports_and_boto3_get_equal_results(sqs: Sqs) -> None:
    """Our transports and boto3 get equal results for bodies, attributes and batches."""
    facts = compared(sqs, GOOD)
    assert [one["body"] for one in facts["first"]] == sorted(KEPT)
    assert {one["body"]: len(one["attributes"]) for one in facts["first"]} == dict(zip(KEPT, (0, 1, 3), strict=True))
    assert (facts["sent"], facts["failed"]) == (["0", "1", "2", "3"], {})
    assert {place: code for place, (code, _, _) in facts["changed"].items()} == {
        "1": "ReceiptHandleIsInvalid",
        "2": "InvalidParameterValue",
    }
    assert (facts["second"], list(facts["deleted"])) == (2, ["2"])


@pytest.mark.differs(
    "moto",
    "ministack",
    "roto-aws",
    aws=(
        "Because the batch request can result in a combination of successful and unsuccessful actions, you "
        "should check for batch errors even when the call returns an HTTP status code of 200."
    ),
)
def test_07_and_for_entries_that_are_refused(sqs: Sqs) -> None:
    """And for entries that are refused."""
    facts = compared(sqs, [*GOOD, *REFUSED])
    assert {place: (code, ours) for place, (code, _, ours) in facts["failed"].items()} == {
        "4": ("InvalidMessageContents", True),
        "5": ("InvalidParameterValue", True),
    }
    assert [one["body"] for one in facts["first"]] == sorted(KEPT)
