"""What we sign equals what botocore signs, byte for byte, whatever is asked and whoever asks."""

from __future__ import annotations

import string
from datetime import UTC, datetime
from functools import cache
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import botocore.session
import hypothesis.strategies as st
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from hypothesis import assume, example, given, settings
from urllib3.util import url as urllib3_url

from hadoken.errors import ConfigurationError, SQSDenied
from hadoken.sqs.api import NO_CREDENTIALS
from hadoken.sqs.credentials import Keys
from hadoken.sqs.sigv4 import CONTENT_TYPE, Signer
from hadoken.sqs.target import target_of

MODEL: Any = botocore.session.Session().get_service_model("sqs")
OPERATIONS = sorted(MODEL.operation_names)
PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7F))

secrets = st.text(PRINTABLE, min_size=1, max_size=60)
keys = st.builds(Keys, secrets, secrets, st.none() | st.text(PRINTABLE, max_size=200))
bodies = st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))
# Seconds from 2020 to 2100.
times = st.integers(1_577_836_800, 4_102_444_800) | st.integers(0, 80 * 365).map(
    lambda day: 1_577_836_800 + day * 86_400 - 1
)
hosts = st.sampled_from(
    ["sqs.eu-central-1.amazonaws.com", "sqs.us-east-1.api.aws", "LocalHost", "127.0.0.1", "[::1]", "[fe80::1]", "queue"]
)
ports = st.none() | st.sampled_from([80, 443]) | st.integers(1, 65_535)
letters = string.ascii_letters + string.digits + "-._~!$&'()*+,;=:@%/"
paths = st.just("") | st.text(letters, max_size=30).map("/".__add__)
segments = st.lists(st.sampled_from(["", ".", "..", "a", "b%20c", "~d"]), max_size=6).map(
    lambda parts: "/" + "/".join(parts)
)
queries = st.just("") | st.text(letters + "?", max_size=20).map("?".__add__)


def frozen(at: float) -> Any:
    """The time of botocore's signer."""
    now = datetime.fromtimestamp(at, UTC)
    return mock.patch("botocore.auth.get_current_datetime", return_value=now)


def by_botocore(own: Keys, url: str, region: str, operation: str, body: bytes, at: float) -> dict[str, str]:
    """The headers of botocore's signer."""
    request = AWSRequest("POST", url, data=body)
    request.headers["X-Amz-Target"] = f"AmazonSQS.{operation}"
    request.headers["Content-Type"] = CONTENT_TYPE
    request.headers["x-amzn-query-mode"] = "true"
    with frozen(at):
        SigV4Auth(Credentials(own.access_key, own.secret_key, own.token), "sqs", region).add_auth(request)
    return dict(request.headers.items())


def parsed(head: bytes) -> tuple[str, dict[str, str]]:
    """The request line and the headers of a head, which holds nothing else."""
    first, *lines = head.decode("ascii").removesuffix("\r\n\r\n").split("\r\n")
    pairs = [line.split(": ", 1) for line in lines]
    headers = dict(pairs)
    assert len(headers) == len(pairs), "a header came twice"
    return first, headers


def signer_for(url: str, region: str = "eu-central-1") -> Signer:
    """Ours, for an endpoint."""
    target = target_of(url)
    return Signer(region, target.name, path=target.path)


def check(signer: Signer, own: Keys, url: str, operation: str, body: bytes, at: float) -> None:
    """Compare one head with botocore's."""
    line, headers = parsed(signer.head(own, f"AmazonSQS.{operation}", body, at))
    expected = by_botocore(own, url, "eu-central-1", operation, body, at)
    assert headers.pop("User-Agent")
    assert headers.pop("Host") == target_of(url).name
    assert headers.pop("Content-Length") == str(len(body))
    assert headers == expected
    assert line == f"POST {target_of(url).path} HTTP/1.1"


@settings(max_examples=200)
@given(
    own=keys,
    scheme=st.sampled_from(["http", "https"]),
    host=hosts,
    port=ports,
    path=paths | segments,
    query=queries,
    operation=st.sampled_from(OPERATIONS),
    body=bodies,
    at=times,
)
@example(
    own=Keys("AK", "SK", " a  b\x20"),
    scheme="https",
    host="[::1]",
    port=443,
    path="/a/../%2f//b/",
    query="?b=2&a&b=1&a=%20",
    operation="ReceiveMessage",
    body=b"",
    at=1_767_225_599,
)
def test_the_head_equals_botocores(
    own: Keys, scheme: str, host: str, port: int | None, path: str, query: str, operation: str, body: bytes, at: float
) -> None:
    """Authorization, date and token equal botocore's for any keys, endpoint, operation, body and time."""
    url = f"{scheme}://{host}{'' if port is None else f':{port}'}{path}{query}"
    check(signer_for(url), own, url, operation, body, at)


encoded: Any = urllib3_url.__dict__["_encode_target"]  # what urllib3 does to the target of every request


@given(path=paths | segments)
def test_the_request_line_is_that_of_urllib3(path: str) -> None:
    """What botocore's HTTP library writes into the request line is what we write."""
    assume("%" not in path)  # it sets broken ones right, and we send them as they are signed
    assert target_of(f"http://host{path}").path == encoded(urlsplit(f"http://host{path}").path or "/")


@settings(max_examples=50)
@given(
    requests=st.lists(
        st.tuples(
            st.sampled_from([Keys("A", "s", None), Keys("A", "t", None), Keys("A", "s", "tok"), Keys("B", "s", "tok")]),
            st.sampled_from([1_767_225_599, 1_767_225_600, 1_767_225_601, 1_767_312_000]),
        ),
        max_size=8,
    )
)
def test_nothing_remembered_is_used_for_another_day_or_key(requests: list[tuple[Keys, float]]) -> None:
    """One signer signs for other keys and days in between as a new one would, the way back included."""
    url = "https://sqs.eu-central-1.amazonaws.com"
    signer = signer_for(url)
    for own, at in requests:
        check(signer, own, url, "SendMessage", b"{}", at)


@given(
    place=st.sampled_from(Keys._fields),
    before=st.text(PRINTABLE, max_size=5),
    bad=st.characters(exclude_characters=PRINTABLE, exclude_categories=["Cs"]),
)
@example(place="token", before="t", bad="\r\nX-Evil: 1")
@example(place="secret_key", before="hush", bad="\n")
@example(place="access_key", before="ünï", bad="\x7f")
def test_a_key_that_is_not_printable_ascii_is_refused_without_showing_it(place: str, before: str, bad: str) -> None:
    """No key ends a header or leaves ASCII: the error names which one it is, and shows none of it."""
    own = Keys("AK", "SK", "TOKEN")._replace(**{place: f"hidden{before}{bad}"})
    with pytest.raises(SQSDenied) as caught:
        signer_for("https://sqs").head(own, "AmazonSQS.SendMessage", b"{}", 1_767_225_600)
    assert caught.value.code == NO_CREDENTIALS
    assert place.removesuffix("_key").removeprefix("session_") in str(caught.value)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("host", ["", "a b", "a\r\nX: y", "höst", "a\t"])
def test_a_host_that_cannot_stand_in_a_header_is_refused(host: str) -> None:
    """A host that would end its header, or is none, is the user's mistake."""
    with pytest.raises(ConfigurationError, match="host of the SQS endpoint"):
        Signer("eu-central-1", host)
    with pytest.raises(ConfigurationError, match="region"):
        Signer(host, "sqs")


@given(bad=st.characters(exclude_characters=letters + "?", exclude_categories=["Cs"]))
@example(bad=" ")
@example(bad="\r\n")
@example(bad="é")
@example(bad="#")
def test_a_path_that_cannot_stand_in_a_request_line_is_refused(bad: str) -> None:
    """A path that would have to be written otherwise than it is given is refused: nobody knows what was meant."""
    with pytest.raises(ConfigurationError, match="path of the SQS endpoint"):
        Signer("eu-central-1", "sqs", path=f"/gate{bad}way")
    with pytest.raises(ConfigurationError, match="path of the SQS endpoint"):
        Signer("eu-central-1", "sqs", path=f"/gateway?a{bad}")


@cache
def client_with(token: str | None) -> Any:
    """A client of botocore for AWS; it sends nothing."""
    session = botocore.session.Session()
    return session.create_client(
        "sqs",
        region_name="eu-central-1",
        aws_access_key_id="AK",
        aws_secret_access_key="SK",
        aws_session_token=token,
        endpoint_url="https://sqs.eu-central-1.amazonaws.com",
        config=Config(parameter_validation=False),
    )


class Seen(Exception):
    """A request of botocore, at the moment in which it would be sent."""


@pytest.mark.parametrize("token", [None, "TOKEN"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_whole_request_of_botocore_has_the_headers_that_we_send(operation: str, token: str | None) -> None:
    """A client of botocore sends no header of meaning that we do not, for any operation of the model."""
    own = Keys("AK", "SK", token)
    client = client_with(token)
    seen: list[Any] = []

    def look(request: Any, **_: object) -> None:
        seen.append(request)
        raise Seen

    client.meta.events.register("before-send.sqs", look, "look")
    try:
        with frozen(1_767_225_600), pytest.raises(Seen):
            client._make_api_call(operation, {})
    finally:
        client.meta.events.unregister("before-send.sqs", unique_id="look")
    (request,) = seen
    theirs = {
        name.lower(): value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()
    }
    body = request.body if isinstance(request.body, bytes) else request.body.encode()
    _, ours = parsed(signer_for(request.url).head(own, f"AmazonSQS.{operation}", body, 1_767_225_600))
    unsigned = {"user-agent", "amz-sdk-invocation-id", "amz-sdk-request", "x-amz-user-agent"}
    assert {name.lower(): value for name, value in ours.items() if name not in {"Host", "User-Agent"}} == {
        name: value for name, value in theirs.items() if name not in unsigned
    }
