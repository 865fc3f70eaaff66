"""The same work by a worker of hadoken. Arguments: ENDPOINT QUEUE SECONDS."""

from __future__ import annotations

import signal
import sys

import hadoken
from benchmarks.probe import Probe

CONCURRENCY = 10


def main(endpoint: str, queue: str, seconds: str) -> None:
    probe = Probe(float(seconds))
    app = hadoken.App("benchmark")

    @app.handler(queue)
    def handle(_body: str) -> None:
        probe()

    worker = hadoken.Worker(app, concurrency=CONCURRENCY, wait_time=1, endpoint_url=endpoint)
    probe.budget = worker.threads.total
    with worker:
        signal.sigwait([signal.SIGTERM])
    probe.report()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    main(*sys.argv[1:])
