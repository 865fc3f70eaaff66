"""What every committed file keeps: links that lead somewhere, no traces of a machine, a reason beside each waiver."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.house import source

# Folders of the machine that this is written on, and hosts that packages come from: nobody else's business.
TRACES = re.compile(
    r"(?<![\w.])/(?:work|root|home/\w+|opt/pypi)\b"
    r"|pypi\.(?:org|python)|pythonhosted\.|npmjs\.|(?:deb|security)\.debian\."
)
LINK = re.compile(r"\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
# `noqa: X -- reason`, `pragma: no cover -- reason`; mypy and basedpyright want a comment of its own for the reason:
# `type: ignore[x] # reason`. One reason may serve several waivers of a line.
WAIVER = re.compile(r"#\s*(?:noqa|type:\s*ignore|pyright:\s*ignore|pragma:)(?P<rest>.*)$")
REASON = re.compile(r"(?:--|#) (?!noqa|type:|pyright:|pragma:)\S")


def text_of(path: Path) -> str:
    """A file's text; "" where it is not text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def anchors(path: Path) -> set[str]:
    """The anchors of a Markdown file's headings, as the usual hosts make them."""
    titles = re.findall(r"^#+\s+(.*?)\s*$", text_of(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def dead_links(path: Path) -> list[str]:
    """Every relative link of a Markdown file whose file or heading does not exist."""
    dead = []
    for target in LINK.findall(FENCE.sub("", text_of(path))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.exists() or (anchor and anchor not in anchors(file)):
            dead.append(f"{path.name}: {target}")
    return dead


def test_links_of_the_documentation_lead_somewhere() -> None:
    """Each relative link in a committed Markdown file names a file, and a heading of it, that exist."""
    pages = [path for path in source.committed() if path.suffix == ".md"]
    assert pages
    assert not [link for page in pages for link in dead_links(page)]


def test_a_dead_link_is_seen(tmp_path: Path) -> None:
    """A missing file and a missing heading are both found; good links and examples in code are not."""
    page = tmp_path / "page.md"
    page.write_text(
        "# One `word`, two\n[a](gone.md) [b](#one-word-two) [c](#three) [d](https://x.y)\n```\n[e](f.md)\n```\n"
    )
    assert dead_links(page) == ["page.md: gone.md", "page.md: #three"]


def test_no_file_tells_where_it_was_written() -> None:
    """No committed file holds a path of somebody's machine or the host of a package registry."""
    found = [
        f"{source.shown(path)}:{number}: {trace.group()}"
        for path in source.committed()
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if (trace := TRACES.search(line))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("trace", ["/" + "work/main", " /" + "root/x", "https://" + "pypi." + "org/simple"])
def test_a_trace_is_seen(trace: str) -> None:
    """The usual traces are recognised."""
    assert TRACES.search(trace)


def test_every_waiver_gives_its_reason() -> None:
    """What a checker is told to overlook is followed by the reason."""
    found = [
        f"{source.shown(path)}:{number}"
        for path in source.committed()
        if path.suffix == ".py"
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if (waiver := WAIVER.search(line)) and not REASON.search(waiver["rest"])
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("line", "excused"),
    [
        ("x  # no" + "qa: S101", False),
        ("x  # no" + "qa: S101 -- it is a test", True),
        ("x  # type: " + "ignore[misc]", False),
        ("x  # type: " + "ignore[misc] # no stubs", True),
        ("x  # type: " + "ignore[misc] # no" + "qa: F821", False),
        ("x  # type: " + "ignore[misc] # no" + "qa: F821 -- the point", True),
    ],
)
def test_a_waiver_without_reason_is_seen(line: str, *, excused: bool) -> None:
    """A second waiver is no reason for the first."""
    waiver = WAIVER.search(line)
    assert waiver is not None
    assert bool(REASON.search(waiver["rest"])) is excused


def test_requirements_are_hashed_and_name_no_index() -> None:
    """What is installed is pinned with hashes, from whatever index the machine is set up with."""
    for path in sorted((source.ROOT / "requirements").glob("*.txt")):
        text = text_of(path)
        pins = re.findall(r"^([a-z0-9-]+)==\S+(?: ;[^\\\n]*)? \\\n    --hash=sha256:", text, re.MULTILINE)
        assert len(pins) == len(re.findall(r"^[^\s#]", text, re.MULTILINE)) > 5
        assert not re.search(r"://|^\s*-(?!-hash)", text, re.MULTILINE)


def test_pinned_versions_meet_the_declared_bounds() -> None:
    """Every runtime requirement of the package is pinned in both files of requirements."""
    project = tomllib.loads(text_of(source.ROOT / "pyproject.toml"))["project"]
    names = {re.split(r"[^\w-]", requirement)[0] for requirement in project["dependencies"]}
    assert names == {"botocore", "click", "httptools", "msgspec"}
    for path in ("run.txt", "dev.txt"):
        pinned = re.findall(r"^([a-z0-9-]+)==", text_of(source.ROOT / "requirements" / path), re.MULTILINE)
        assert names <= set(pinned)
