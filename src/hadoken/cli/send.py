"""`hadoken send QUEUE BODY`: messages from the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from hadoken.cli.durations import seconds
from hadoken.cli.numbers import Whole

if TYPE_CHECKING:
    from hadoken.errors import QueueNotFound
    from hadoken.outgoing import Outgoing
    from hadoken.sqs.connection import Connection

_CHUNK: Final = 1_000  # messages built at a time: bounds memory, costs nothing beside the requests


@click.command("send", short_help="Send a message to a queue.")
@click.argument("queue")
@click.argument("body")
@click.option("--local", is_flag=True, help="Send to the local SQS on its default port.")
@click.option("--region", help="AWS region.  [default: the usual AWS settings]")
@click.option("--endpoint-url", metavar="URL", help="Where SQS is, when it is not AWS's own address.")
@click.option("-a", "--attribute", "attributes", multiple=True, metavar="K=V", help="A message attribute; repeatable.")
@click.option("--message-group-id", metavar="ID", help="Required on FIFO queues.")
@click.option("--delay", callback=seconds, metavar="SECONDS", help="Time until it can be received, up to 15m.")
@click.option("--count", type=Whole(1), default=1, show_default=True, metavar="N", help="Send it N times.")
def command(
    *,
    queue: str,
    body: str,
    local: bool,
    region: str | None,
    endpoint_url: str | None,
    attributes: tuple[str, ...],
    message_group_id: str | None,
    delay: float | None,
    count: int,
) -> None:
    """Send BODY to QUEUE (a name, URL or ARN) and print the message's id.

    BODY is the text itself, @FILE for the text of a file, or - for standard input.

    Without AWS credentials and endpoint it goes to the local SQS, if one runs on the default port.

    \b
    Exit codes: 0 sent; 1 refused by SQS; 2 not understood; 3 not allowed;
    69 SQS not reachable; 78 no such queue.
    """  # noqa: D301 -- \b is click's sign to keep the lines
    if local and endpoint_url:
        raise click.UsageError("--local and --endpoint-url name two places; give one of them")
    from hadoken.outgoing import Outgoing  # noqa: PLC0415 -- `hadoken --help` sends nothing

    item = Outgoing(_text_of(body), delay, _pairs(attributes) or None, message_group_id)
    connection = _connection(local=local, region=region, endpoint_url=endpoint_url)
    ids = _send(queue, item, connection, count)
    click.echo(ids[0] if count == 1 else f"{len(ids)} messages sent to {queue}")


def _text_of(body: str) -> str:
    """The body that was meant: itself, of a file, or of standard input."""
    try:
        if body == "-":
            return sys.stdin.buffer.read().decode()
        return Path(body[1:]).read_bytes().decode() if body.startswith("@") else body
    except OSError as error:
        raise click.UsageError(f"{body[1:]} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise click.UsageError(f"the body is no UTF-8 text: {error.reason} at byte {error.start}") from error


def _pairs(attributes: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for each in attributes:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise click.UsageError(f"-a {each!r}: write NAME=VALUE")
        pairs[name] = value
    return pairs


def _connection(*, local: bool, region: str | None, endpoint_url: str | None) -> Connection:
    """Where to send: what was said; else AWS, or the local SQS where nothing at all leads to AWS.

    Raises:
        SQSUnavailable: the local SQS was asked for and does not answer.
    """
    from hadoken.errors import SQSUnavailable  # noqa: PLC0415 -- see the rules in main
    from hadoken.local.finding import answers, connection_to, default_url, usual_or_local  # noqa: PLC0415 -- the same

    if local:
        if not answers():
            raise SQSUnavailable(
                f"no local SQS answers at {default_url()}",
                hint="start one: hadoken local, or hadoken run MODULE:APP --local",
            )
        return connection_to()
    connection = usual_or_local(region=region, endpoint_url=endpoint_url)
    if connection.anonymous:
        click.echo(f"no AWS credentials: sending to the local SQS at {default_url()}", err=True)
    return connection


def _send(queue: str, item: Outgoing[Any], connection: Connection, count: int) -> list[str]:
    from hadoken import limits  # noqa: PLC0415 -- see the rules in main
    from hadoken.codec import check_text  # noqa: PLC0415 -- the same
    from hadoken.errors import QueueNotFound  # noqa: PLC0415 -- the same
    from hadoken.outgoing import entry_of  # noqa: PLC0415 -- the same
    from hadoken.sending.sender import Sender  # noqa: PLC0415 -- the same

    address = _address(queue)
    check_text(item.body)
    sender = Sender()
    sender.connect(connection)
    sent: list[str] = []
    try:
        while len(sent) < count:
            size = min(_CHUNK, count - len(sent))
            # Each is built anew: on a FIFO queue each needs a deduplication id of its own.
            entries = [entry_of(item, item.body, fifo=limits.is_fifo(address)) for _ in range(size)]
            sent += [sender.send(address, entries[0])] if count == 1 else sender.send_many(address, entries)
    except QueueNotFound as error:
        raise _no_queue(queue, address, connection) from error
    return sent


def _address(queue: str) -> str:
    """The name, URL or ARN that was meant: the environment may map a plain name, as it does for a worker."""
    from hadoken.app import App  # noqa: PLC0415 -- see the rules in main
    from hadoken.sqs.address import check_address, url_of  # noqa: PLC0415 -- the same

    address = check_address(queue, "QUEUE")
    return App("hadoken send").queue(queue, str).address() if url_of(address) is None else address


def _no_queue(queue: str, address: str, connection: Connection) -> QueueNotFound:
    """The sentence that names queue, region and endpoint, as a worker's does."""
    from hadoken import errors  # noqa: PLC0415 -- see the rules in main
    from hadoken.sqs.boto import BotoClient  # noqa: PLC0415 -- the same

    client = BotoClient(connection)
    mapped = "" if address == queue else f" ({address})"
    where = f"region {client.region} at {client.endpoint_url}"
    client.close()
    makes = "hadoken run MODULE:APP --local creates the queues of an app"
    return errors.QueueNotFound(
        f"missing queue: {queue}{mapped}, in {where}",
        queues=[queue],
        hint=makes if connection.anonymous else "create it, or look at the name, the region and the endpoint",
    )
