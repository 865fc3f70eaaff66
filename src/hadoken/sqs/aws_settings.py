"""Whether the usual AWS settings lead anywhere: to an endpoint, to credentials. Sends no request to SQS."""

from __future__ import annotations

import os

import botocore.exceptions
import botocore.session
from botocore.configprovider import ConfiguredEndpointProvider


def lead_somewhere() -> bool:
    """Whether environment, shared files or a role name an endpoint for SQS or credentials.

    Settings that are broken count: then the user meant AWS, and the first request says what is wrong.

    Thread: any; may block for a second or two where botocore asks for the role of an EC2 instance.
    """
    session = botocore.session.get_session()
    try:
        endpoint = ConfiguredEndpointProvider(
            full_config=session.full_config,
            scoped_config=session.get_scoped_config(),
            client_name="sqs",
            environ=os.environ,
        ).provide()
        return endpoint is not None or session.get_credentials() is not None
    except botocore.exceptions.BotoCoreError:
        return True
