"""What the documentation of the local SQS tells users of other languages to type is typed here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from tests.clients.conftest import installed
from tests.support.processes import ROOT, Child

PAGE = ROOT / "docs" / "reference" / "local-sqs.md"


@pytest.fixture
def endpoint(start_hadoken: Callable[..., Child]) -> Iterator[str]:
    """The URL of a `hadoken local` that takes any credentials, as the page has it."""
    server = start_hadoken("local", "--port", "0")
    yield server.wait_for_line(r"^(http://\S+)$").group(1)
    assert server.terminate() == 0


def snippet(language: str, endpoint: str) -> str:
    """The code of the section "Other clients" in one language, for the server under test."""
    section = PAGE.read_text(encoding="utf-8").partition("\n## Other clients\n")[2].partition("\n## ")[0]
    (code,) = re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert "http://127.0.0.1:9324" in code
    return code.replace("http://127.0.0.1:9324", endpoint)


def test_the_page_is_right_about_javascript(endpoint: str, node: Callable[..., Child]) -> None:
    """The snippet prints what it sent."""
    child = node(snippet("js", endpoint))
    assert child.wait() == 0, child.lines
    assert child.out == ["hello from JavaScript"]


def test_the_page_is_right_about_the_aws_cli(endpoint: str, start_process: Callable[..., Child]) -> None:
    """The snippet prints what it sent."""
    path = f"{installed('aws-cli') / 'bin'}:/usr/bin:/bin"
    child = start_process(["/bin/sh", "-euc", snippet("sh", endpoint)], env={"PATH": path})
    assert child.wait() == 0, child.lines
    assert '"Body": "hello from the shell"' in "\n".join(child.out)
