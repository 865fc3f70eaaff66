"""Digests compared by both transports, where a user asks for it: what is damaged is seen by each of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal

import pytest

from hadoken.sqs.api import Attribute, Fault, Receive, SendBatch, SendEntry
from hadoken.sqs.boto import BotoClient
from hadoken.sqs.connection import Connection
from hadoken.sqs.digests import attributes_digest, body_digest
from hadoken.sqs.opening import Opening
from hadoken.sqs.sockets import FastClient
from tests.support.peer import Peer, answer

ATTRIBUTES = {"attribName1": Attribute("String", "attribValue 1")}
DIGEST = "19e27d4e946b072f3f58da80d94fd778"


def reply(value: Mapping[str, object]) -> bytes:
    """An answer of SQS."""
    return answer(json.dumps(value).encode())


def client_for(url: str, transport: Literal["fast", "botocore"], *, check_md5: bool) -> FastClient | BotoClient:
    """A client of one transport."""
    connection = Connection(endpoint_url=url, anonymous=True, transport=transport, check_md5=check_md5)
    return Opening(connection).asking()


@pytest.mark.parametrize("check_md5", [True, False])
@pytest.mark.parametrize("transport", ["fast", "botocore"])
def test_what_arrives_damaged_is_left_out(transport: Literal["fast", "botocore"], check_md5: bool) -> None:
    """A message whose body or attributes were damaged is not handed out, if that is asked for."""
    made = {
        "whole": {"MD5OfBody": body_digest("x")},
        "body": {"MD5OfBody": body_digest("y")},
        "attributes": {"MD5OfMessageAttributes": DIGEST},
        "untold": {},
    }
    messages = [{"MessageId": name, "ReceiptHandle": "h", "Body": "x", **told} for name, told in made.items()]
    with Peer(reply({"Messages": messages})) as peer:
        client = client_for(peer.url, transport, check_md5=check_md5)
        found = client.receive(Receive("https://sqs/1/q", 10, 0, 30)).messages
        client.close()
    assert [one.message_id for one in found] == (["whole", "untold"] if check_md5 else list(made))


@pytest.mark.parametrize("check_md5", [True, False])
@pytest.mark.parametrize("transport", ["fast", "botocore"])
def test_what_sqs_got_damaged_has_not_been_sent(transport: Literal["fast", "botocore"], check_md5: bool) -> None:
    """An entry of which SQS tells other digests has failed, and may be sent again, if that is asked for."""
    told = [
        {"Id": "0", "MessageId": "m", "MD5OfMessageBody": body_digest("a"), "MD5OfMessageAttributes": DIGEST},
        {"Id": "1", "MessageId": "m", "MD5OfMessageBody": body_digest("x")},
        {"Id": "2", "MessageId": "m", "MD5OfMessageAttributes": body_digest("x")},
    ]
    refused = [{"Id": "3", "Code": "InvalidMessageContents", "SenderFault": True}]
    with Peer(reply({"Successful": told, "Failed": refused})) as peer:
        client = client_for(peer.url, transport, check_md5=check_md5)
        entries = [SendEntry("a", ATTRIBUTES), SendEntry("b"), SendEntry("c", ATTRIBUTES), SendEntry("d")]
        sent = client.send_batch(SendBatch("https://sqs/1/q", entries))
        client.close()
    faults = {at: one.fault for at, one in sent.failed.items()}
    damaged = {1: Fault.TRANSIENT, 2: Fault.TRANSIENT} if check_md5 else {}
    assert faults == {**damaged, 3: Fault.CLIENT}
    assert sorted(sent.sent) == [at for at in range(3) if at not in damaged]


def test_the_digest_of_attributes_does_not_depend_on_their_order() -> None:
    """Attributes are taken by name, and a value is not taken for a name."""
    parts: list[tuple[str, str, str | bytes]] = [("b", "String", "1"), ("a", "Binary", b"1")]
    assert attributes_digest(parts) == attributes_digest(parts[::-1])
    assert attributes_digest(parts) != attributes_digest([("b", "Binary", b"1"), ("a", "String", "1")])
    assert attributes_digest([("a", "String", "bString")]) != attributes_digest([("a", "Stringb", "String")])
