"""`hadoken check MODULE:APP`: a worker looked at before it is run."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import click

from hadoken.cli.exits import MISCONFIGURED, code_of

if TYPE_CHECKING:
    from hadoken.errors import HadokenError
    from hadoken.sqs.connection import Transport
    from hadoken.worker.check import Finding

SCHEMA: Final = 1  # of --json; a change that breaks a reader raises it


@click.command("check", short_help="Look at an app, its queues and how SQS is reached, without running it.")
@click.argument("target", metavar="MODULE:APP")
@click.option("--local", is_flag=True, help="Ask the local SQS on its default port.")
@click.option("--region", help="AWS region.  [default: the usual AWS settings]")
@click.option("--endpoint-url", metavar="URL", help="Where SQS is, when it is not AWS's own address.")
@click.option(
    "--transport",
    type=click.Choice(["auto", "fast", "botocore"]),
    default="auto",
    show_default=True,
    help="How SQS would be reached.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    *, target: str, local: bool, region: str | None, endpoint_url: str | None, transport: Transport, as_json: bool
) -> None:
    """Look at an app, its queues and how SQS is reached, without running it: nothing is received.

    \b
    Exit codes: 0 a worker would start, maybe with warnings; 78 it would not;
    69 SQS not reachable; 3 not allowed; 2 not understood.
    """  # noqa: D301 -- \b is click's sign to keep the lines
    if local and endpoint_url:
        raise click.UsageError("--local and --endpoint-url name two places; give one of them")
    from hadoken.cli.target import load  # noqa: PLC0415 -- `hadoken --help` needs no app
    from hadoken.errors import HadokenError  # noqa: PLC0415 -- the same
    from hadoken.local.finding import default_url  # noqa: PLC0415 -- the same
    from hadoken.options import WorkerOptions  # noqa: PLC0415 -- the same
    from hadoken.sqs.connection import Connection  # noqa: PLC0415 -- the same
    from hadoken.worker.check import check  # noqa: PLC0415 -- the same

    app = load(target)
    options = WorkerOptions(region=region, endpoint_url=default_url() if local else endpoint_url, transport=transport)
    connection = Connection(options.region, options.endpoint_url, anonymous=local, transport=transport)
    findings: list[Finding] = []
    failure: HadokenError | None = None
    try:
        _show(check(app, options, connection), findings, quiet=as_json)
    except HadokenError as error:
        failure = error
    if as_json:
        _print_json(app.name, findings, failure)
    if failure is not None:
        raise failure
    _say_how_many(findings)
    if any(finding.level == "FAIL" for finding in findings):
        sys.exit(MISCONFIGURED)


def _show(findings: Iterator[Finding], seen: list[Finding], *, quiet: bool) -> None:
    """Print findings as they come, one line each and one more for what to do; all that came stand in `seen`."""
    for finding in findings:
        seen.append(finding)
        if not quiet:
            click.echo(f"{finding.level:<4} {finding.what:<14} {finding.said}")
            if finding.fix:
                click.echo(f"{'':<19} fix: {finding.fix}")


def _print_json(app: str, findings: Sequence[Finding], failure: HadokenError | None) -> None:
    import msgspec  # noqa: PLC0415 -- see the rules in main

    error = None if failure is None else {"message": str(failure), "exit_code": code_of(failure)}
    document = {"schema": SCHEMA, "app": app, "findings": msgspec.to_builtins(findings), "error": error}
    click.echo(msgspec.json.format(msgspec.json.encode(document)).decode())


def _say_how_many(findings: Sequence[Finding]) -> None:
    counts = [f"{n} {level}" for level in ("FAIL", "WARN") if (n := sum(one.level == level for one in findings))]
    click.echo(f"hadoken: {', '.join(counts) or 'nothing to complain of'}", err=True)
