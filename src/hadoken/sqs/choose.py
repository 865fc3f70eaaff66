"""Which transport reaches SQS: our own, unless something asks for botocore's way.

Rules of this file:
- Any surprise while looking means botocore. Nothing here sends a request, or asks for credentials.
- A client of our own is made from a fresh session, so only what is put into botocore itself can be in its way.
- What is put there later, inside `with mock_aws()`, is seen by whoever asks `still_clear` before a request.
"""

# A connection opens itself, by an import of its own once it is asked to.
# pyright: reportImportCycles=false
from __future__ import annotations

import functools
import logging
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal

import botocore.auth
import botocore.httpsession
import botocore.session
import msgspec
from botocore import UNSIGNED

from hadoken.errors import ConfigurationError
from hadoken.sqs.credentials import NOBODY, Credentials
from hadoken.sqs.hooks import Hook, hooks_of, sign_of_change
from hadoken.sqs.patches import MOTO, Patches
from hadoken.sqs.settings import settings_of
from hadoken.sqs.tracers import tracer_of

if TYPE_CHECKING:
    from hadoken.sqs.connection import Transport

log = logging.getLogger("hadoken.sqs")

FAST: Final = "fast"
BOTOCORE: Final = "botocore"


class Choice(msgspec.Struct, frozen=True):
    """The transport taken, and why.

    Attributes:
        name: "fast" or "botocore".
        reason: why botocore, in words; "" for fast.
        tracers: those that would see botocore's calls, by name; with fast they see none.
    """

    name: Literal["fast", "botocore"]
    reason: str = ""
    tracers: tuple[str, ...] = ()


def choose(asked: Transport, client: Any, *, ours: bool = False) -> Choice:  # noqa: ANN401 -- botocore ships no types
    """Choose a transport.

    Args:
        asked: "auto" decides by what is found.
        client: of botocore or boto3 for SQS.
        ours: whether the client is a fresh one of ours, which no user has had in hand.

    Raises:
        ConfigurationError: "fast" was asked for, and something is in its way.
    """
    if asked == BOTOCORE:
        return Choice(BOTOCORE, "asked for")
    causes, tracers = look(client, ours=ours)
    if not causes:
        return Choice(FAST, tracers=tracers)
    if asked == FAST:
        raise ConfigurationError(
            f'transport="fast" cannot be taken: {"; ".join(causes)}', hint='transport="auto" takes botocore then'
        )
    return Choice(BOTOCORE, "; ".join(causes))


def look(client: Any, *, ours: bool = False) -> tuple[list[str], tuple[str, ...]]:  # noqa: ANN401 -- botocore ships no types
    """What is in the way of our own transport, in words, and the tracers that are not. Arguments as of `choose`.

    Thread: any. Blocks on nothing.
    """
    patches = _patches()
    patches.look()
    tracers = set(patches.tracers)
    causes = list(patches.strangers)
    for cause in (_proxy, _certificate, _signer, _sender, _members, _unreadable):
        causes += _asked(cause, client)
    for hook in _asked(_foreign_hooks if ours else _strange_hooks, client):
        if isinstance(hook, Hook) and (seen := _tracers(hook)):
            tracers |= seen
        else:
            causes.append(_named(hook) if isinstance(hook, Hook) else hook)
    return list(dict.fromkeys(causes)), tuple(sorted(tracers))


def still_clear(client: Any = None) -> bool:  # noqa: ANN401 -- botocore ships no types
    """Whether our own transport may send now: nothing has been put in its way since it was chosen.

    Asked before each request of a blocking sender; costs about 1 us while nothing changes.

    Args:
        client: the user's, where there is one: its handlers are looked at too.

    Thread: any. Blocks on nothing.
    """
    if in_the_way():
        return False
    return client is None or _client_still_clear(client)


def in_the_way() -> tuple[str, ...]:
    """What stands in botocore's place at this moment, in words; it concerns every client, and may pass.

    Thread: any. Blocks on nothing; costs about 1 us while nothing changes.
    """
    patches = _patches()
    if not patches.unchanged():
        patches.look()
    return tuple(patches.strangers)


@functools.cache
def _patches() -> Patches:
    """The one look at this process's botocore: what is put into it concerns every client."""
    return Patches()


# What was found of a client while it looked like this.
_found: weakref.WeakKeyDictionary[Any, tuple[object, int, bool]] = weakref.WeakKeyDictionary()


def _client_still_clear(client: Any) -> bool:  # noqa: ANN401 -- botocore ships no types
    try:
        now = (sign_of_change(client), len(vars(client)))
    except (AttributeError, TypeError):
        return False
    seen = _found.get(client)
    if seen is not None and seen[0] is now[0] and seen[1] == now[1]:
        return seen[2]
    clear = not look(client)[0]
    _found[client] = (*now, clear)
    return clear


def _asked(cause: Callable[[Any], list[Any]], client: Any) -> list[Any]:  # noqa: ANN401 -- botocore ships no types
    """Ask for one cause; what goes wrong meanwhile is one."""
    try:
        return cause(client)
    except Exception as error:
        log.debug("looking at the botocore client failed", exc_info=True)
        return [f"this client of botocore cannot be understood: {type(error).__name__}: {error}"]


def _proxy(client: Any) -> list[str]:  # noqa: ANN401 -- botocore ships no types
    session = client._endpoint.http_session  # noqa: SLF001 -- it says so nowhere else
    return ["a proxy is set"] if session._proxy_config.proxy_url_for(client.meta.endpoint_url) else []  # noqa: SLF001 -- the same


def _certificate(client: Any) -> list[str]:  # noqa: ANN401 -- botocore ships no types
    return ["a client certificate is set"] if client.meta.config.client_cert else []


def _signer(client: Any) -> list[str]:  # noqa: ANN401 -- botocore ships no types
    version = client.meta.config.signature_version
    if version is UNSIGNED:
        return ["requests are not to be signed"]
    if version != "v4":
        return [f"requests are signed by {version}, not by SigV4"]
    signer = botocore.auth.AUTH_TYPE_MAPS["v4"]
    if not signer.__module__.startswith("botocore."):
        return [f"{signer.__module__} signs in the place of botocore"]
    return []


def _sender(client: Any) -> list[str]:  # noqa: ANN401 -- botocore ships no types
    kind = type(client._endpoint.http_session)  # noqa: SLF001 -- it says so nowhere else
    if kind is botocore.httpsession.URLLib3Session:
        return []
    return [f"{kind.__module__}.{kind.__qualname__} sends in the place of botocore"]


def _members(client: Any) -> list[str]:  # noqa: ANN401 -- botocore ships no types
    """Methods that were put on this very client, as `mock.patch.object` does."""
    put = [name for name, value in vars(client).items() if callable(value) and hasattr(type(client), name)]
    return [f"{name} of the client is replaced" for name in put]


def _unreadable(client: Any) -> list[str]:  # noqa: ANN401 -- botocore ships no types
    """Nothing, or an exception: what our own transport takes over must be found where it is looked for."""
    settings_of(client, Credentials.fixed(NOBODY), timeouts=True)
    _ = client._request_signer._credentials  # noqa: SLF001 -- a client gives them nowhere else
    return []


def _foreign_hooks(client: Any) -> list[Hook]:  # noqa: ANN401 -- botocore ships no types
    """The handlers of a client that are not botocore's own."""
    return [hook for hook in hooks_of(client) if not all(one.startswith("botocore.") for one in hook.modules)]


def _strange_hooks(client: Any) -> list[Hook]:  # noqa: ANN401 -- botocore ships no types
    """The handlers that a client without settings and without a user would not have.

    By event too: among botocore's own functions are some that turn signing off, where they are registered for it.
    """
    return [hook for hook in hooks_of(client) if hook not in _pristine_hooks() and not hook.by_settings]


@functools.cache
def _pristine_hooks() -> frozenset[Hook]:
    """The handlers of a client that nobody has touched; nothing is sent by it, so the keys are of no account."""
    made_up = dict.fromkeys(("aws_access_key_id", "aws_secret_access_key"), "none")
    return frozenset(hooks_of(botocore.session.Session().create_client("sqs", region_name="us-east-1", **made_up)))


def _tracers(hook: Hook) -> set[str]:
    """The tracers that a handler is made of; empty where somebody else has a part in it."""
    tracers = {module: tracer_of(module) for module in hook.modules}
    if not all(tracer or module.startswith("botocore.") for module, tracer in tracers.items()):
        return set()
    return {tracer for tracer in tracers.values() if tracer}


def _named(hook: Hook) -> str:
    """Say who hears an event of the client."""
    if hook.modules[0] == "botocore.stub":
        return "a Stubber is active on the client"
    if hook.modules[0].startswith("moto."):
        return MOTO
    return f"{hook.name} of {hook.modules[0]} hears {hook.event} of the client"
