"""`hadoken run MODULE:APP`: a worker as the whole program."""

from __future__ import annotations

import dataclasses
import difflib
import logging
from collections.abc import Collection
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import click

from hadoken.cli.durations import seconds
from hadoken.cli.numbers import Whole

if TYPE_CHECKING:
    from hadoken.app import App
    from hadoken.sqs.connection import Connection, Transport
    from hadoken.worker.plan import Plan

log = logging.getLogger("hadoken.cli")

WAIT_TIME: Final = 20  # seconds of a long poll: the most that SQS allows, so that an idle queue costs least
# Against a local SQS polls cost nothing, and a drain waits for those that are open: so Ctrl-C is quick.
LOCAL_WAIT_TIME: Final = 2


@click.command("run", short_help="Run the worker of an app until SIGTERM or Ctrl-C.")
@click.argument("target", metavar="MODULE:APP")
@click.option("--local", is_flag=True, help="Start a local SQS, create the app's queues there; no AWS account needed.")
@click.option(
    "--concurrency",
    type=Whole(1, 1_000),
    metavar="N",
    help="Handler threads of the default pool.  [default: the app's]",
)
@click.option("--queues", metavar="A,B", help="Serve only these queues.  [default: all with a handler]")
@click.option(
    "--drain-timeout",
    callback=seconds,
    metavar="SECONDS",
    default="25",
    show_default=True,
    help="Time from the signal within which running handlers may finish.",
)
@click.option(
    "--wait-time",
    type=Whole(1, 20),
    metavar="SECONDS",
    help=f"How long a long poll waits.  [default: {WAIT_TIME}, with --local {LOCAL_WAIT_TIME}]",
)
@click.option(
    "--switch-interval",
    callback=seconds,
    metavar="SECONDS",
    help="After how long a handler that computes lets other threads in, such as 500us.  [default: Python's own]",
)
@click.option("--region", help="AWS region.  [default: the usual AWS settings]")
@click.option("--endpoint-url", metavar="URL", help="Where SQS is, when it is not AWS's own address.")
@click.option(
    "--transport",
    type=click.Choice(["auto", "fast", "botocore"]),
    default="auto",
    show_default=True,
    help="How SQS is reached; auto is fast, our own way, unless something asks for botocore's.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log at level DEBUG, each handler with its options too.")
def command(
    *,
    target: str,
    local: bool,
    concurrency: int | None,
    queues: str | None,
    drain_timeout: float,
    wait_time: int | None,
    switch_interval: float | None,
    region: str | None,
    endpoint_url: str | None,
    transport: Transport,
    verbose: bool,
) -> None:
    """Run the worker of an app until SIGTERM or Ctrl-C, then drain and exit.

    MODULE:APP names a hadoken.App, such as shop.billing:app; the current folder can be imported from.

    \b
    Exit codes: 0 drained; 75 drain forced; 70 engine failed or handlers hang;
    78 configuration, a missing queue too; 2 not understood.
    """  # noqa: D301 -- \b is click's sign to keep the lines
    if local and endpoint_url:
        raise click.UsageError("--local and --endpoint-url name two places; give one of them")
    from hadoken.cli.target import load  # noqa: PLC0415 -- `hadoken --help` needs no app
    from hadoken.options import WorkerOptions  # noqa: PLC0415 -- nor options
    from hadoken.worker.plan import plan  # noqa: PLC0415 -- nor a plan
    from hadoken.worker.program import run  # noqa: PLC0415 -- nor a worker

    app = load(target)
    options = WorkerOptions(
        concurrency=concurrency,
        queues=None if queues is None else _names(app, queues),
        drain_timeout=drain_timeout,
        wait_time=wait_time or (LOCAL_WAIT_TIME if local else WAIT_TIME),
        region=region,
        endpoint_url=endpoint_url,
        switch_interval=switch_interval,
        transport=transport,
    )
    planned = plan(app, options, own_transport=True)  # what cannot work is said before anything is started or made
    if verbose:
        _log_everything()
        _log_plan(planned)
    with ExitStack() as stack:  # the local SQS ends after the worker has drained
        run(
            app,
            concurrency=options.concurrency,
            queues=options.queues,
            drain_timeout=options.drain_timeout,
            wait_time=options.wait_time,
            region=options.region,
            endpoint_url=options.endpoint_url,
            switch_interval=options.switch_interval,
            transport=transport,
            connection=_local(app, planned.queues, stack) if local else None,
        )


def _names(app: App, text: str) -> tuple[str, ...]:
    """The queues that were typed.

    Raises:
        UsageError: there is no name in it.
        ConfigurationError: the app has no handler for one of them; the nearest that it has is named.
    """
    from hadoken.errors import ConfigurationError  # noqa: PLC0415 -- see the rules in main

    names = tuple(name for each in text.split(",") if (name := each.strip()))
    if not names:
        raise click.UsageError(f"--queues {text!r} names no queue; write names with commas between them")
    for name in names:
        if app.handlers and name not in app.handlers:
            near = difflib.get_close_matches(name, app.handlers, n=1)
            raise ConfigurationError(
                f"no handler for queue {name}; there are handlers for {', '.join(app.handlers)}",
                hint=f"did you mean {near[0]}?" if near else "",
            )
    return names


def _local(app: App, served: Collection[str], stack: ExitStack) -> Connection:
    """Start the local SQS or find it running, and make the queues that the worker will use."""
    from hadoken.local.child import ChildServer  # noqa: PLC0415 -- only for --local
    from hadoken.local.finding import default_port  # noqa: PLC0415 -- the same
    from hadoken.local.provision import dead_letter_queue_of, provision  # noqa: PLC0415 -- the same; loads botocore

    sqs = stack.enter_context(ChildServer(default_port(), reuse=True))
    created = provision(app, sqs.connection, served=served)
    click.echo(f"local SQS at {sqs.url}{'' if sqs.pid else ', which was running already'}", err=True)
    for name in created:
        click.echo(f"  created {name}, dead-letter queue {dead_letter_queue_of(name)}", err=True)
    return sqs.connection


def _log_everything() -> None:
    """Log DEBUG of hadoken; where to and how is left as the app has set it up."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("hadoken").setLevel(logging.DEBUG)  # botocore's own lines would drown ours


def _log_plan(planned: Plan) -> None:
    """Log how each queue will be served: the handler, its pool, and all its options."""
    for pool in planned.pools:
        for name, handler in pool.handlers.items():
            options = handler.options
            names = [field.name for field in dataclasses.fields(options) if field.name != "pool"]
            said = ", ".join([f"pool {pool.name}", *(f"{each} {getattr(options, each)!r}" for each in names)])
            log.debug("queue %s (%s): handler %s, %s", name, planned.app.queues[name].address(), handler.name, said)
