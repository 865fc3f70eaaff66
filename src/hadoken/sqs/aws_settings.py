"""What the usual AWS settings say: where SQS is, and who we are. Sends no request to SQS."""

from __future__ import annotations

import os
from typing import Final
from urllib.parse import urlsplit

import botocore.exceptions
import botocore.session
from botocore.configprovider import ConfiguredEndpointProvider

_ROLES: Final = ("container-role", "iam-role")  # botocore's names of what asks the network


def lead_somewhere() -> bool:
    """Whether environment, shared files or a role name an endpoint for SQS or credentials.

    Settings that are broken count: then the user meant AWS, and the first request says what is wrong.

    Thread: any; may block for a second or two where botocore asks for the role of an EC2 instance.
    """
    session = botocore.session.get_session()
    try:
        return endpoint(session) is not None or session.get_credentials() is not None
    except botocore.exceptions.BotoCoreError:
        return True


def endpoint(session: botocore.session.Session) -> str | None:
    """The endpoint of SQS that environment or shared files name, such as AWS_ENDPOINT_URL_SQS; None for AWS's own.

    None too where AWS_IGNORE_CONFIGURED_ENDPOINT_URLS switches such settings off.
    """
    if session.get_config_variable("ignore_configured_endpoint_urls"):
        return None
    provider = ConfiguredEndpointProvider(
        full_config=session.full_config,
        scoped_config=session.get_scoped_config(),
        client_name="sqs",
        environ=os.environ,
    )
    found = provider.provide()
    return None if found is None else str(found)


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine itself, where no AWS is."""
    host = urlsplit(url).hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")


def has_configured_credentials(session: botocore.session.Session) -> bool:
    """Whether environment or shared files lead to credentials; this session does not ask for a machine's role any more.

    The role would be asked for over the network, seconds long where there is none, for an endpoint that does not mind.
    """
    resolver = session.get_component("credential_provider")
    for role in _ROLES:
        resolver.remove(role)
    return session.get_credentials() is not None
