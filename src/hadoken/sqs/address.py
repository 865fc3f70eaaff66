"""What names a queue: a name, a URL or an ARN."""

from __future__ import annotations

import re
from typing import Final

from hadoken import limits
from hadoken.errors import ConfigurationError

_URL: Final = re.compile(r"https?://[^\s/]+/\S+")
_ARN: Final = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):sqs:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):(?P<name>[^:]+)"
)

# DNS suffix of each partition's SQS. Source: partitions.json of botocore 1.44.
_SUFFIXES: Final = {
    "aws": "amazonaws.com",
    "aws-cn": "amazonaws.com.cn",
    "aws-us-gov": "amazonaws.com",
    "aws-iso": "c2s.ic.gov",
    "aws-iso-b": "sc2s.sgov.gov",
    "aws-iso-e": "cloud.adc-e.uk",
    "aws-iso-f": "csp.hci.ic.gov",
    "aws-eusc": "amazonaws.eu",
}


def check_address(address: str, where: str) -> str:
    """Give back a name, URL or ARN, or say that it is none.

    Args:
        address: what is said to name a queue.
        where: what holds it, for the error.

    Raises:
        ConfigurationError: it is neither, or an ARN of an unknown partition.
    """
    if _URL.fullmatch(address) or limits.QUEUE_NAME.fullmatch(address):
        return address
    arn = _ARN.fullmatch(address)
    if arn and arn["partition"] in _SUFFIXES and limits.QUEUE_NAME.fullmatch(arn["name"]):
        return address
    raise ConfigurationError(f"{where} is {address!r}; it is the name, URL or ARN of a queue")


def name_of(address: str) -> str:
    """The name of the queue that a name, URL or ARN leads to."""
    return address.rpartition("/")[2].rpartition(":")[2]


def url_of(address: str) -> str | None:
    """The URL of a queue given by URL or ARN; None for a name, whose URL SQS must be asked for (`queue_url`)."""
    if "://" in address:
        return address
    arn = _ARN.fullmatch(address)
    if arn is None:
        return None
    return f"https://sqs.{arn['region']}.{_SUFFIXES[arn['partition']]}/{arn['account']}/{arn['name']}"
