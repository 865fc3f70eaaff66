"""Public names use the words of this house, one word for one thing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.house import source

# Word that is not used -> the word that is. CONTRIBUTING.md has the table.
INSTEAD = {
    "job": "handler or message",
    "task": "handler or message",
    "actor": "handler",
    "consumer": "handler or worker",
    "listener": "handler",
    "topic": "queue",
    "payload": "body",
    "ttl": "visibility timeout",
    "unacked": "in flight",
    "reserved": "in flight",
    "ledger": "in-flight table",
    "registry": "in-flight table",
    "fetcher": "poller",
    "fetch": "receive or poll",
    "consume": "receive or poll",
    "prefetch": "admission",
    "processor": "executor",
    "heartbeat": "keeper",
    "nack": "outcome",
    "settle": "acknowledge",
    "daemon": "worker",
    "launcher": "worker",
    "morgue": "dead-letter queue",
    "replay": "redrive",
    "requeue": "redrive",
    "mock": "local SQS",
}
# (module, name): where the word is somebody else's, or a state's.
ALLOWED: frozenset[tuple[str, str]] = frozenset(
    {
        ("hadoken.pipeline.inflight", "SETTLING"),
        # asyncio's own word for what a test may leave behind.
        ("hadoken.testing.leftovers", "pending_tasks"),
        ("hadoken.testing.leftovers", "tasks"),
        # "Message move task" is SQS's own name for it.
        *(("hadoken.local.state.answers", name) for name in ("StartedMoveTask", "CancelledMoveTask", "MoveTask")),
        *(("hadoken.local.state.answers", name) for name in ("ListedMoveTasks", "task_handle")),
        *(("hadoken.local.state.moves", name) for name in ("MoveTask", "TaskName", "task_id")),
        *(
            ("hadoken.local.state.movetasks", f"{verb}_message_move_task{'s' * (verb == 'list')}")
            for verb in ("start", "cancel", "list")
        ),
        *(("hadoken.local.state.requests", name) for name in ("StartMessageMoveTask", "CancelMessageMoveTask")),
        *(("hadoken.local.state.requests", name) for name in ("ListMessageMoveTasks", "task_handle")),
    }
)


def words(name: str) -> list[str]:
    """The words of a name in lower case and singular: `HTTPFetchers` gives "http", "fetcher"."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    return [part.lower() if part.lower() in INSTEAD else part.lower().removesuffix("s") for part in parts]


def public_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, name) of every class, function, method, constant and field that is not private, wherever it is nested."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node.lineno, node.name
        if isinstance(node, ast.ClassDef | ast.Module):
            yield from fields(node)


def fields(owner: ast.ClassDef | ast.Module) -> Iterator[tuple[int, str]]:
    """(line, name) of what is assigned in the body of a class or module."""
    for node in owner.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for target in targets:
            if isinstance(target, ast.Name) and not target.id.startswith("_"):
                yield node.lineno, target.id


def strangers(module: str, tree: ast.Module) -> Iterator[str]:
    """Every public name with a word of another house."""
    for line, name in [(1, module.rpartition(".")[2]), *public_names(tree)]:
        for word in words(name):
            if word in INSTEAD and (module, name) not in ALLOWED:
                yield f"{module}:{line}: {name}: we say {INSTEAD[word]}, not {word}"


@pytest.mark.parametrize(
    "planted",
    [
        "class JobQueue: ...",
        "def fetch_all(): ...",
        "class A:\n    payload: bytes",
        "TASKS = 3",
        "class A:\n    def nack(self): ...",
    ],
)
def test_a_planted_word_is_seen(planted: str) -> None:
    """A stranger is recognised in each kind of public name."""
    assert len(list(strangers("hadoken.planted", ast.parse(planted)))) == 1


def test_private_names_and_other_words_pass() -> None:
    """Private names are free, and a word inside another word is not that word."""
    assert not list(strangers("hadoken.planted", ast.parse("def _job(): ...\nclass Multitasking: ...\nmocking = 1")))


def test_public_names_use_our_words() -> None:
    """No public name of the package uses a word that the glossary sets aside."""
    found = [line for path in source.modules() for line in strangers(source.module_name(path), source.parsed(path))]
    assert not found, "\n".join(found)
