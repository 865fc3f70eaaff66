"""The queues of an app, made on a local SQS: each with a dead-letter queue, as an operator would make them on AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from hadoken import limits
from hadoken.errors import ConfigurationError, SQSError
from hadoken.sqs.address import url_of
from hadoken.sqs.api import Fault, fault_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from hadoken.app import App
    from hadoken.sqs.connection import Connection

MAX_RECEIVES: Final = 5  # maxReceiveCount
_FIFO: Final = ".fifo"
_NAME_CHARACTERS: Final = 80


class Makes(Protocol):
    """What can find, describe and create queues: a `BotoClient`, or the local SQS in process."""

    def queue_url(self, name: str) -> str:
        """The URL of a queue given by name; an SQSError where there is none."""
        ...

    def queue_attributes(self, queue_url: str) -> Mapping[str, str]:
        """All attributes of a queue."""
        ...

    def create_queue(self, name: str, attributes: Mapping[str, str]) -> str:
        """Create a queue and give back its URL."""
        ...


def dead_letter_queue_of(name: str) -> str:
    """The name of a queue's dead-letter queue: "orders-dlq", "orders-dlq.fifo"; shortened where SQS wants it."""
    suffix = "-dlq" + (_FIFO if limits.is_fifo(name) else "")
    return name.removesuffix(_FIFO)[: _NAME_CHARACTERS - len(suffix)] + suffix


def provision(
    app: App,
    connection: Connection,
    *,
    served: Collection[str] | None = None,
    visibility_timeout: int = limits.DEFAULT_VISIBILITY,
    max_receives: int = MAX_RECEIVES,
) -> list[str]:
    """Create the queues of an app that do not exist yet, and leave those that do as they are.

    Args:
        app: its declared queues are made, those without a handler too, since its handlers may send to them.
        connection: to the local SQS.
        served: names of the queues that a worker serves; a queue whose handler it leaves out is not made. None: all.
        visibility_timeout: seconds, for queues whose handler sets none.
        max_receives: maxReceiveCount: receives after which a message goes to the dead-letter queue.

    Returns:
        The names of the queues that were created, without their dead-letter queues; may be empty.

    Raises:
        ConfigurationError: the environment maps a queue to a URL or an ARN.
        SQSError: the local SQS refused something.

    Thread: any; blocks for up to four requests a queue.
    """
    from hadoken.sqs.boto import BotoClient  # noqa: PLC0415 -- loads botocore

    client = BotoClient(connection)
    try:
        return create(app, client, served=served, visibility_timeout=visibility_timeout, max_receives=max_receives)
    finally:
        client.close()


def create(
    app: App,
    client: Makes,
    *,
    served: Collection[str] | None = None,
    visibility_timeout: int = limits.DEFAULT_VISIBILITY,
    max_receives: int = MAX_RECEIVES,
    name_of: Callable[[App, str], str] | None = None,
) -> list[str]:
    """Create by a client of one's own what `provision` creates; see there.

    `name_of` gives the plain name of a queue of an app; None: as `provision`, which takes no other than a plain one.
    """
    left_out = set() if served is None else app.handlers.keys() - set(served)
    wanted = {(name_of or _plain_name)(app, name): name for name in app.queues if name not in left_out}
    letters = {dead_letter_queue_of(address) for address in wanted}
    created: list[str] = []
    for address, name in wanted.items():
        timeout = _visibility_timeout(app, name, visibility_timeout)
        attributes = {"VisibilityTimeout": str(timeout)}
        letter = None if address in letters else dead_letter_queue_of(address)
        if _create(client, address, attributes, letter, max_receives):
            created.append(address)
    return created


def _plain_name(app: App, name: str) -> str:
    queue = app.queues[name]
    address = queue.address()
    if url_of(address) is not None:
        raise ConfigurationError(
            f"queue {name} is mapped to {address} by {queue.variable}; on the local SQS a queue has a plain name",
            hint=f"unset {queue.variable}",
        )
    return address


def _visibility_timeout(app: App, name: str, default: int) -> int:
    handler = app.handlers.get(name)
    wanted = handler.options.visibility_timeout if handler is not None else None
    return default if wanted is None else wanted


def _create(client: Makes, name: str, attributes: Mapping[str, str], letter: str | None, max_receives: int) -> bool:
    """Create one queue, after its dead-letter queue; False if it is there already."""
    if exists(client, name):
        return False
    redrive: dict[str, str] = {}
    if letter is not None:
        url = _made(client, letter, {})
        policy = {"deadLetterTargetArn": client.queue_attributes(url)["QueueArn"], "maxReceiveCount": max_receives}
        redrive["RedrivePolicy"] = msgspec.json.encode(policy).decode()
    _made(client, name, {**attributes, **redrive})
    return True


def _made(client: Makes, name: str, attributes: Mapping[str, str]) -> str:
    kind = {"FifoQueue": "true"} if limits.is_fifo(name) else {}
    if exists(client, name):
        return client.queue_url(name)
    return client.create_queue(name, {**attributes, **kind})


def exists(client: Makes, name: str) -> bool:
    """Whether SQS knows a queue of this name.

    Raises:
        SQSError: SQS could not be asked.
    """
    try:
        client.queue_url(name)
    except SQSError as error:
        if fault_of(error) is not Fault.NO_QUEUE:
            raise
        return False
    return True
