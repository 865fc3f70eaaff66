from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.local_sqs import Sqs
from tests.support.refused import invalid, missing, refused

ACCOUNT = "123456789012"


def tags(sqs: Sqs, url: str) -> dict[str, str]:
    """The tags of a queue."""
    found: dict[str, str] = sqs.client.list_queue_tags(QueueUrl=url).get("Tags", {})
    return found


def test_tags_are_set_replaced_and_removed(sqs: Sqs) -> None:
    """Tags are set, replaced and removed; those that are not there are no error."""
    url = sqs.queue()
    assert tags(sqs, url) == {}
    sqs.client.tag_queue(QueueUrl=url, Tags={"a": "1", "b": ""})
    sqs.client.tag_queue(QueueUrl=url, Tags={"b": "2", "ä/c": "x y"})
    assert tags(sqs, url) == {"a": "1", "b": "2", "ä/c": "x y"}
    sqs.client.untag_queue(QueueUrl=url, TagKeys=["a", "none", "a"])
    assert tags(sqs, url) == {"b": "2", "ä/c": "x y"}


def test_a_queue_is_created_with_its_tags(sqs: Sqs) -> None:
    """A queue is created with its tags; to create it again changes none."""
    name = sqs.queue().rpartition("/")[2] + "-tagged"
    url = sqs.client.create_queue(QueueName=name, tags={"a": "1"})["QueueUrl"]
    assert sqs.client.create_queue(QueueName=name)["QueueUrl"] == url
    assert tags(sqs, url) == {"a": "1"}


def test_there_are_fifty_at_most(sqs: Sqs) -> None:
    """There are fifty at most, those that are there included; too many change nothing."""
    url = sqs.queue()
    many = {f"k{number}": "v" for number in range(50)}
    sqs.client.tag_queue(QueueUrl=url, Tags=many)
    with invalid("Too many tags"):
        sqs.client.tag_queue(QueueUrl=url, Tags={"k0": "new", "one more": "v"})
    assert tags(sqs, url) == many
    sqs.client.tag_queue(QueueUrl=url, Tags={"k0": "new"})
    name = url.rpartition("/")[2] + "-more"
    with invalid("Too many tags"):
        sqs.client.create_queue(QueueName=name, tags={**many, "one more": "v"})
    assert name not in str(sqs.client.list_queues(QueueNamePrefix=name))


@pytest.mark.parametrize(
    ("key", "value"),
    [("", "v"), ("k" * 129, "v"), ("k", "v" * 257), ("aws:k", "v"), ("AWS:k", "v"), ("k!", "v"), ("k", "<v>")],
)
def test_keys_and_values_are_checked(sqs: Sqs, key: str, value: str) -> None:
    """Keys and values are checked, and of a bad set none is set."""
    url = sqs.queue()
    with invalid():
        sqs.client.tag_queue(QueueUrl=url, Tags={"good": "1", key: value})
    assert tags(sqs, url) == {}


def test_what_is_missing_is_named(sqs: Sqs) -> None:
    """What is missing is named."""
    url = sqs.queue()
    with missing("Tags"):
        sqs.client.tag_queue(QueueUrl=url)
    with missing("TagKeys"):
        sqs.client.untag_queue(QueueUrl=url)


def policy(sqs: Sqs, url: str) -> dict[str, Any] | None:
    """The policy of a queue, None if it has none."""
    answer = sqs.client.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
    return json.loads(answer["Attributes"]["Policy"]) if "Attributes" in answer else None


def test_permissions_are_statements_of_the_policy(sqs: Sqs) -> None:
    """Permissions are statements of the policy, by label; the last one takes the policy with it."""
    url = sqs.queue()
    arn = sqs.arn(url)
    sqs.client.add_permission(QueueUrl=url, Label="one", AWSAccountIds=[ACCOUNT], Actions=["ReceiveMessage"])
    sqs.client.add_permission(QueueUrl=url, Label="two", AWSAccountIds=[ACCOUNT, "2" * 12], Actions=["*", "PurgeQueue"])
    root = f"arn:aws:iam::{ACCOUNT}:root"
    one = {"Sid": "one", "Effect": "Allow", "Principal": {"AWS": root}, "Action": "SQS:ReceiveMessage", "Resource": arn}
    found = policy(sqs, url)
    assert found is not None
    assert found["Version"] == "2008-10-17"
    assert found["Id"] == f"{arn}/SQSDefaultPolicy"
    first, second = found["Statement"]
    assert first == one
    assert second["Principal"]["AWS"] == [root, f"arn:aws:iam::{'2' * 12}:root"]
    assert second["Action"] == ["SQS:*", "SQS:PurgeQueue"]
    with invalid("Already exists."):
        sqs.client.add_permission(QueueUrl=url, Label="one", AWSAccountIds=[ACCOUNT], Actions=["SendMessage"])
    sqs.client.remove_permission(QueueUrl=url, Label="two")
    assert policy(sqs, url) == {**found, "Statement": [one]}
    with invalid("can't find label on existing policy"):
        sqs.client.remove_permission(QueueUrl=url, Label="two")
    sqs.client.remove_permission(QueueUrl=url, Label="one")
    assert policy(sqs, url) is None


def test_a_policy_that_was_set_keeps_what_it_says(sqs: Sqs) -> None:
    """A policy that was set keeps what it says, in whatever form its statement stands."""
    url = sqs.queue()
    own = {"Version": "2012-10-17", "Id": "own", "Statement": {"Effect": "Deny", "Action": "*"}}
    sqs.client.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(own)})
    sqs.client.add_permission(QueueUrl=url, Label="one", AWSAccountIds=[ACCOUNT], Actions=["SendMessage"])
    found = policy(sqs, url)
    assert found is not None
    assert (found["Version"], found["Id"], found["Statement"][0]) == ("2012-10-17", "own", own["Statement"])
    sqs.client.remove_permission(QueueUrl=url, Label="one")
    assert policy(sqs, url) == {**own, "Statement": [own["Statement"]]}


def test_a_bad_permission_is_refused_and_changes_nothing(sqs: Sqs) -> None:
    """A bad permission is refused and changes nothing."""
    url = sqs.queue()
    good = {"QueueUrl": url, "Label": "l", "AWSAccountIds": [ACCOUNT], "Actions": ["SendMessage"]}
    for change in ({"Label": "a b"}, {"Label": "l" * 81}, {"AWSAccountIds": ["12"]}, {"Actions": ["Fly"]}):
        with invalid():
            sqs.client.add_permission(**{**good, **change})
    for name in ("Label", "AWSAccountIds", "Actions"):
        with missing(name):
            sqs.client.add_permission(**{key: value for key, value in good.items() if key != name})
        if name != "Label":
            with missing(name):
                sqs.client.add_permission(**{**good, name: []})
    with refused("OverLimit", words="maximum allowed is 7", status=403):
        sqs.client.add_permission(**{**good, "Actions": ["SendMessage"] * 8})
    assert policy(sqs, url) is None
    for number in range(20):
        sqs.client.add_permission(**{**good, "Label": f"l{number}"})
    with refused("OverLimit", words="20 statements", status=403):
        sqs.client.add_permission(**good)
