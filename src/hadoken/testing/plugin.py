"""The pytest plugin: `fake_sqs`, `worker`, `nothing_left`, and the leak check that an ini file switches on.

Rules of this file:
- pytest loads it in every project of an environment that has hadoken: it imports nothing but pytest, and nothing of
  hadoken before a fixture or an option asks for it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from hadoken.app import App
    from hadoken.testing.doors import StartWorker
    from hadoken.testing.driven import DrivenWorker
    from hadoken.testing.fake_sqs import FakeSQS

_CHECKS = ("off", "on", "everything")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the ini options of the leak check."""
    parser.addini(
        "hadoken_leak_check",
        "fail every test that leaves a thread, task, timer, descriptor or child process (on), a hadoken message, "
        "signal handler or environment variable as well (everything); off by default",
        default="off",
    )
    parser.addini("hadoken_leak_grace", "real seconds for what is just ending after a test", default="2.0")


def pytest_configure(config: pytest.Config) -> None:
    """Switch the leak check on where the ini file says so, before any test module is imported."""
    config.addinivalue_line(
        "markers", "plants_leaks: the test leaves something behind on purpose; nothing_left looks away"
    )
    wanted = str(config.getini("hadoken_leak_check"))
    if wanted not in _CHECKS:
        raise pytest.UsageError(f"hadoken_leak_check is {wanted!r}; it is one of {', '.join(_CHECKS)}")
    if wanted == "off":
        return
    from hadoken.testing import leak_check, leftovers  # noqa: PLC0415 -- see the rules

    config.add_cleanup(leftovers.remember_births())
    config.pluginmanager.register(
        leak_check.LeakCheck(everything=wanted == leak_check.EVERYTHING), "hadoken-leak-check"
    )


@pytest.fixture
def fake_sqs() -> FakeSQS:
    """A strict SQS in memory, fresh for each test, with a virtual clock: see `hadoken.testing.FakeSQS`."""
    from hadoken.testing.fake_sqs import FakeSQS  # noqa: PLC0415 -- see the rules

    return FakeSQS()


@pytest.fixture
def worker(request: pytest.FixtureRequest, fake_sqs: FakeSQS) -> Iterator[StartWorker]:
    """Start a worker on `fake_sqs` for the rest of a test: call it with the app.

    It gives a `DrivenWorker`; options as for `hadoken.testing.worker`.

    At the end of the test it drains, and what handlers raised since the last call fails the test.
    """
    from hadoken.testing.doors import worker as make  # noqa: PLC0415 -- see the rules

    if "nothing_left" in request.fixturenames:
        request.getfixturevalue("nothing_left")  # made first, so that it looks when the worker has ended
    with contextlib.ExitStack() as running:

        def run(app: App, **options: Any) -> DrivenWorker:  # noqa: ANN401 -- checked by what is called
            options.setdefault("sqs", fake_sqs)
            return running.enter_context(make(app, **options))

        yield run


@pytest.fixture
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test if it leaves a thread, asyncio task, timer, descriptor or child process behind."""
    from hadoken.testing import leak_check, leftovers  # noqa: PLC0415 -- see the rules

    forget = leftovers.remember_births()
    try:
        yield from leak_check.watched(request, everything=False)
    finally:
        forget()
