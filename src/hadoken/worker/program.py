"""A worker as the whole program: signals, exit codes, the banner and the last line."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import signal
import sys
from collections.abc import Generator, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Never

from hadoken.errors import ConfigurationError, DrainTimeout
from hadoken.worker.banner import banner, farewell, tracing_line
from hadoken.worker.signals import Signals
from hadoken.worker.worker import MISCONFIGURED, Worker

if TYPE_CHECKING:
    from hadoken.app import App
    from hadoken.sqs.connection import Connection, Transport

log = logging.getLogger("hadoken.worker")

ENDING: Final = (signal.SIGTERM, signal.SIGINT)
REPORTING: Final = (signal.SIGUSR1, signal.SIGTTIN)


def run(
    app: App,
    *,
    concurrency: int | None = None,
    queues: Iterable[str] | None = None,
    drain_timeout: float | timedelta = 25,
    wait_time: int = 20,
    region: str | None = None,
    endpoint_url: str | None = None,
    transport: Transport = "auto",
    max_sqs_threads: int = 64,
    switch_interval: float | None = None,
    connection: Connection | None = None,
    client: object | None = None,
    **unknown: Never,
) -> Never:
    """Run a worker as the whole program: until SIGTERM or SIGINT, then drain, then exit.

    A second signal makes the drain deadline now. SIGUSR1 and SIGTTIN print the table of threads, SIGTSTP stops
    receiving, SIGUSR2 dumps stacks even when the interpreter is stuck. Options as for `Worker`.

    Raises:
        SystemExit: 0 drained, 75 drain forced, 70 engine failed or hung, 78 configuration.

    Thread: the main one. Blocks for the life of the worker.
    """
    if not logging.getLogger().handlers:
        logging.basicConfig(
            level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr
        )
    try:
        worker = Worker(
            app,
            concurrency=concurrency,
            queues=queues,
            drain_timeout=drain_timeout,
            wait_time=wait_time,
            region=region,
            endpoint_url=endpoint_url,
            transport=transport,
            max_sqs_threads=max_sqs_threads,
            switch_interval=switch_interval,
            connection=connection,
            client=client,
            **unknown,
        )
        code = _run(worker)
    except ConfigurationError as error:
        sys.stderr.write(f"hadoken: {error}\n")
        sys.exit(MISCONFIGURED)
    sys.stderr.write(farewell(worker.engine.report, code))
    sys.exit(code)


def _run(worker: Worker) -> int:
    """Run a worker under signals until it has ended; returns the exit code."""
    with Signals((*ENDING, *REPORTING, signal.SIGTSTP)).collected() as signals, _faults():
        sys.stderr.write(banner(worker.plan, worker.transport, tracing_line(worker.choice)))
        sys.stderr.flush()
        worker.engine.notice = signals.poke
        worker.begin()  # not `start`: signals are heard from the first moment on
        act = _Actions(worker)
        while not worker.engine.stopped.is_set() and not worker.overdue:
            for number in signals.wait():
                act(number)
        worker.refuse_misconfiguration()  # such a boot has ended the engine, maybe before anybody waited for it
        with contextlib.suppress(DrainTimeout):  # it is in the report, and the exit code says so
            worker.stop()
    return worker.exit_code


class _Actions:
    """What each signal does."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._ending = False

    def __call__(self, number: signal.Signals) -> None:
        # Told first, said second: whoever reads the line may rely on it that the engine opens no further poll.
        worker = self._worker
        if number in REPORTING:
            worker.report_threads()
        elif number == signal.SIGTSTP:
            worker.quiet()
            log.info("%s: no new receives", number.name)
        elif not self._ending:
            self._ending = True
            worker.drain()
            log.info("%s: draining for up to %g s", number.name, worker.options.drain_timeout)
        else:
            worker.drain(0.0)
            log.warning("%s again: stopping now", number.name)


@contextlib.contextmanager
def _faults() -> Generator[None]:
    """Let SIGUSR2 dump all stacks from C, whatever state the interpreter is in."""
    faulthandler.register(signal.SIGUSR2, all_threads=True)
    try:
        yield
    finally:
        faulthandler.unregister(signal.SIGUSR2)
