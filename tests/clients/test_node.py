"""`@aws-sdk/client-sqs` against `hadoken local`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.support.processes import Child

CALLS = Path(__file__).with_name("node") / "calls.mjs"


def test_the_sdk_for_javascript_does_the_basic_calls(endpoint: str, node: Callable[..., Child]) -> None:
    """Thirteen operations, with digests and signatures checked on both sides, do what they say."""
    child = node(CALLS.read_text(encoding="utf-8"), endpoint)
    assert child.wait() == 0, child.lines
    said = json.loads(child.out[-1])
    assert said["found"] is True
    assert said["listed"] == [f"{endpoint}/000000000000/of-node"]
    assert said["attributes"]["VisibilityTimeout"] == "40"
    assert said["attributes"]["MaximumMessageSize"] == "2048"
    assert said["sent"] == ["0", "1"]
    assert sorted(said["received"]) == [["first ✓", "näher"], ["second", None], ["third", None]]
    assert said["again"] == [[said["received"][0][0], "2"]]
    assert said["deleted"] == 2
    assert said["left"] == {"ApproximateNumberOfMessages": "0", "ApproximateNumberOfMessagesNotVisible": "0"}
    assert said["error"] == [True, "QueueDoesNotExist", 400]


def test_the_sdk_for_javascript_is_refused_with_a_wrong_key(endpoint: str, node: Callable[..., Child]) -> None:
    """A secret that is not the server's is an error with the name that AWS gives it."""
    text = CALLS.read_text(encoding="utf-8").replace("secret of node", "secret of nobody")
    child = node(text, endpoint)
    assert child.wait() == 1
    assert "SignatureDoesNotMatch" in "\n".join(child.err) or "InvalidSignatureException" in "\n".join(child.err)
