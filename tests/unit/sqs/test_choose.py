"""The choice of a transport: with anything in the way no request leaves by our own, and botocore carries the call.

The endpoint is a server on loopback that would see a connection of the fast transport; what was put into botocore
answers before anything is sent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from unittest import mock

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.client
import botocore.handlers
import botocore.httpsession
import botocore.session
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.stub import Stubber

from hadoken.errors import ConfigurationError, SQSError
from hadoken.sending.sender import Sender
from hadoken.sqs.api import SendEntry
from hadoken.sqs.boto import BotoClient
from hadoken.sqs.choose import choose, still_clear
from hadoken.sqs.connection import Connection, Transport
from hadoken.sqs.opening import Opening
from hadoken.sqs.stepping import SteppingClient
from tests.support.peer import Peer, answer

URL = "https://sqs.us-east-1.amazonaws.com/000000000000/orders"
SENT: dict[str, Any] = {"Successful": [{"Id": "0", "MessageId": "m-1", "MD5OfMessageBody": "x" * 32}], "Failed": []}
ANSWER = answer(json.dumps(SENT).encode(), "Content-Type: application/x-amz-json-1.0")

Client = Any  # botocore makes its classes at run time


@pytest.fixture
def endpoint() -> Iterator[Peer]:
    """Where the fast transport would send to; it answers two sends."""
    with Peer(ANSWER, ANSWER) as peer:
        yield peer


@pytest.fixture
def make(endpoint: Peer) -> Iterator[Callable[..., Client]]:
    """Make clients of boto3 for the endpoint, as a user does; they are closed after the test."""
    made: list[Client] = []

    def make(**settings: Any) -> Client:
        config = Config(retries={"total_max_attempts": 1}).merge(Config(**settings))
        client = boto3.client(
            "sqs",
            region_name="us-east-1",
            endpoint_url=endpoint.url,
            aws_access_key_id="AKIAEXAMPLE",
            aws_secret_access_key="secret",
            config=config,
        )
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


def send(connection: Connection) -> str:
    """Send one message as `queue.send` does."""
    sender = Sender()
    sender.connect(connection)
    return sender.send(URL, SendEntry("hello"))


def answering(**_: object) -> Any:
    """A hook that answers instead of AWS, as a user's test may have one."""
    return botocore.awsrequest.AWSResponse(URL, 200, {}, Whole(json.dumps(SENT).encode()))


class Whole:
    """A body that botocore can read."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self, **_: object) -> list[bytes]:
        """All of it."""
        return [self._data]


# --------------------------------------------------------------------------------------------- nothing in the way
def test_a_plain_client_gives_the_fast_transport(endpoint: Peer, make: Callable[..., Client]) -> None:
    """With nothing in the way the fast transport sends, with the client's endpoint, region and credentials."""
    client = make()
    connection = Connection(client=client)
    blocking = connection.blocking()
    assert isinstance(blocking, SteppingClient)
    with mock.patch.object(client, "close"):
        assert send(connection) == "m-1"
    (request,) = endpoint.requests
    assert b"AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/" in request
    assert b"/us-east-1/sqs/aws4_request" in request


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
def test_the_retries_of_a_client_are_no_cause(make: Callable[..., Client], mode: str) -> None:
    """Each retry mode of botocore hangs handlers of its own on a client, which change no request."""
    client = make(retries={"mode": mode})
    assert choose("auto", client).name == "fast"
    assert still_clear(client)


def test_a_time_out_that_the_user_chose_is_taken_over(make: Callable[..., Client]) -> None:
    """The minute that botocore gives by itself is not: it is far beyond a lease."""
    chosen = Opening(Connection(client=make(connect_timeout=1, read_timeout=7))).settings()
    assert (chosen.connect_timeout, chosen.call_timeout) == (1, 7)
    usual = Opening(Connection(client=make())).settings()
    assert (usual.connect_timeout, usual.call_timeout) == (3, 5)


# ----------------------------------------------------------------------------------------------------- on the client
def hooked(client: Client) -> None:
    """Hang a user's hook on a client, before what goes out on the wire."""
    client.meta.events.register("before-send.sqs", answering)


def renamed(client: Client) -> None:
    """Hang one of botocore's own functions where it is not by default: it turns signing off."""
    client.meta.events.register("choose-signer.sqs.*", botocore.handlers.disable_signing)
    client.meta.events.register("before-send.sqs", answering)


@pytest.mark.parametrize(
    ("touch", "reason"),
    [
        (hooked, "answering of tests.unit.sqs.test_choose hears before-send.sqs of the client"),
        (renamed, "disable_signing of botocore.handlers hears choose-signer.sqs.* of the client"),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_with_a_users_hook_botocore_sends(
    endpoint: Peer, make: Callable[..., Client], touch: Callable[[Client], None], reason: str, *, late: bool
) -> None:
    """A hook sees every request, whether it was hung there before or after the transport was chosen."""
    client = make()
    connection = Connection(client=client)
    if late:
        sender = Sender()
        sender.connect(connection)
        early = connection.blocking()
        assert isinstance(early, SteppingClient)
        touch(client)
        assert sender.send(URL, SendEntry("hello")) == "m-1"
    else:
        touch(client)
        assert send(connection) == "m-1"
    assert endpoint.connections == 0
    assert reason in choose("auto", client).reason
    assert not still_clear(client)


@pytest.mark.parametrize("late", [False, True])
def test_with_a_stubber_it_answers(endpoint: Peer, make: Callable[..., Client], *, late: bool) -> None:
    """A Stubber that was told what is to be sent gets it, and once it is gone the fast transport sends again."""
    client = make()
    stubber = Stubber(client)
    entries = [{"Id": "0", "MessageBody": "hello"}]
    stubber.add_response("send_message_batch", SENT, {"QueueUrl": URL, "Entries": entries})
    sender = Sender()
    sender.connect(Connection(client=client))
    if late:
        assert sender.send(URL, SendEntry("first")) == "m-1"
        assert len(endpoint.requests) == 1
    before = endpoint.connections
    with stubber:
        assert choose("auto", client).reason == "a Stubber is active on the client"
        assert sender.send(URL, SendEntry("hello")) == "m-1"
        stubber.assert_no_pending_responses()
    assert endpoint.connections == before
    if late:
        assert sender.send(URL, SendEntry("last")) == "m-1"
        assert len(endpoint.requests) == 2


def test_a_method_of_the_client_that_is_replaced_is_called(endpoint: Peer, make: Callable[..., Client]) -> None:
    """`mock.patch.object(client, ...)` is how many tests stand in for SQS."""
    client = make()
    sender = Sender()
    sender.connect(Connection(client=client))
    sender.send(URL, SendEntry("hello"))
    with mock.patch.object(client, "send_message_batch", return_value=SENT) as replaced:
        assert sender.send(URL, SendEntry("hello")) == "m-1"
        replaced.assert_called_once()
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"client_cert": "client.pem"}, "a client certificate is set"),
        ({"signature_version": "v2"}, "requests are signed by v2, not by SigV4"),
        ({"signature_version": UNSIGNED}, "requests are not to be signed"),
        ({"signature_version": "bearer"}, "requests are signed by bearer, not by SigV4"),
    ],
)
def test_settings_that_only_botocore_can_follow(
    make: Callable[..., Client], settings: dict[str, Any], reason: str
) -> None:
    """The choice names the setting; asked for fast, it is refused by that name."""
    client = make(**settings)
    choice = choose("auto", client)
    assert (choice.name, choice.reason) == ("botocore", reason)
    assert isinstance(Connection(client=client).blocking(), BotoClient)
    with pytest.raises(ConfigurationError, match=f'transport="fast" cannot be taken: {reason}'):
        Connection(client=client, transport="fast").blocking()


class Sealer(botocore.auth.BaseSigner):
    """A signer of the user's own."""

    REQUIRES_REGION = True

    def __init__(self, credentials: object, region_name: str, service_name: str) -> None:
        self._seal = f"seal of {service_name} in {region_name}"
        assert credentials

    def add_auth(self, request: Any) -> None:
        """Sign in a way that no other does."""
        request.headers["Authorization"] = self._seal


def test_a_signer_of_the_users_own_signs(endpoint: Peer, make: Callable[..., Client]) -> None:
    """The request that goes out is botocore's, with that signature."""
    with mock.patch.dict(botocore.auth.AUTH_TYPE_MAPS, {"sealed": Sealer}):
        assert send(Connection(client=make(signature_version="sealed"))) == "m-1"
    (request,) = endpoint.requests
    assert b"Authorization: seal of sqs in us-east-1" in request
    assert b"AWS4-HMAC" not in request


def test_a_signer_in_the_place_of_botocores_signs(endpoint: Peer, make: Callable[..., Client]) -> None:
    """The same under botocore's own name."""
    with mock.patch.dict(botocore.auth.AUTH_TYPE_MAPS, {"v4": Sealer}):
        assert send(Connection(client=make())) == "m-1"
    assert b"Authorization: seal of sqs in us-east-1" in endpoint.requests[0]


@pytest.mark.parametrize("named_by", ["config", "HTTP_PROXY", "http_proxy"])
def test_with_a_proxy_all_goes_by_it(
    endpoint: Peer, make: Callable[..., Client], monkeypatch: pytest.MonkeyPatch, named_by: str
) -> None:
    """The proxy gets the request, and the endpoint no connection."""
    with Peer(ANSWER) as proxy:
        if named_by == "config":
            client = make(proxies={"http": proxy.url})
        else:
            monkeypatch.setenv(named_by, proxy.url)
            monkeypatch.setenv("NO_PROXY", "elsewhere")
            client = make()
        assert choose("auto", client).reason == "a proxy is set"
        assert send(Connection(client=client)) == "m-1"
        (request,) = proxy.requests
    assert request.startswith(f"POST {endpoint.url} ".encode())
    assert endpoint.connections == 0


# ------------------------------------------------------------------------------------------------ on botocore itself
def api_call() -> AbstractContextManager[Any]:
    """The commonest stand-in of all."""
    return mock.patch("botocore.client.BaseClient._make_api_call", return_value=SENT)


def api_call_autospec() -> AbstractContextManager[Any]:
    """The same, made to look like the original."""
    return mock.patch.object(botocore.client.BaseClient, "_make_api_call", autospec=True, return_value=SENT)


def http_send() -> AbstractContextManager[Any]:
    """A stand-in for HTTP, as recorders have."""
    return mock.patch.object(botocore.httpsession.URLLib3Session, "send", answering_to_send)


def answering_to_send(*_: object) -> Any:
    """Answer in the place of `URLLib3Session.send`."""
    return answering()


@contextmanager
def builtin() -> Iterator[None]:
    """A handler among botocore's own, as moto registers one."""
    entry = ("before-send", answering)
    botocore.handlers.BUILTIN_HANDLERS.append(entry)
    try:
        yield
    finally:
        botocore.handlers.BUILTIN_HANDLERS.remove(entry)


@pytest.mark.parametrize("stand_in", [api_call, api_call_autospec, http_send, builtin])
@pytest.mark.parametrize("late", [False, True])
def test_with_a_stand_in_for_botocore_it_answers(
    endpoint: Peer, stand_in: Callable[[], AbstractContextManager[Any]], *, late: bool
) -> None:
    """What stands in botocore's place gets every request, also where our client was made before."""
    connection = Connection(region="us-east-1", endpoint_url=endpoint.url, anonymous=True)
    sender = Sender()
    sender.connect(connection)
    before = sender.send(URL, SendEntry("first")) if late else None
    assert before == ("m-1" if late else None)
    connections = endpoint.connections
    with stand_in():
        assert not still_clear()
        assert Opening(connection).choice.name == "botocore"
        assert sender.send(URL, SendEntry("hello")) == "m-1"
    assert endpoint.connections == connections
    assert still_clear()
    assert Opening(connection).choice.name == "fast"


@pytest.mark.parametrize("name", ["AWSHTTPConnection", "AWSHTTPSConnection", "AWSHTTPConnectionPool"])
def test_classes_of_connections_that_are_replaced_are_seen(name: str) -> None:
    """Recorders put their own connections under botocore."""
    stand_in = type(name, (), {"__module__": "vcr.stubs"})
    with mock.patch.object(botocore.awsrequest, name, stand_in):
        assert not still_clear()
        causes = Opening(Connection(endpoint_url="http://127.0.0.1:9", anonymous=True)).choice.reason
        assert causes == f"vcr.stubs stands in the place of botocore.awsrequest.{name}"
    with mock.patch.object(botocore.awsrequest.AWSHTTPSConnectionPool, "ConnectionCls", stand_in):
        assert not still_clear()
    assert still_clear()


# --------------------------------------------------------------------------------------------------- being asked for
def test_asked_for_botocore_it_is_botocore(endpoint: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """By argument and by environment; the argument wins."""
    connection = Connection(endpoint_url=endpoint.url, anonymous=True)
    assert Opening(connection).choice.name == "fast"
    monkeypatch.setenv("HADOKEN_TRANSPORT", "botocore")
    assert isinstance(connection.blocking(), BotoClient)
    assert Opening(connection).choice.reason == "asked for"
    fast = Connection(endpoint_url=endpoint.url, anonymous=True, transport="fast")
    assert Opening(fast).choice.name == "fast"


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_a_transport_that_there_is_not(monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    """The names that there are, are said."""
    transport: Any = "auto"
    if by == "argument":
        transport = "quick"
    else:
        monkeypatch.setenv("HADOKEN_TRANSPORT", "quick")
    with pytest.raises(ConfigurationError, match="is 'quick'; it is one of auto, fast, botocore"):
        Opening(Connection(endpoint_url="http://127.0.0.1:9", anonymous=True, transport=transport))


class Strange:
    """Looks like nothing that botocore makes."""


@pytest.mark.parametrize("missing", ["_endpoint", "_request_signer", "meta"])
def test_a_client_that_cannot_be_understood_means_botocore(make: Callable[..., Client], missing: str) -> None:
    """Another botocore may be built otherwise: whatever is not where it was means that botocore sends."""
    client = make()
    with mock.patch.object(client, missing, Strange()) if missing != "meta" else nullcontext():
        if missing == "meta":
            client.meta.events._emitter._handlers = Strange()
        choice = choose("auto", client)
        assert choice.name == "botocore"
        assert "this client of botocore cannot be understood: AttributeError" in choice.reason
        assert not still_clear(client)


@pytest.mark.parametrize(
    ("client", "said"),
    [
        (object(), "client is builtins.object; it is a client for SQS of botocore or boto3"),
        (boto3, "client is builtins.module"),
    ],
)
def test_what_is_no_client_is_refused(client: object, said: str) -> None:
    """Before anything is asked of it."""
    with pytest.raises(ConfigurationError, match=said):
        Connection(client=client).blocking()


def test_a_client_of_another_service_is_refused() -> None:
    """An easy slip, and a puzzling error later."""
    session = botocore.session.get_session()
    client = session.create_client("sns", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    with pytest.raises(ConfigurationError, match="client is one for sns; it is a client for SQS"):
        Connection(client=client).blocking()
    client.close()


@pytest.mark.parametrize("more", [{"region": "us-east-1"}, {"endpoint_url": "http://127.0.0.1:9"}, {"anonymous": True}])
def test_a_client_and_another_place_are_refused(make: Callable[..., Client], more: dict[str, Any]) -> None:
    """Which of the two was meant, nobody knows."""
    with pytest.raises(ConfigurationError, match="give one of them"):
        Connection(client=make(), **more).blocking()


@pytest.mark.parametrize("transport", ["fast", "botocore"])
def test_the_credentials_of_a_client_that_has_none(transport: Transport, endpoint: Peer) -> None:
    """No request is sent, and the error says why."""
    session = botocore.session.Session()
    session.get_component("credential_provider").providers = []
    client = session.create_client("sqs", region_name="us-east-1", endpoint_url=endpoint.url)
    with pytest.raises(SQSError, match="credentials") as caught:
        send(Connection(client=client, transport=transport))
    assert caught.value.code == "NoCredentials"
    assert endpoint.connections == 0
    client.close()
