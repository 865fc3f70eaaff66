"""Where SQS is and who we are there: settings only; nothing is opened or imported until a client is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from hadoken.sqs.api import BlockingSQS


class Connection(msgspec.Struct, frozen=True):
    """How to reach SQS. What is None comes from the usual AWS chain: environment, shared files, instance roles.

    Attributes:
        region: such as "eu-central-1".
        endpoint_url: where to send requests instead of AWS's own address; AWS_ENDPOINT_URL_SQS means the same.
        anonymous: sign with made-up credentials, as a local SQS accepts, so that no account is needed.
    """

    region: str | None = None
    endpoint_url: str | None = None
    anonymous: bool = False

    def blocking(self) -> BlockingSQS:
        """Make a client that works in the calling thread; imports botocore (about 0.25 s of CPU the first time).

        Raises:
            ConfigurationError: no region is known.
        """
        from hadoken.sqs.boto import BotoClient  # noqa: PLC0415 -- botocore is not imported by declaring an app

        return BotoClient(self)
