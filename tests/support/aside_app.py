"""A program that has something put into botocore, and sends: `python -m tests.support.aside_app CASE URL`.

URL is an endpoint that would see a connection of our own transport. Where a library answers for AWS only by the
names of AWS, those names lead to that endpoint here. Writes one JSON object to standard output.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import hadoken
from hadoken.sqs.connection import Connection
from tests.support.waiting import GLOBAL, wait_until

REGION = "us-east-1"
AWS = f"http://sqs.{REGION}.amazonaws.com"
QUEUE = "http://sqs.us-east-1.amazonaws.com/000000000000/orders"


def main(case: str, url: str) -> None:
    """Run one case."""
    where = urlsplit(url)
    real = socket.getaddrinfo

    def here(host: Any, _port: Any, *args: Any, **more: Any) -> Any:
        return real(where.hostname if str(host).endswith("amazonaws.com") else host, where.port, *args, **more)

    socket.getaddrinfo = here
    json.dump(CASES[case](url), sys.stdout)


def app_of(handled: list[str]) -> hadoken.App:
    """An app whose handler keeps what it got."""
    app = hadoken.App("aside")

    @app.handler("orders")
    def handle(body: str) -> None:
        handled.append(body)

    return app


def sent(app: hadoken.App, connection: Connection, body: str) -> str:
    """Send one message; its id, or the class of the error."""
    app.connect(connection)
    try:
        return app.queues["orders"].send(body)
    except hadoken.SQSError as error:
        return type(error).__name__


def moto(_: str, *, late: bool) -> dict[str, Any]:
    """Send, and run a worker, within `mock_aws`; with `late` our client was made before moto was imported."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_EC2_METADATA_DISABLED": "true"}
    handled: list[str] = []
    app = app_of(handled)
    connection = Connection(region=REGION, endpoint_url=AWS)
    made = connection.blocking() if late else None

    from moto import mock_aws

    with mock_aws():
        import boto3

        sqs = boto3.client("sqs", region_name=REGION)
        queue = sqs.create_queue(QueueName="orders")["QueueUrl"]
        url = made.queue_url("orders") if made is not None else queue
        message = sent(app, connection, "hello")
        worker = hadoken.Worker(app, connection=connection, concurrency=1, wait_time=1, drain_timeout=3)
        worker.start()
        wait_until(lambda: bool(handled), GLOBAL)
        worker.stop()
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        left = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        return {
            "same": urlsplit(url).path == urlsplit(queue).path,
            "message": message,
            "handled": handled,
            "choice": worker.transport,
            "left": sum(map(int, left.values())),
        }


def traced(url: str, instrument: Callable[[], None]) -> dict[str, Any]:
    """Send with a tracer on botocore."""
    instrument()
    app = app_of([])
    connection = Connection(region=REGION, endpoint_url=url, anonymous=True)
    worker = hadoken.Worker(app, connection=connection)
    from hadoken.worker.banner import tracing_line

    app.queues["orders"].address = lambda: QUEUE  # type: ignore[method-assign] # no request for its URL
    return {"choice": worker.transport, "tracing": tracing_line(worker.choice), "message": sent(app, connection, "hi")}


def opentelemetry() -> None:
    """As `opentelemetry-instrument` does."""
    from opentelemetry.instrumentation.botocore import BotocoreInstrumentor

    BotocoreInstrumentor().instrument()


def sentry() -> None:
    """As `sentry_sdk.init` does where botocore is there."""
    import sentry_sdk
    from sentry_sdk.integrations.boto3 import Boto3Integration

    sentry_sdk.init(dsn="", integrations=[Boto3Integration()], default_integrations=False)


def ddtrace() -> None:
    """As `ddtrace-run` does."""
    from ddtrace import patch

    patch(botocore=True)


def newrelic() -> None:
    """As `newrelic-admin run-program` does, without an account."""
    import newrelic.agent

    newrelic.agent.initialize(None)


CASES: dict[str, Callable[[str], dict[str, Any]]] = {
    "moto": lambda url: moto(url, late=False),
    "moto-late": lambda url: moto(url, late=True),
    "none": lambda url: traced(url, lambda: None),
    "opentelemetry": lambda url: traced(url, opentelemetry),
    "sentry": lambda url: traced(url, sentry),
    "ddtrace": lambda url: traced(url, ddtrace),
    "newrelic": lambda url: traced(url, newrelic),
}


if __name__ == "__main__":
    main(*sys.argv[1:])
