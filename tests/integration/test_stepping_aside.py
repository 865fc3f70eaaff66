"""Real libraries on botocore: what answers for AWS gets every request, and tracers keep us on our own transport.

Each patches botocore for a whole process, so each has one of its own, and an endpoint here would see a connection.
"""

from __future__ import annotations

import json
import site
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.peer import Peer
from tests.support.processes import ROOT, Child

Start = Callable[..., Child]

NEIGHBOURS = ROOT / ".cache" / "neighbours"


@pytest.fixture
def endpoint() -> Iterator[Peer]:
    """Where our own transport would send to; it closes every connection."""
    with Peer() as peer:
        yield peer


def told(start: Start, case: str, endpoint: Peer, python: str = sys.executable, *lent: str) -> dict[str, Any]:
    """Run one case of `aside_app` and read what it says."""
    path = [str(ROOT), *lent]
    child = start([python, "-m", "tests.support.aside_app", case, endpoint.url], env={"PYTHONPATH": ":".join(path)})
    assert child.wait() == 0, child.lines
    said: dict[str, Any] = json.loads(child.out[-1])
    return said


@pytest.mark.parametrize("case", ["moto", "moto-late"])
def test_within_mock_aws_moto_gets_every_request(start_process: Start, endpoint: Peer, case: str) -> None:
    """A message is sent and handled, all by moto; also where our client was made before moto was imported."""
    said = told(start_process, case, endpoint)
    assert endpoint.connections == 0
    assert said["same"]
    assert said["message"] != "SQSUnavailable"
    assert said["handled"] == ["hello"]
    assert said["left"] == 0
    assert said["choice"].startswith("botocore to http://sqs.us-east-1.amazonaws.com, 3 threads (queues + 2): moto is")


def test_with_nothing_in_the_way_the_endpoint_sees_us(start_process: Start, endpoint: Peer) -> None:
    """The other tests prove something only if this one passes."""
    said = told(start_process, "none", endpoint)
    assert endpoint.connections > 0
    assert said == {"choice": f"fast to {endpoint.url}, no threads", "tracing": "", "message": "SQSUnavailable"}


def check_traced(said: dict[str, Any], endpoint: Peer, name: str) -> None:
    """The tracer is named, with what it misses, and is no cause."""
    assert said["choice"] == f"fast to {endpoint.url}, no threads"
    missing = "no SQS client spans, no trace context sent by the fast transport"
    assert said["tracing"] == f'{name}: {missing}; transport="botocore" has both'
    assert endpoint.connections > 0


@pytest.mark.parametrize(("case", "name"), [("opentelemetry", "OpenTelemetry"), ("sentry", "Sentry")])
def test_a_tracer_keeps_us_fast(start_process: Start, endpoint: Peer, case: str, name: str) -> None:
    """Tracers only look on."""
    check_traced(told(start_process, case, endpoint), endpoint, name)


@pytest.mark.parametrize(("case", "name"), [("ddtrace", "ddtrace"), ("newrelic", "New Relic")])
def test_a_large_tracer_keeps_us_fast(start_process: Start, endpoint: Peer, case: str, name: str) -> None:
    """The same in an environment of their own, to which ours lends hadoken and botocore."""
    if not (NEIGHBOURS / "tracers.stamp").exists():
        reason = NEIGHBOURS / "tracers.reason"
        lines = reason.read_text().strip().splitlines() if reason.exists() else []
        pytest.skip(f"the tracers are not installed: {lines[-1] if lines else 'make clients installs them'}")
    python = str(NEIGHBOURS / "tracers" / "bin" / "python")
    said = told(start_process, case, endpoint, python, str(ROOT / "src"), *map(str, lent_packages()))
    check_traced(said, endpoint, name)


def lent_packages() -> list[Path]:
    """Where this environment's packages are; the tracers' own come after."""
    return [Path(each) for each in site.getsitepackages() if Path(each).is_dir()]
