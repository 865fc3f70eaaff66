"""Where SQS is and who we are there: settings only; nothing is opened or imported until a client is asked for."""

# A connection opens itself, by an import of its own once it is asked to.
# pyright: reportImportCycles=false
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    import asyncio

    from hadoken.sqs.api import BlockingSQS, ForLoops, Offload

Transport = Literal["auto", "fast", "botocore"]


class Connection(msgspec.Struct, frozen=True):
    """How to reach SQS. What is None comes from the usual AWS chain: environment, shared files, instance roles.

    Attributes:
        region: such as "eu-central-1".
        endpoint_url: where to send requests instead of AWS's own address; AWS_ENDPOINT_URL_SQS means the same.
        anonymous: sign with made-up credentials, as a local SQS accepts, so that no account is needed.
        transport: "fast" is our own, "botocore" is botocore's; "auto" takes ours unless something is in its way.
        client: a client for SQS of botocore or boto3 to use, instead of the three first.
        check_md5: compare the digests of bodies and attributes with those that SQS tells, both ways. A message that
            arrives damaged is logged and left for another receive; one that SQS got damaged counts as not sent. Costs
            about 1 us a message of 200 bytes; TLS notices damage on the way by itself.
    """

    region: str | None = None
    endpoint_url: str | None = None
    anonymous: bool = False
    transport: Transport = "auto"
    client: Any = None
    check_md5: bool = False

    def blocking(self) -> BlockingSQS:
        """Make a client that works in the calling thread; imports botocore (about 0.25 s of CPU the first time).

        Raises:
            ConfigurationError: no region is known, or the transport asked for cannot be taken.

        Blocks while credentials are asked for.
        """
        from hadoken.sqs.opening import Opening  # noqa: PLC0415 -- botocore is not imported by declaring an app

        return Opening(self).blocking()

    def for_loops(self, offload: Offload) -> asyncio.Future[ForLoops]:
        """Find out what clients for loops are made of; by `offload`, since it blocks and raises as `blocking` does."""
        return offload(self.loops)

    def loops(self) -> ForLoops:
        """What clients for loops are made of; blocks and raises as `blocking` does."""
        from hadoken.sqs.opening import Opening  # noqa: PLC0415 -- as above

        return Opening(self).for_loops()
