"""Clients of botocore as we make them, and who we are where nobody minds."""

# A connection opens itself, by an import of its own once it is asked to.
# pyright: reportImportCycles=false
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import botocore.client
import botocore.exceptions
import botocore.session
import msgspec
from botocore.config import Config

from hadoken.errors import ConfigurationError
from hadoken.sqs import aws_settings
from hadoken.sqs.credentials import NOBODY, Keys
from hadoken.sqs.settings import CONNECT_TIMEOUT

if TYPE_CHECKING:
    from hadoken.sqs.connection import Connection


def make_client(
    session: botocore.session.Session,
    connection: Connection,
    *,
    read: float,
    connections: int,
    keys: Keys | None = None,
) -> Any:  # noqa: ANN401 -- botocore makes its classes at run time
    """Make a client of botocore.

    Args:
        session: whose settings count.
        connection: where to.
        read: seconds of each read.
        connections: how many are kept open.
        keys: what to sign with; None asks botocore's chain, which may block for a role.

    Raises:
        ConfigurationError: no region is known, or no client can be made of the settings.
    """
    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=read,
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=connections,
        parameter_validation=False,  # what we send is built and checked here; validation costs 100 us a call
    )
    if connection.anonymous:
        keys = NOBODY
    signing: dict[str, Any] = (
        {"aws_access_key_id": keys.access_key, "aws_secret_access_key": keys.secret_key} if keys else {}
    )
    region = connection.region or ("us-east-1" if connection.anonymous else None)
    try:
        return session.create_client(
            "sqs", region_name=region, endpoint_url=connection.endpoint_url, config=config, **signing
        )
    except botocore.exceptions.NoRegionError as error:
        raise ConfigurationError(
            "no AWS region is set", hint="set AWS_DEFAULT_REGION, or pass --region, or --local for the local SQS"
        ) from error
    except (botocore.exceptions.BotoCoreError, ValueError) as error:
        raise ConfigurationError(f"no SQS client can be made: {error}") from error


def with_made_up_identity(session: botocore.session.Session, connection: Connection) -> Connection:
    """Make up region and credentials where the endpoint is this machine and none are configured: nobody there minds."""
    url = connection.endpoint_url or aws_settings.endpoint(session)
    if connection.anonymous or url is None or not aws_settings.is_loopback(url):
        return connection
    if aws_settings.has_configured_credentials(session):
        region = connection.region or session.get_config_variable("region") or "us-east-1"
        return msgspec.structs.replace(connection, region=region)
    return msgspec.structs.replace(connection, endpoint_url=url, anonymous=True)


def check_client(client: Any) -> None:  # noqa: ANN401 -- whatever the user passed
    """Refuse what is no client for SQS.

    Raises:
        ConfigurationError: it is something else; what it is, is said.
    """
    if not isinstance(client, botocore.client.BaseClient):
        kind = type(client)
        raise ConfigurationError(
            f"client is {kind.__module__}.{kind.__qualname__}; it is a client for SQS of botocore or boto3",
            hint='such as boto3.client("sqs")',
        )
    service = client.meta.service_model.service_name
    if service != "sqs":
        raise ConfigurationError(f"client is one for {service}; it is a client for SQS", hint='boto3.client("sqs")')
