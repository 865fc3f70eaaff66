from __future__ import annotations

import msgspec
import pytest

from hadoken.local.state.redrive import Permission, Redrive, redrive, redrive_allow
from hadoken.local.state.refusals import Refusal

ARN = "arn:aws:sqs:us-east-1:000000000000:a"


def text(**policy: object) -> str:
    """A policy as JSON."""
    return msgspec.json.encode(policy).decode()


@pytest.mark.parametrize("receives", [1, 1_000, "7"])
def test_a_policy_is_read_and_keeps_its_text(receives: int | str) -> None:
    """A policy is read, whether its number is a number or a text, and keeps its own text."""
    given = text(maxReceiveCount=receives, deadLetterTargetArn=ARN)
    assert redrive(given, lambda arn: arn == ARN, fifo=False) == Redrive(ARN, int(receives), given)
    assert redrive("", lambda _: False, fifo=False) is None


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("x", "not a valid JSON map"),
        ("[]", "not a valid JSON map"),
        (text(maxReceiveCount="x", deadLetterTargetArn=ARN), "not a valid JSON map"),
        (text(maxReceiveCount=[], deadLetterTargetArn=ARN), "not a valid JSON map"),
        (text(maxReceiveCount=3), "mandatory attribute: deadLetterTargetArn"),
        (text(deadLetterTargetArn=ARN), "mandatory attribute: maxReceiveCount"),
        (text(maxReceiveCount=0, deadLetterTargetArn=ARN), "between 1 and 1000"),
        (text(maxReceiveCount=1_001, deadLetterTargetArn=ARN), "between 1 and 1000"),
        (text(maxReceiveCount=3, deadLetterTargetArn=ARN + ".fifo"), "same type"),
        (text(maxReceiveCount=3, deadLetterTargetArn=ARN + "b"), "does not exist"),
    ],
)
def test_a_policy_that_is_none_says_why(policy: str, words: str) -> None:
    """A policy that is none says why, and shows what was given."""
    with pytest.raises(Refusal, match=words) as caught:
        redrive(policy, lambda arn: arn == ARN, fifo=False)
    assert policy in caught.value.message


def test_who_may_name_a_queue_is_what_its_policy_says() -> None:
    """Who may name a queue as dead-letter queue is what its policy says."""
    by_queue = redrive_allow(text(redrivePermission="byQueue", sourceQueueArns=[ARN]))
    assert by_queue is not None
    assert by_queue.allows(ARN)
    assert not by_queue.allows(ARN + "b")
    for permission, allowed in ((Permission.ALLOW_ALL, True), (Permission.DENY_ALL, False)):
        policy = redrive_allow(text(redrivePermission=permission))
        assert policy is not None
        assert policy.allows(ARN) is allowed
    assert redrive_allow("") is None


@pytest.mark.parametrize("policy", ["x", "{}", text(redrivePermission="byQueue"), text(redrivePermission="all")])
def test_an_allow_policy_that_is_none_is_refused(policy: str) -> None:
    """An allow policy that is none is refused."""
    with pytest.raises(Refusal, match="RedriveAllowPolicy") as caught:
        redrive_allow(policy)
    assert caught.value.shape == "InvalidAttributeValue"
