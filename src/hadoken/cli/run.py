"""`hadoken run MODULE:APP`: a worker as the whole program."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from hadoken.cli.durations import seconds

if TYPE_CHECKING:
    from hadoken.app import App
    from hadoken.sqs.connection import Connection


@click.command("run", short_help="Run the worker of an app until SIGTERM or Ctrl-C.")
@click.argument("target", metavar="MODULE:APP")
@click.option("--local", is_flag=True, help="Start a local SQS, create the app's queues there; no AWS account needed.")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1_000),
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
    type=click.IntRange(1, 20),
    default=20,
    show_default=True,
    metavar="SECONDS",
    help="How long a long poll waits.",
)
@click.option("--region", help="AWS region.  [default: the usual AWS settings]")
@click.option("--endpoint-url", metavar="URL", help="Where SQS is, when it is not AWS's own address.")
@click.option("-v", "--verbose", is_flag=True, help="Log what the engine does.")
def command(
    *,
    target: str,
    local: bool,
    concurrency: int | None,
    queues: str | None,
    drain_timeout: float,
    wait_time: int,
    region: str | None,
    endpoint_url: str | None,
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
    from hadoken.worker.program import run  # noqa: PLC0415 -- nor a worker

    app = load(target)
    if verbose:
        _log_everything()
    with ExitStack() as stack:  # the local SQS ends after the worker has drained
        run(
            app,
            concurrency=concurrency,
            queues=None if queues is None else [name.strip() for name in queues.split(",")],
            drain_timeout=drain_timeout,
            wait_time=wait_time,
            region=region,
            endpoint_url=endpoint_url,
            connection=_local(app, stack) if local else None,
        )


def _local(app: App, stack: ExitStack) -> Connection:
    """Start the local SQS or find it running, and make the app's queues."""
    from hadoken.local.child import LocalSQS  # noqa: PLC0415 -- only for --local
    from hadoken.local.finding import default_port  # noqa: PLC0415 -- the same
    from hadoken.local.provision import dead_letter_queue_of, provision  # noqa: PLC0415 -- the same; loads botocore

    sqs = stack.enter_context(LocalSQS(default_port(), reuse=True))
    created = provision(app, sqs.connection)
    click.echo(f"local SQS at {sqs.url}{'' if sqs.pid else ', which was running already'}", err=True)
    for name in created:
        click.echo(f"  created {name}, dead-letter queue {dead_letter_queue_of(name)}", err=True)
    return sqs.connection


def _log_everything() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("hadoken").setLevel(logging.DEBUG)  # botocore's own lines would drown ours
