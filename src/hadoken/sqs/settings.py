"""What our own transport takes over from botocore: where SQS is, who we are, and how TLS is to be verified."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from hadoken.sqs.credentials import Credentials

CONNECT_TIMEOUT: Final = 3.0  # seconds; a handshake within a region takes milliseconds
CALL_TIMEOUT: Final = 5.0  # seconds for all but a poll: two tries fit into half of the shortest usual lease
POLL_GRACE: Final = 2.0  # seconds beyond its wait before a poll counts as unanswered
_BOTOCORES_OWN: Final = 60.0  # seconds of both time-outs of a client that was made without any


class Settings(msgspec.Struct, frozen=True):
    """How to reach SQS without botocore.

    Attributes:
        endpoint_url: where all requests go, such as "https://sqs.eu-central-1.amazonaws.com".
        region: what requests are signed for.
        credentials: what they are signed with; the only way back to botocore.
        ca_bundle: path of the certificates to trust; None trusts those that botocore does.
        verify: whether the server's certificate is verified at all.
        connect_timeout: seconds for a connection with its TLS.
        call_timeout: seconds for a whole call; a poll has its wait and `POLL_GRACE`.
        check_md5: whether the digests of bodies and attributes are compared.
    """

    endpoint_url: str
    region: str
    credentials: Credentials
    ca_bundle: str | None = None
    verify: bool = True
    connect_timeout: float = CONNECT_TIMEOUT
    call_timeout: float = CALL_TIMEOUT
    check_md5: bool = False


def settings_of(client: Any, credentials: Credentials, *, timeouts: bool) -> Settings:  # noqa: ANN401 -- botocore ships no types
    """Read the settings of a client of botocore; the client may be dropped then.

    Args:
        client: botocore's or boto3's, for SQS.
        credentials: what to sign with.
        timeouts: whether the client's are taken over, where they are not the 60 s that botocore gives by itself.

    Raises:
        AttributeError: this botocore is built otherwise than all that are known.
    """
    verify = client._endpoint.http_session._verify  # noqa: SLF001 -- it says so nowhere else: True, False, or a path
    config = client.meta.config
    return Settings(
        endpoint_url=str(client.meta.endpoint_url),
        region=str(client.meta.region_name),
        credentials=credentials,
        ca_bundle=verify if isinstance(verify, str) else None,
        verify=verify is not False,
        connect_timeout=_chosen(config.connect_timeout, CONNECT_TIMEOUT, given=timeouts),
        call_timeout=_chosen(config.read_timeout, CALL_TIMEOUT, given=timeouts),
    )


def _chosen(seconds: float | None, ours: float, *, given: bool) -> float:
    """What the user chose, if they did; botocore's own minute is far beyond a lease."""
    if not given or seconds is None or seconds == _BOTOCORES_OWN:
        return ours
    return float(seconds)
