"""`hadoken local`: the local SQS in the foreground."""

from __future__ import annotations

from typing import Final

import click

_USE: Final = """\
  boto3      boto3.client("sqs", endpoint_url="{url}", region_name="us-east-1",
                          aws_access_key_id="local", aws_secret_access_key="local")
  aws cli    aws --endpoint-url {url} sqs list-queues
  hadoken    hadoken send QUEUE BODY --endpoint-url {url}
Ctrl-C ends it; what is in its queues is lost then."""


@click.command("local", short_help="Run a local SQS that boto3 and the AWS CLI can talk to.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    metavar="PORT",
    help="0 takes a free one.  [default: HADOKEN_LOCAL_PORT, else 9324]",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
def command(*, port: int | None, host: str) -> None:
    """Run a local SQS until Ctrl-C: for development and tests, everything in memory.

    `hadoken run MODULE:APP --local` starts one by itself, or uses this one.
    """
    from hadoken.local import child, finding, server  # noqa: PLC0415 -- `hadoken --help` needs no server

    chosen = finding.default_port() if port is None else port
    try:
        server.run(host, chosen, ready=_tell)
    except OSError as error:
        raise child.taken(host, chosen, error) from error


def _tell(url: str) -> None:
    """Say where it listens; the endpoint alone on standard output, for scripts."""
    click.echo(url)
    click.echo(_USE.format(url=url), err=True)
