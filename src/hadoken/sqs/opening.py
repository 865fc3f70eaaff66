"""A connection on its way to be opened: what botocore makes of it, the transport chosen, and what each is made of."""

# A connection opens itself, by an import of its own once it is asked to.
# pyright: reportImportCycles=false
from __future__ import annotations

import math
import os
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast, get_args

import botocore.session
import msgspec
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import BotoCoreError, HTTPClientError

from hadoken.errors import ConfigurationError
from hadoken.sqs.answer import seconds_of
from hadoken.sqs.boto import BotoClient
from hadoken.sqs.choose import FAST, Choice, choose, in_the_way
from hadoken.sqs.clients import check_client, make_client, with_made_up_identity
from hadoken.sqs.connection import Connection, Transport
from hadoken.sqs.credentials import NOBODY, Credentials
from hadoken.sqs.settings import CALL_TIMEOUT, POLL_GRACE, Settings, settings_of
from hadoken.sqs.sockets import FastClient
from hadoken.sqs.stepping import SteppingClient

if TYPE_CHECKING:
    from hadoken.sqs.api import BlockingSQS, ForLoops

# Takes the place of "auto" wherever nothing else was said: for whoever runs a program that others wrote.
VARIABLE: Final = "HADOKEN_TRANSPORT"


class Opening:
    """A connection that was looked at. It holds a client of botocore, so drop it once a transport is made.

    Args:
        connection: what was asked for.

    Attributes:
        choice: the transport, and why.
        endpoint_url: where requests will go.
        region: what they are signed for.

    Thread: any. Sends nothing when made; blocks for the run of a program where shared files name one for credentials.
    Raises: `ConfigurationError`: no region, no client for SQS, or a transport that cannot be taken.
    """

    def __init__(self, connection: Connection) -> None:
        self._given = connection.client is not None
        self._session: botocore.session.Session | None = None
        if self._given:
            _refuse_both(connection)
            check_client(connection.client)
            self._client = connection.client
        else:
            self._session = botocore.session.get_session()
            try:
                connection = with_made_up_identity(self._session, connection)
            except BotoCoreError as error:
                raise ConfigurationError(f"the AWS settings cannot be read: {error}") from error
            # The keys are of no account, since nothing is sent; the real ones may have to be asked for.
            self._client = make_client(self._session, connection, read=CALL_TIMEOUT, connections=1, keys=NOBODY)
        self._connection = connection
        self.choice: Choice = choose(_asked(connection.transport), self._client, ours=not self._given)
        self.endpoint_url = str(self._client.meta.endpoint_url)
        self.region = str(self._client.meta.region_name)

    @property
    def is_fast(self) -> bool:
        """Whether our own transport was chosen."""
        return self.choice.name == FAST

    @property
    def _may_pass(self) -> bool:
        """Whether botocore was chosen since something stands in its place, which may be gone later; then ask again."""
        return _asked(self._connection.transport) == "auto" and bool(in_the_way())

    @property
    def where(self) -> str:
        """Region and endpoint in words."""
        return f"region {self.region} at {self.endpoint_url}"

    @property
    def longest_wait(self) -> float:
        """Seconds that a poll may wait: a client of the user would give up before the answer of a longer one."""
        if not self._given or self.is_fast:
            return math.inf
        read = self._client.meta.config.read_timeout
        return math.inf if read is None else max(1.0, read - POLL_GRACE)

    def settings(self) -> Settings:
        """What our own transport needs to know. Blocks while credentials are asked for.

        Raises:
            AttributeError: this botocore is built otherwise than all that are known.
        """
        settings = settings_of(self._client, self.credentials(), timeouts=self._given)
        return msgspec.structs.replace(settings, check_md5=self._connection.check_md5)

    def boto(self, *, wait_time: float = 20, connections: int = 64) -> BotoClient:
        """A client of botocore; arguments as of `BotoClient`. Blocks while credentials are asked for."""
        return BotoClient(self._connection, wait_time=wait_time, connections=connections, session=self._session)

    def blocking(self) -> BlockingSQS:
        """A client for the calling thread, of the transport chosen. Blocks while credentials are asked for."""
        aside = partial(BotoClient, self._connection)  # by a session of its own, which sees what was put into botocore
        if self.is_fast:
            fast = FastClient(self.settings())
            return SteppingClient(lambda: fast, aside, self._connection.client)
        return SteppingClient(self._connection.blocking, aside) if self._may_pass else self.boto()

    def for_loops(self) -> ForLoops:
        """What clients for loops of the caller's are made of. Blocks while credentials are asked for."""
        from hadoken.sqs.onloop import ByThread, Stepping, Waiting  # noqa: PLC0415 -- a worker and `send` do without

        aside = partial(BotoClient, self._connection)
        if self.is_fast:
            return Stepping(self.settings(), aside, self._connection.client)
        return Waiting(self._connection.loops, aside) if self._may_pass else ByThread(aside)

    def asking(self) -> FastClient | BotoClient:
        """A client of the transport chosen that can ask for queues and their attributes; the caller closes it."""
        return FastClient(self.settings()) if self.is_fast else self.boto()

    def server_time(self) -> float | None:
        """What time it is there, in seconds since 1970, by the Date of an answer; None where nothing answers so.

        The request is not signed, so that a clock that is off cannot keep the answer away. Blocks for it.
        """
        request = AWSPreparedRequest("GET", self.endpoint_url, {}, None, stream_output=False)
        try:
            answer = self._client._endpoint.http_session.send(request)  # noqa: SLF001 -- with the client's TLS and proxy
        except (BotoCoreError, HTTPClientError):
            return None
        return seconds_of(str(answer.headers.get("Date", "")).encode("latin-1", "replace"))

    def credentials(self) -> Credentials:
        """What requests are signed with. Blocks while they are asked for."""
        if self._given:
            return Credentials(_OfClient(self._client))
        if self._connection.anonymous:
            return Credentials.fixed(NOBODY)
        return Credentials(_of_chain)


class _OfClient:
    """The credentials of a user's client: as they are the first time, then renewed where they can be."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 -- botocore ships no types
        self._source = client._request_signer._credentials  # noqa: SLF001 -- it gives them nowhere else
        self._taken = False

    def __call__(self) -> Any:  # noqa: ANN401 -- botocore ships no types
        first, self._taken = not self._taken, True
        lock = getattr(self._source, "_refresh_lock", None)
        if first or lock is None:
            return self._source
        with lock:
            self._source._protected_refresh(is_mandatory=True)  # noqa: SLF001 -- there is no other way to force it
        return self._source


def _of_chain() -> Any:  # noqa: ANN401 -- botocore ships no types
    """The usual chain's credentials, by a fresh session: one keeps what it has found for ever."""
    return botocore.session.get_session().get_credentials()


def _refuse_both(connection: Connection) -> None:
    for name in ("region", "endpoint_url"):
        if getattr(connection, name) is not None:
            raise ConfigurationError(f"{name} and client name two places; give one of them")
    if connection.anonymous:
        raise ConfigurationError("anonymous and client name two identities; give one of them")


def _asked(transport: Transport) -> Transport:
    """The transport asked for; the environment speaks where the program leaves it open.

    Raises:
        ConfigurationError: there is no such transport.
    """
    name, found = ("transport", str(transport)) if transport != "auto" else (VARIABLE, os.environ.get(VARIABLE, "auto"))
    if found not in get_args(Transport):
        raise ConfigurationError(f"{name} is {found!r}; it is one of {', '.join(get_args(Transport))}")
    return cast("Transport", found)
