"""The interpreter's switch interval: set when asked for, said, put back."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

import pytest

from hadoken import App, Worker
from hadoken.errors import ConfigurationError, InvalidOption
from hadoken.local.inprocess import LocalSQS
from hadoken.worker.switching import SwitchInterval


@pytest.fixture(autouse=True)
def before() -> Iterator[float]:
    """What it is before and must be afterwards."""
    was = sys.getswitchinterval()
    yield was
    now = sys.getswitchinterval()
    sys.setswitchinterval(was)
    assert now == was


def app_with_a_queue() -> tuple[App, LocalSQS]:
    """An app, and the SQS that has its queue."""
    app, sqs = App("test"), LocalSQS()
    sqs.create_queue("orders")
    app.queue("orders", str).handler()(lambda body: None)
    return app, sqs


def test_it_lasts_as_long_as_the_worker(before: float, caplog: pytest.LogCaptureFixture) -> None:
    """Set at the start, told with what it was, put back at the end."""
    caplog.set_level(logging.INFO, "hadoken.worker")
    app, sqs = app_with_a_queue()
    with Worker(app, sqs=sqs, concurrency=1, wait_time=1, switch_interval=0.0005):
        assert sys.getswitchinterval() == pytest.approx(0.0005)
        assert f"switch interval is 0.0005 s while the worker runs, instead of {before:g}" in caplog.text
    assert sys.getswitchinterval() == before


def test_it_is_never_set_silently(before: float, caplog: pytest.LogCaptureFixture) -> None:
    """Without the option nothing is set, nothing is said."""
    caplog.set_level(logging.INFO, "hadoken.worker")
    app, sqs = app_with_a_queue()
    with Worker(app, sqs=sqs, concurrency=1, wait_time=1):
        assert sys.getswitchinterval() == before
    assert "switch interval" not in caplog.text


def test_a_start_that_fails_puts_it_back(before: float) -> None:
    """A missing queue ends the start; nothing of the worker stays, this neither."""
    app, _ = app_with_a_queue()
    with pytest.raises(ConfigurationError, match="missing queue"):
        Worker(app, sqs=LocalSQS(), concurrency=1, switch_interval=0.0005).start()
    assert sys.getswitchinterval() == before


def test_what_others_set_meanwhile_stays(before: float) -> None:
    """Only our own value is put back, once; beginning twice does not forget what was there."""
    ours = SwitchInterval(0.001)
    ours.end()
    ours.begin()
    ours.begin()
    sys.setswitchinterval(0.002)
    ours.end()
    assert sys.getswitchinterval() == 0.002
    sys.setswitchinterval(before)
    ours.end()


@pytest.mark.parametrize("value", [0, -1, 2, "fast", True])
def test_what_it_may_be(value: object) -> None:
    """Neither nothing nor seconds: such an interval would starve the engine or switch all the time."""
    app, sqs = app_with_a_queue()
    with pytest.raises(InvalidOption, match="switch_interval"):
        Worker(app, sqs=sqs, switch_interval=value)  # type: ignore[arg-type] # wrong on purpose
