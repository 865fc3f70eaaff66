"""What stands in the place of botocore's own code in this process: tracers, and what answers instead of AWS.

A library for tests, or `unittest.mock`, replaces one of a few functions and classes of botocore that every request
passes. They are looked at one by one; what is there is told from botocore's own by the module its code was written in.

Rules of this file:
- What cannot be understood is a stranger.
- `Patches.unchanged` is asked before each send, so it only compares what is there with what was there.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import botocore.auth
import botocore.awsrequest
import botocore.client
import botocore.endpoint
import botocore.handlers
import botocore.httpsession
import botocore.signers

from hadoken.sqs.layers import modules_of
from hadoken.sqs.tracers import tracer_of

MOTO: Final = "moto is loaded, which answers in the place of AWS"
_OWN: Final = frozenset({"botocore", "urllib3"})


class Spot(NamedTuple):
    """A place that requests pass: a name in the members of a class or module."""

    members: Mapping[str, Any]
    name: str
    owner: str

    @property
    def what(self) -> Any:  # noqa: ANN401 -- anything may have been put there
        """What is there now: as it was put there, not as an attribute of the class would give it."""
        return self.members.get(self.name)


def _spots() -> Iterator[Spot]:
    requests = botocore.awsrequest
    for owner, names in (
        (botocore.client.BaseClient, ("__init__", "_make_api_call", "_make_request")),
        (botocore.endpoint.Endpoint, ("make_request", "prepare_request", "_send_request", "_get_response", "_send")),
        (botocore.httpsession.URLLib3Session, ("send",)),
        (botocore.auth.SigV4Auth, ("add_auth",)),
        (botocore.signers.RequestSigner, ("sign",)),
        (requests, ("AWSHTTPConnection", "AWSHTTPSConnection", "AWSHTTPConnectionPool", "AWSHTTPSConnectionPool")),
        (requests.AWSHTTPConnectionPool, ("ConnectionCls",)),
        (requests.AWSHTTPSConnectionPool, ("ConnectionCls",)),
        (_owner(requests.AWSHTTPConnectionPool, "urlopen"), ("urlopen",)),
    ):
        members = vars(owner)
        yield from (Spot(members, name, owner.__name__) for name in names if name in members)


def _owner(kind: type, name: str) -> type:
    """The class from which another has a member: urllib3's, which botocore builds on."""
    return next((each for each in kind.__mro__ if name in vars(each)), kind)


class Patches:
    """A look at botocore in this process.

    Attributes:
        strangers: what answers, or may answer, in botocore's place, in words; empty where nothing does.
        tracers: known tracers that look on, sorted.
    """

    def __init__(self) -> None:
        self._spots = tuple(_spots())
        self._seen: list[Any] = []
        self._builtin = -1
        self.strangers: list[str] = []
        self.tracers: tuple[str, ...] = ()
        self.look()

    def unchanged(self) -> bool:
        """Whether nothing was put in or taken out since the last look. Thread: any. Costs about 1 us."""
        try:
            now = [members[name] for members, name, _ in self._spots]
        except KeyError:
            return False
        # By identity: a wrapper often says that it equals what it wraps.
        return all(map(operator.is_, now, self._seen)) and len(botocore.handlers.BUILTIN_HANDLERS) == self._builtin

    def look(self) -> None:
        """Look again. Thread: any; two at once come to the same."""
        strangers: list[str] = []
        tracers: set[str] = set()
        seen = [spot.what for spot in self._spots]
        builtin = list(botocore.handlers.BUILTIN_HANDLERS)
        for spot, what in zip(self._spots, seen, strict=True):
            for module in modules_of(what):
                _sort(module, f"{module} stands in the place of {spot.owner}.{spot.name}", strangers, tracers)
        for event, handler, *_ in builtin:
            for module in modules_of(handler):
                _sort(module, f"{module} answers botocore's event {event}", strangers, tracers)
        self.strangers, self.tracers = strangers, tuple(sorted(tracers))
        self._seen, self._builtin = seen, len(builtin)


def _sort(module: str, said: str, strangers: list[str], tracers: set[str]) -> None:
    first = module.partition(".")[0]
    if first in _OWN:
        return
    if tracer := tracer_of(module):
        tracers.add(tracer)
    elif first == "moto":
        strangers.append(MOTO)
    else:
        strangers.append(said)
