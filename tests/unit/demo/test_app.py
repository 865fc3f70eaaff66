"""The handlers of the demo, called as functions: what they write, what they send, how they end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest

import hadoken
from hadoken.demo import app as demo
from hadoken.demo.index import Part
from hadoken.demo.source import listing
from hadoken.sqs.api import BlockingSQS, SendBatch, SendEntry, SentBatch


class Door:
    """A connection that keeps what is sent."""

    def __init__(self) -> None:
        self.entries: list[SendEntry] = []

    def blocking(self) -> BlockingSQS:
        """Be the client too."""
        return self

    def queue_url(self, name: str) -> str:
        """Every queue is there."""
        return f"http://sqs/{name}"

    def queue_attributes(self, queue_url: str) -> Mapping[str, str]:
        """Nothing is known of them."""
        return {}

    def send_batch(self, request: SendBatch) -> SentBatch:
        """Accept everything."""
        self.entries += request.entries
        return SentBatch({at: str(at) for at in range(len(request.entries))}, {})

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    """The app with an index of its own, sending to a door that keeps everything."""
    made = Door()
    demo.index.move_to(tmp_path / "index.sqlite3")
    demo.app.connect(made)
    yield made
    demo.index.close()
    demo.app.connect(hadoken.Connection())


def context(*, last: bool = False) -> hadoken.Context:
    """A run of a handler, with nobody behind it."""
    return hadoken.Context(attempt=3, is_last_attempt=last, lease_end=0.0, ask_extend=lambda *_: None)


def library(folder: Path, *names: str) -> Path:
    """A folder with a file of one function each."""
    for name in names:
        path = folder / "lib" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("def f(): ...\n")
    return folder / "lib"


def test_a_complete_package_is_sent_in_ordered_parts(door: Door, tmp_path: Path) -> None:
    """The last file sends parts of ten files, in order, in the group of the package, once however often it runs."""
    bodies = listing(library(tmp_path, *(f"p/{at:02}.py" for at in range(12))), "r")
    for body in reversed(bodies):
        assert door.entries == []
        assert demo.index_file(body, context()) is None
    first, second = door.entries
    assert {first.message_group_id, second.message_group_id} == {"p"}
    parts = [msgspec.json.decode(entry.body, type=Part) for entry in (first, second)]
    assert [(part.number, part.of, len(part.files)) for part in parts] == [(1, 2, 10), (2, 2, 2)]
    assert [file for part in parts for file, _ in part.files] == [body.file for body in bodies]
    demo.index_file(bodies[3], context())
    assert [each.deduplication_id for each in door.entries[2:]] == [first.deduplication_id, second.deduplication_id]
    for part in parts:
        demo.append_part(part)
    assert demo.index.totals() == (12, 12)


def test_a_file_that_is_not_there_is_tried_until_the_last_attempt(door: Door, tmp_path: Path) -> None:
    """Before the last attempt it fails, at the last it is a dead letter with a reason, and its package goes on."""
    root = library(tmp_path, "p/a.py", "p/b.py")
    here, gone = listing(root, "r")
    (root / "p/b.py").unlink()
    demo.index_file(here, context())
    with pytest.raises(FileNotFoundError):
        demo.index_file(gone, context())
    assert door.entries == []
    outcome = demo.index_file(gone, context(last=True))
    assert isinstance(outcome, hadoken.DeadLetter)
    assert outcome.reason == "not there, after 3 attempts"
    assert msgspec.json.decode(door.entries[0].body, type=Part).files == [("p/a.py", 1)]


def test_what_is_no_python_raises_and_is_not_retried(door: Door, tmp_path: Path) -> None:
    """The SyntaxError leaves the handler, which declares it hopeless; the package is complete without the file."""
    root = library(tmp_path, "p/a.py")
    (root / "p/a.py").write_text("no python\n")
    (body,) = listing(root, "r")
    with pytest.raises(SyntaxError, match=r"a\.py"):
        demo.index_file(body, context())
    assert demo.index_file.options.non_retryable == (SyntaxError, ValueError)
    assert door.entries == []
    assert demo.index.totals() == (1, 0)
