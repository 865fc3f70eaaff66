"""Pages of names: `MaxResults` and `NextToken` of the list operations."""

from __future__ import annotations

import base64
import binascii
import bisect
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from hadoken.local.state import checks
from hadoken.local.state.refusals import invalid_value

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_PAGE: Final = 1_000  # SQS API Reference, ListQueues


class Page(NamedTuple):
    """Some of the names, and how to ask for those behind them; None at the end, or if no pages were asked for."""

    names: Sequence[str]
    token: str | None


def page(names: Sequence[str], scope: str, max_results: int | None, token: str | None) -> Page:
    """Cut one page out of names.

    Args:
        names: sorted, all that the request is about. Names that come or go between two pages disturb no others.
        scope: what the request is about, such as a prefix; a token of another scope is refused.
        max_results: as it was asked for.
        token: of the page before.

    Raises:
        Refusal: `max_results` is out of range, the token is not one of this scope.
    """
    limit = checks.whole(max_results, MAX_PAGE, (1, MAX_PAGE), "MaxResults", "Must be between 1 and 1000, if provided.")
    start = 0 if token is None else bisect.bisect_right(names, _last(token, scope))
    found = names[start : start + limit]
    more = max_results is not None and start + limit < len(names)
    return Page(found, _token(scope, found[-1]) if more else None)


def _token(scope: str, last: str) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((scope, last))).decode("ascii")


def _last(token: str, scope: str) -> str:
    """The last name of the page before."""
    try:
        raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        found, last = msgspec.json.decode(raw, type=tuple[str, str])
    except (binascii.Error, UnicodeEncodeError, msgspec.MsgspecError) as exc:
        raise invalid_value(token, "NextToken", "It is not a token of this request.") from exc
    if found != scope:
        raise invalid_value(token, "NextToken", "It belongs to another request.")
    return last
