"""`hadoken local`: the local SQS in the foreground."""

from __future__ import annotations

import functools
import ipaddress
import os
import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click

from hadoken.cli.numbers import Whole

_USE: Final = """\
  boto3      boto3.client("sqs", endpoint_url="{url}", region_name="us-east-1",
                          aws_access_key_id="{key}", aws_secret_access_key="{secret}"{verify})
  aws cli    {account} aws --region us-east-1 \\
                 --endpoint-url {url} sqs create-queue --queue-name QUEUE
  hadoken    {run}
             {send}
{trust}Ctrl-C ends it; what is in its queues {kept}."""
# With TLS: what CA.pem is, and where boto3 and all that asks the environment are told of it.
_TRUST: Final = ("CA.pem is the authority that signed --cert.\n", ', verify="CA.pem"', "AWS_CA_BUNDLE=CA.pem ")
_ANY: Final = "local"  # any key will do where signatures are not required; without one, clients refuse


@click.command("local", short_help="Run a local SQS that boto3 and the AWS CLI can talk to.")
@click.option(
    "--port",
    type=Whole(0, 65_535),
    metavar="PORT",
    help="0 takes a free one.  [default: HADOKEN_LOCAL_PORT, else 9324]",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--profile", type=click.Choice(["aws", "harsh"]), default="aws", show_default=True, help="How kind it is."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of everything that is left to chance.")
@click.option(
    "--faults",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A script of faults, JSON or TOML: which calls fail, and how.",
)
@click.option(
    "--log", metavar="FILE", help="Write all calls and events to this file as JSON lines; - is standard output."
)
@click.option(
    "--data",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Keep queues and messages over restarts in this file (SQLite); made if it is not there.",
)
@click.option("--require-signature", is_flag=True, help="Refuse requests that are not signed (SigV4) with a known key.")
@click.option(
    "--access-key",
    "access_key",
    multiple=True,
    metavar="ID:SECRET",
    help="A key to sign with; may be repeated.  [default: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY]",
)
@click.option(
    "--cert",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Speak TLS with this certificate (PEM); plain HTTP is then not answered.",
)
@click.option(
    "--key",
    "private_key",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Its private key (PEM).  [default: in the file of --cert]",
)
def command(
    *,
    port: int | None,
    host: str,
    profile: str,
    seed: int,
    faults: Path | None,
    log: str | None,
    data: Path | None,
    require_signature: bool,
    access_key: tuple[str, ...],
    cert: Path | None,
    private_key: Path | None,
) -> None:
    """Run a local SQS until Ctrl-C: for development and tests, everything in memory unless --data names a file.

    `hadoken run MODULE:APP --local` starts one by itself, or uses this one.
    """
    from hadoken.local import child, faultscript, finding, logfile  # noqa: PLC0415 -- the same
    from hadoken.local.faults import Faults  # noqa: PLC0415 -- the same
    from hadoken.local.http import server, sigv4, tls  # noqa: PLC0415 -- see the rules in main
    from hadoken.local.state.profile import PROFILES  # noqa: PLC0415 -- the same

    if access_key and not require_signature:
        raise click.UsageError("--access-key has an effect only with --require-signature.")
    keys = sigv4.access_keys(access_key, os.environ) if require_signature else None
    context = tls.chosen(cert, private_key)
    chosen = finding.default_port() if port is None else port
    script = faultscript.Script((), seed) if faults is None else faultscript.load(faults)
    with ExitStack() as stack:
        written = None if log is None else stack.enter_context(logfile.to_file(log))
        try:
            server.run(
                host,
                chosen,
                ready=functools.partial(_tell, host, data, next(iter(keys), "") if keys else "", log == logfile.STDOUT),
                keys=keys,
                data=data,
                profile=PROFILES[profile],
                seed=seed,
                faults=Faults(script.rules, seed=script.seed),
                log=written,
                tls=context,
            )
        except OSError as error:
            raise child.taken(host, chosen, error) from error


def _tell(host: str, data: Path | None, key: str, url_aside: bool, url: str) -> None:  # noqa: FBT001 -- called once, by position
    """Say where it listens; the endpoint alone on standard output, for scripts, unless the event log is there.

    `key` is the id that requests must be signed with, "" if any will do.
    """
    click.echo(url, err=url_aside)
    if not _loopback(host):
        who = "every machine that reaches this one" if host in {"", "0.0.0.0", "::"} else f"whoever reaches {host}"  # noqa: S104 -- compared, not bound
        click.echo(f"Warning: not on loopback: {who} can read, send and delete messages here.", err=True)
    known, secret = key or _ANY, "ITS SECRET" if key else _ANY
    trust, verify, bundle = _TRUST if url.startswith("https:") else ("", "", "")
    account = f"{bundle}AWS_ACCESS_KEY_ID={known} AWS_SECRET_ACCESS_KEY={shlex.quote(secret)}"
    run, send = (_typed(words, url, account, signed=bool(key)) for words in ("run MODULE:APP", "send QUEUE BODY"))
    kept = "is lost then" if data is None else f"stays in {data}"
    told = {"url": url, "key": known, "secret": secret, "account": account, "run": run, "send": send, "kept": kept}
    told |= {"trust": trust, "verify": verify}
    click.echo(_USE.format_map(told), err=True)


def _loopback(host: str) -> bool:
    """Whether only this machine reaches an address; a name other than localhost is taken for one that others reach."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _typed(words: str, url: str, account: str, *, signed: bool) -> str:
    """A command of ours that reaches it, as it can be typed in another terminal."""
    from hadoken.cli.typed import program  # noqa: PLC0415 -- see the rules in main
    from hadoken.local.finding import VARIABLE  # noqa: PLC0415 -- the same
    from hadoken.local.http.server import HOST, PORT  # noqa: PLC0415 -- the same

    where = urlsplit(url)
    # `--local` signs with nobody's key, and looks on loopback only, without TLS.
    if signed or where.hostname != HOST or where.scheme == "https":
        return f"{account} {program()} {words} --region us-east-1 --endpoint-url {url}"
    moved = "" if where.port == PORT else f"{VARIABLE}={where.port} "
    return f"{moved}{program()} {words} --local"
