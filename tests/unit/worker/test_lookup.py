"""Looking queues up: what is read, what is missing, what is denied, what is waited for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

import pytest

from hadoken import App
from hadoken.errors import ConfigurationError, QueueNotFound, SQSError
from hadoken.local.faults import Faults, Rule
from hadoken.local.inprocess import LocalSQS
from hadoken.options import WorkerOptions
from hadoken.pipeline.queues import QueueInfo
from hadoken.worker import lookup
from hadoken.worker.plan import plan


def app_of(*names: str, **options: object) -> App:
    """An app with a handler for each queue."""
    app = App("test")
    for name in names:

        @app.queue(name, str).handler(**options)  # type: ignore[arg-type] -- options of a test
        def handle(body: str) -> None:
            """Do nothing."""

    return app


def look_up(sqs: LocalSQS, app: App, trouble: list[SQSError] | None = None) -> Mapping[str, QueueInfo]:
    """Look all queues of an app up."""
    found = [] if trouble is None else trouble

    async def search() -> Mapping[str, QueueInfo]:
        made = plan(app, WorkerOptions(), own_transport=True)
        return await lookup.look_up(sqs, made, where="the test region", on_trouble=found.append)

    return asyncio.run(search())


@pytest.fixture
def sqs() -> LocalSQS:
    """A local SQS with orders (and its dead-letter queue) and mails."""
    made = LocalSQS()
    made.create_queue("dead")
    policy = {"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead", "maxReceiveCount": 5}
    made.create_queue("orders", {"VisibilityTimeout": "60", "RedrivePolicy": json.dumps(policy)})
    made.create_queue("mails")
    return made


def test_settings_are_read_once(sqs: LocalSQS) -> None:
    """URL, visibility timeout, redrive policy and the URL of the dead-letter queue."""
    found = look_up(sqs, app_of("orders", "mails"))
    orders, mails = found["orders"], found["mails"]
    assert (orders.visibility_timeout, orders.max_receive_count, orders.wait_time) == (60, 5, 20)
    assert orders.dead_letter_url == sqs.url_now("dead")
    assert (mails.visibility_timeout, mails.max_receive_count, mails.dead_letter_url) == (30, None, None)
    assert orders.handler.endswith("handle")
    assert sqs.queues.counters.of("GetQueueAttributes").requests == 2


def test_the_handlers_timeout_wins_and_a_short_one_is_warned_of(
    sqs: LocalSQS, caplog: pytest.LogCaptureFixture
) -> None:
    """Below ten seconds a slow call can cost a lease."""
    found = look_up(sqs, app_of("orders", visibility_timeout=4, time_limit=7, hold_limit=9))
    assert (found["orders"].visibility_timeout, found["orders"].time_limit, found["orders"].hold_limit) == (4, 7, 9)
    assert "a visibility timeout of 4 s leaves little time" in caplog.text


def test_a_timeout_of_zero_is_refused(sqs: LocalSQS) -> None:
    """Every message would be handed out again at once."""
    sqs.create_queue("zero", {"VisibilityTimeout": "0"})
    with pytest.raises(ConfigurationError, match="queue 'zero' has a visibility timeout of 0 s"):
        look_up(sqs, app_of("zero"))


def test_all_missing_queues_are_named_at_once(sqs: LocalSQS, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the name they were mapped to."""
    monkeypatch.setenv("HADOKEN_QUEUES__GONE", "gone-in-production")
    with pytest.raises(QueueNotFound) as raised:
        look_up(sqs, app_of("orders", "lost", "gone"))
    assert sorted(raised.value.queues) == ["gone", "lost"]
    assert "gone (gone-in-production)" in str(raised.value)
    assert "in the test region" in str(raised.value)


def test_attributes_that_may_not_be_read_are_assumed(sqs: LocalSQS, caplog: pytest.LogCaptureFixture) -> None:
    """A policy without GetQueueAttributes is no obstacle; it is said."""
    sqs.faults = Faults([Rule(operation="GetQueueAttributes", code="AccessDenied")])
    found = look_up(sqs, app_of("orders"))["orders"]
    assert (found.visibility_timeout, found.max_receive_count) == (30, None)
    assert "its attributes may not be read, defaults are assumed" in caplog.text


@pytest.mark.parametrize("code", ["AccessDenied", "QueueDoesNotExist"])
def test_a_dead_letter_queue_out_of_reach_is_no_obstacle(
    sqs: LocalSQS, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Then SQS alone moves messages there; it is said."""
    sqs.faults = Faults([Rule(operation="GetQueueUrl", queue="dead", code=code)])
    found = look_up(sqs, app_of("orders"))["orders"]
    assert (found.max_receive_count, found.dead_letter_url) == (5, None)
    assert "its dead-letter queue dead cannot be sent to" in caplog.text


@pytest.mark.parametrize("operation", ["GetQueueUrl", "GetQueueAttributes"])
def test_trouble_is_told_once_and_tried_again(sqs: LocalSQS, operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found is not asked for again; the waits double up to a minute."""
    waits: list[float] = []

    async def no_wait(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(lookup.asyncio, "sleep", no_wait)
    monkeypatch.setattr(lookup.random.Random, "uniform", lambda _self, _low, high: high)
    sqs.faults = Faults([Rule(operation=operation, queue="orders", code="ServiceUnavailable", times=9)])
    trouble: list[SQSError] = []
    found = look_up(sqs, app_of("orders", "mails"), trouble)
    assert sorted(found) == ["mails", "orders"]
    assert len(trouble) == 1
    assert waits == [2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert sqs.queues.counters.of("GetQueueAttributes").requests <= 1 + 10


def test_trouble_with_the_dead_letter_queue_is_tried_again(sqs: LocalSQS, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not to be reached for a moment is not the same as not to be had."""

    async def no_wait(seconds: float) -> None:
        return None

    monkeypatch.setattr(lookup.asyncio, "sleep", no_wait)
    sqs.faults = Faults([Rule(operation="GetQueueUrl", queue="dead", code="ServiceUnavailable", times=1)])
    assert look_up(sqs, app_of("orders"))["orders"].dead_letter_url


def test_a_queue_given_by_url_is_not_asked_for(sqs: LocalSQS, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its URL is known already."""
    monkeypatch.setenv("HADOKEN_QUEUES__ORDERS", sqs.url_now("mails"))
    before = sqs.queues.counters.of("GetQueueUrl").requests
    assert look_up(sqs, app_of("orders"))["orders"].url == sqs.url_now("mails")
    assert sqs.queues.counters.of("GetQueueUrl").requests == before + 1  # this test's own


@pytest.mark.parametrize("by_url", [False, True])
def test_no_credentials_at_all_are_a_mistake_of_the_users(
    sqs: LocalSQS, by_url: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting would not bring any: the boot ends with a sentence instead of staying up in silence."""
    if by_url:
        monkeypatch.setenv("HADOKEN_QUEUES__ORDERS", sqs.url_now("mails"))
    sqs.faults = Faults([Rule(code="NoCredentials")])
    with pytest.raises(ConfigurationError, match="no AWS credentials are found"):
        look_up(sqs, app_of("orders"))
