"""`hadoken check` in real processes: what it finds, what it says, and with which exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.peer import Peer, answer
from tests.support.ports import refusing_port
from tests.support.processes import Child
from tests.support.worker import Bench, both_transports

Start = Callable[..., Child]

APP = """
import hadoken

app = hadoken.App("letters")

@app.handler("orders")
def say(body: str) -> None: ...

@app.handler("steps.fifo", visibility_timeout=77)
def step(body: str) -> None: ...
"""

NO_ACCOUNT = {
    "AWS_CONFIG_FILE": "no-config",
    "AWS_SHARED_CREDENTIALS_FILE": "no-credentials",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture
def check(tmp_path: Path, start_hadoken: Start, transport: str | None) -> Start:
    """Start `hadoken check shop:app` with words, and queues mapped: `check(url, orders=..., words=(...))`."""
    (tmp_path / "shop.py").write_text(APP)

    def start(url: str, *words: str, orders: str = "orders", steps: str = "steps.fifo") -> Child:
        mapped = {"HADOKEN_QUEUES__ORDERS": orders, "HADOKEN_QUEUES__STEPS_FIFO": steps}
        named = ("--transport", transport) if transport else ()
        where = ("--endpoint-url", url) if url else ()
        env = {**NO_ACCOUNT, **mapped}
        return start_hadoken("check", "shop:app", *where, *named, *words, cwd=tmp_path, env=env)

    return start


@both_transports
def test_all_is_well(bench: Bench, check: Start, transport: str) -> None:
    """Each finding is a line of standard output; a worker would start."""
    orders, steps = bench.letterbox(5), bench.letterbox(7, fifo=True)
    child = check(bench.url, orders=bench.name(orders.url), steps=bench.name(steps.url))
    assert child.wait() == 0, child.lines
    ways = {"fast": "no threads", "botocore": "4 threads (queues + 2): asked for"}
    assert f"ok   transport      {transport} to {bench.url}, {ways[transport]}" in child.out
    assert (
        f"ok   queue orders   visibility timeout 30 s, dead-letter queue {bench.name(orders.dead)} after 5 receives"
        in (child.out)
    )
    assert any(line.startswith("ok   queue steps.fifo visibility timeout 77 s") for line in child.out)
    assert "ok   clock          within 1 s of SQS" in child.out
    assert "ok   credentials    found, permanent, access key local" in child.out
    assert child.err == ["hadoken: nothing to complain of"]
    assert not bench.requests("ReceiveMessage"), "nothing is received"


def test_what_may_surprise_is_a_warning(bench: Bench, check: Start) -> None:
    """No dead-letter queue, or one that takes messages after few receives: each with what to do."""
    orders, steps = bench.queue(), bench.letterbox(4, fifo=True)
    child = check(bench.url, orders=bench.name(orders), steps=bench.name(steps.url))
    assert child.wait() == 0, child.lines
    text = "\n".join(child.out)
    assert "WARN queue orders   visibility timeout 30 s, no dead-letter queue\n" in text
    assert "fix: give it a RedrivePolicy" in text
    assert "after 4 receives\n" in text
    assert "fix: raise maxReceiveCount to 5 or more" in text
    assert child.err == ["hadoken: 2 WARN"]


def test_a_short_visibility_timeout_is_a_warning_and_none_at_all_a_failure(bench: Bench, check: Start) -> None:
    """With 0 s a worker would not start."""
    orders = bench.queue({"VisibilityTimeout": 0})
    steps = bench.queue(fifo=True)
    child = check(bench.url, orders=bench.name(orders), steps=bench.name(steps))
    assert child.wait() == 78, child.lines
    assert any("FAIL queue orders" in line and "visibility timeout of 0 s" in line for line in child.out)


@both_transports
def test_missing_queues_are_all_named(bench: Bench, check: Start, transport: str) -> None:
    """One that is missing does not hide the next."""
    child = check(bench.url, orders="nowhere")
    assert child.wait() == 78, child.lines
    assert f"FAIL queue orders   missing (nowhere), in region us-east-1 at {bench.url}" in child.out
    assert f"FAIL queue steps.fifo missing, in region us-east-1 at {bench.url}" in child.out
    assert child.err == ["hadoken: 2 FAIL"]
    assert any(line.startswith(f"ok   transport      {transport} to") for line in child.out)


@both_transports
def test_an_sqs_that_is_not_there(check: Start, transport: str) -> None:
    """What was found so far stands there, and the exit code is its own."""
    with refusing_port() as port:
        child = check(f"http://127.0.0.1:{port}")
        assert child.wait() == 69, child.lines
    assert any(line.startswith(f"ok   transport      {transport} to") for line in child.out)
    assert child.err[-1].startswith("hadoken: GetQueueUrl failed: ")


@both_transports
def test_no_credentials(check: Start) -> None:
    """Nothing is asked of AWS then."""
    child = check("", "--region", "eu-west-1")
    assert child.wait() == 78, child.lines
    assert "FAIL credentials    none are found" in child.out


@pytest.mark.parametrize("code", ["AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException"])
def test_keys_that_open_nothing(check: Start, code: str) -> None:
    """A worker would ask for ever and receive nothing, so this is no success."""
    refusal = answer(b'{"__type":"com.amazon.coral.service#%s","message":"no"}' % code.encode(), status="403 Forbidden")
    with Peer(*[refusal] * 5) as peer:
        child = check(peer.url)
        assert child.wait() == 3, child.lines
    assert child.err[-1].startswith(f"hadoken: GetQueueUrl failed: {code}: no")


def test_a_profile_that_does_not_exist(check: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence, not a traceback."""
    monkeypatch.setenv("AWS_PROFILE", "nope")
    child = check("", "--region", "eu-west-1")
    assert child.wait() == 78, child.lines
    assert "profile (nope) could not be found" in child.err[-1]


def test_no_region(check: Start) -> None:
    """The same sentence as of a worker."""
    child = check("")
    assert child.wait() == 78, child.lines
    assert child.err[-1].startswith("hadoken: no AWS region is set")


def test_fast_that_cannot_be_taken(bench: Bench, check: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cause is named, and nothing is asked."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "elsewhere")
    before = bench.requests("GetQueueUrl")
    child = check(bench.url, "--transport", "fast")
    assert child.wait() == 78, child.lines
    assert child.err[-1].startswith('hadoken: transport="fast" cannot be taken: a proxy is set')
    assert bench.requests("GetQueueUrl") == before


@both_transports
def test_json_says_the_same(bench: Bench, check: Start, transport: str) -> None:
    """One document, with a schema; also where SQS is not there."""
    orders = bench.letterbox(5)
    child = check(bench.url, "--json", orders=bench.name(orders.url))
    assert child.wait() == 78, child.lines
    said: dict[str, Any] = json.loads("\n".join(child.out))
    found = {one["what"]: one for one in said["findings"]}
    assert (said["schema"], said["app"], said["error"]) == (1, "letters", None)
    assert found["transport"]["facts"]["name"] == transport
    assert found["transport"]["facts"]["threads"] == (0 if transport == "fast" else 4)
    assert found["queue orders"]["facts"] == {
        "url": orders.url,
        "visibility_timeout": 30,
        "dead_letter_queue": bench.name(orders.dead),
        "max_receive_count": 5,
    }
    assert found["queue steps.fifo"]["level"] == "FAIL"
    with refusing_port() as port:
        child = check(f"http://127.0.0.1:{port}", "--json")
        assert child.wait() == 69, child.lines
    said = json.loads("\n".join(child.out))
    assert said["error"]["exit_code"] == 69
