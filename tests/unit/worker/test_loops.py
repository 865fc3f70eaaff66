"""Which loop the engine runs on, and how its timers ring."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import uvloop

from hadoken import App, Worker
from hadoken.clock import SYSTEM
from hadoken.errors import ConfigurationError
from hadoken.local.inprocess import LocalSQS
from hadoken.worker import loops
from hadoken.worker.banner import banner


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this test run was asked to use."""
    monkeypatch.delenv(loops.VARIABLE, raising=False)


def test_uvloop_is_taken_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default, and by either name of it; an empty variable is as good as none."""
    for value in (None, "auto", "uvloop", ""):
        if value is not None:
            monkeypatch.setenv(loops.VARIABLE, value)
        assert loops.chosen() == (f"uvloop {uvloop.__version__}", uvloop.new_event_loop)


def test_asyncios_own_is_taken_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Although uvloop is there."""
    monkeypatch.setenv(loops.VARIABLE, "asyncio")
    assert loops.chosen() == ("asyncio", asyncio.new_event_loop)


def _not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)


def _pypy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "implementation", SimpleNamespace(name="pypy"))


@pytest.mark.parametrize("without", [_not_installed, _pypy])
def test_asyncios_own_is_the_fallback(
    monkeypatch: pytest.MonkeyPatch, without: Callable[[pytest.MonkeyPatch], None]
) -> None:
    """It is never required, and on PyPy not wanted."""
    without(monkeypatch)
    assert loops.chosen().name == "asyncio"


def test_what_is_asked_for_and_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any thread: a loop that cannot be had, and one that nobody knows."""
    app = App("test")
    app.queue("orders", str).handler()(lambda body: None)
    _not_installed(monkeypatch)
    monkeypatch.setenv(loops.VARIABLE, "uvloop")
    with pytest.raises(ConfigurationError, match=r"asks for uvloop.*hadoken\[fast\]"):
        Worker(app, sqs=LocalSQS())
    monkeypatch.setenv(loops.VARIABLE, "trio")
    with pytest.raises(ConfigurationError, match="HADOKEN_LOOP is 'trio'; it is one of auto, asyncio, uvloop"):
        Worker(app, sqs=LocalSQS())


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_a_timer_that_is_set_again_while_it_is_early_does_not_spin(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Each deadline costs a few turns at the most, however the loop rounds."""
    monkeypatch.setenv(loops.VARIABLE, name)

    async def rings(delay: float) -> int:
        """How often a timer rings until its time has come, set anew each time, as the engine does."""
        loop = asyncio.get_running_loop()
        due, count, added = SYSTEM.lease() + delay, 0, loops.rings_early(loop)
        while (left := due - SYSTEM.lease()) > 0:
            rang = asyncio.Event()
            loop.call_later(left + added, rang.set)
            await rang.wait()
            count += 1
        return count

    async def main() -> None:
        for n in range(60):
            assert await rings(0.000_05 + n * 0.000_13) <= 3

    with asyncio.Runner(loop_factory=loops.chosen().make) as runner:
        runner.run(main())


def test_the_banner_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever compares two workers sees on which loop each runs."""
    app = App("test")
    app.queue("orders", str).handler()(lambda body: None)
    worker = Worker(app, sqs=LocalSQS())
    assert f"uvloop {uvloop.__version__}" in banner(worker.plan, worker.transport).splitlines()[0]
    monkeypatch.setenv(loops.VARIABLE, "asyncio")
    assert "asyncio" in banner(worker.plan, worker.transport).splitlines()[0]
