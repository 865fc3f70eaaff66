"""The one table of waits: its bounds, its jitter, and which errors it is for."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore
import botocore.session
import pytest
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker
from hypothesis import given
from hypothesis import strategies as st

from hadoken.sqs.api import NO_ANSWER, NOT_CONNECTED, EntryFailure, Fault, classify, fault_of, may_be_applied, sqs_error
from hadoken.sqs.backoff import ACKNOWLEDGE, LOOK_UP, RECEIVE, SEND, Backoff, Until

TABLE = [RECEIVE, LOOK_UP, ACKNOWLEDGE, SEND]
AGAIN = {Fault.TRANSIENT, Fault.THROTTLE}


def test_the_table_says_what_is_promised() -> None:
    """Receives: for ever, 1 to 60 s; deletes and changes: until the lease ends; sends: bounded."""
    assert (RECEIVE.least, RECEIVE.longest, RECEIVE.until) == (1, 60, Until.FOR_EVER)
    assert LOOK_UP.until is Until.FOR_EVER
    assert ACKNOWLEDGE.until is Until.LEASE_END
    assert (SEND.until, SEND.tries) == (Until.TRIES, 3)
    assert all((one.until is Until.TRIES) == (one.tries > 0) for one in TABLE)
    assert sum(SEND.wait(n, 1.0) for n in range(1, SEND.tries)) < 0.5


@pytest.mark.parametrize("one", TABLE)
@given(failures=st.integers(1, 10_000), lasting=st.floats(0, 1e7), draw=st.floats(0, 1))
def test_every_wait_is_within_its_bounds(one: Backoff, failures: int, lasting: float, draw: float) -> None:
    """However long it has failed and whatever is drawn: never a hot loop, never longer than the longest."""
    for wait in (one.wait(failures, draw), one.wait_in_outage(lasting, draw)):
        assert 0 < one.least - 1e-9 <= wait <= one.longest + 1e-9


def test_the_bound_doubles_with_failures() -> None:
    """At the most jitter: first, twice that, and so on up to the longest."""
    assert [RECEIVE.wait(n, 1.0) for n in range(1, 8)] == [2, 4, 8, 16, 32, 60, 60]


def test_the_bound_is_half_of_the_outage() -> None:
    """A short outage is prolonged by no more than a half of it, a long one by no more than a minute."""
    assert [RECEIVE.wait_in_outage(lasting, 1.0) for lasting in (0, 4, 10, 100, 1_000)] == [2, 2, 5, 50, 60]


def test_the_jitter_is_full_and_has_no_heap_at_its_end() -> None:
    """Draws are spread evenly from the least wait to the bound: workers that failed together come back apart."""
    chance = random.Random(5)
    waits = sorted(RECEIVE.wait(9, chance.random()) for _ in range(10_000))
    assert waits[0] < 1.1
    assert waits[-1] > 59.9
    assert len(set(waits)) == len(waits)
    assert waits[5_000] == pytest.approx(30.5, abs=1.5)


def _codes_of_botocore() -> Iterator[str]:
    yield from ThrottledRetryableChecker._THROTTLED_ERROR_CODES
    yield from TransientRetryableChecker._TRANSIENT_ERROR_CODES
    for one in _legacy_rules():
        if code := one.get("response", {}).get("service_error_code"):
            yield code


def _legacy_rules() -> Iterator[dict[str, Any]]:
    rules = json.loads(Path(botocore.__file__).with_name("data").joinpath("_retry.json").read_text("utf-8"))
    sqs = rules["retry"]["sqs"]["__default__"]["policies"].values()
    yield from (rule["applies_when"] for rule in (*rules["definitions"].values(), *sqs))


@pytest.mark.parametrize("code", sorted({*_codes_of_botocore(), NO_ANSWER, NOT_CONNECTED}))
@pytest.mark.parametrize("prefix", ["", "com.amazonaws.sqs#", "AWS.SimpleQueueService."])
def test_what_botocore_would_retry_is_retried(code: str, prefix: str) -> None:
    """Each code of both of botocore's retry modes, under either name, of a whole call and of an entry."""
    assert classify(prefix + code) in AGAIN
    assert EntryFailure(prefix + code).fault in AGAIN
    error = sqs_error("ReceiveMessage", prefix + code, "")
    assert error.transient
    assert fault_of(error) in AGAIN


def test_throttling_is_told_from_trouble() -> None:
    """Whatever botocore takes for throttling is throttling here: it certainly was not applied."""
    for code in ThrottledRetryableChecker._THROTTLED_ERROR_CODES:
        assert classify(code) is Fault.THROTTLE
        assert not may_be_applied(sqs_error("ChangeMessageVisibilityBatch", code, "", status=503))


def _statuses() -> set[int]:
    old = {status for rule in _legacy_rules() if (status := rule.get("response", {}).get("http_status_code"))}
    return {*TransientRetryableChecker._TRANSIENT_STATUS_CODES, *old} - {400, 403}


@pytest.mark.parametrize("status", sorted(_statuses()))
@pytest.mark.parametrize("code", ["", "SomethingNew"])
def test_what_botocore_would_retry_for_its_status_is_retried(status: int, code: str) -> None:
    """An answer without a code, such as a page of a proxy, and one with a code that nobody knows."""
    assert classify(code, "", status) in AGAIN
    error = sqs_error("DeleteMessageBatch", code, "", status=status)
    assert error.transient
    assert fault_of(error) in AGAIN


def test_the_errors_of_the_service_model_that_can_pass_are_retried() -> None:
    """Every modelled error of SQS whose name speaks of throttling, by its shape and by its legacy name."""
    model = botocore.session.get_session().get_service_model("sqs")
    names = [(shape.name, shape.metadata.get("error", {}).get("code", shape.name)) for shape in model.error_shapes]
    throttling = [pair for pair in names if "Throttl" in pair[0]]
    assert len(throttling) >= 2
    for shape, legacy in throttling:
        assert classify(shape) is classify(legacy) is Fault.THROTTLE
    for shape, legacy in names:
        assert classify(shape) is classify(legacy), f"{shape} and {legacy} are one error"


@pytest.mark.parametrize(
    ("code", "status", "applied"),
    [
        ("InternalError", 500, True),
        ("ServiceUnavailable", 503, True),
        ("", 502, True),
        (NO_ANSWER, 400, True),
        ("RequestThrottled", 403, False),
        ("", 429, False),
        ("AccessDenied", 403, False),
        (NOT_CONNECTED, 400, False),
    ],
)
def test_it_is_known_what_may_have_been_applied(code: str, status: int, applied: bool) -> None:
    """No answer and a server's error may hide a success; what was throttled, denied or never sent does not."""
    assert may_be_applied(sqs_error("ChangeMessageVisibilityBatch", code, "", status=status)) is applied
