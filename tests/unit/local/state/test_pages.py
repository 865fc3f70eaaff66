from __future__ import annotations

import base64

import pytest

from hadoken.local.state.pages import MAX_PAGE, page
from hadoken.local.state.refusals import Refusal

NAMES = [f"{number:04}" for number in range(MAX_PAGE + 5)]


def test_without_a_size_a_page_is_the_largest_and_has_no_token() -> None:
    """Without a size a page is the largest there is, and the end is told by nothing."""
    assert page(NAMES, "s", None, None) == (NAMES[:MAX_PAGE], None)
    assert page([], "s", 1, None) == ([], None)


@pytest.mark.parametrize("size", [1, 2, 7, MAX_PAGE])
def test_pages_hold_all_names_and_none_twice(size: int) -> None:
    """Pages hold all names, none twice, and the last full one has no token."""
    names = NAMES[:14]
    found, token = page(names, "s", size, None)
    seen = list(found)
    while token is not None:
        found, token = page(names, "s", size, token)
        assert 1 <= len(found) <= size
        seen += found
    assert seen == names


def test_names_that_come_and_go_between_pages_disturb_no_others() -> None:
    """Names that come and go between pages disturb no others."""
    _, token = page(["b", "d", "f"], "s", 2, None)
    assert page(["a", "c", "e", "f"], "s", 2, token) == (["e", "f"], None)


@pytest.mark.parametrize(
    "token", ["", "x", "ä", "AAAA", *(base64.b64encode(raw).decode() for raw in (b"[]", b'["s"]', b'["s", 1]', b'"s"'))]
)
def test_a_token_that_is_none_is_refused(token: str) -> None:
    """A token that is none is refused."""
    with pytest.raises(Refusal, match="not a token of this request") as caught:
        page(NAMES, "s", 1, token)
    assert caught.value.shape == "InvalidParameterValueException"


def test_a_token_of_another_request_is_refused() -> None:
    """A token of another request is refused."""
    token = page(NAMES, "s", 1, None).token
    with pytest.raises(Refusal, match="another request"):
        page(NAMES, "other", 1, token)
