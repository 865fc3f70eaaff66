"""Nothing happens at import, and heavy or foreign modules stay out until they are used.

Each import is looked at in a fresh process: this one has imported everything already.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

import pytest

from tests.house import source
from tests.support.processes import Child

Start = Callable[..., Child]


class Seen(TypedDict):
    """What an import did: OS threads, sockets left open, top-level modules beyond Python's own."""

    threads: int
    sockets: list[str]
    foreign: list[str]


# Imports modules, then says what that did.
LOOK = """
import importlib, json, os, sys, threading
for name in sys.argv[1:]:
    importlib.import_module(name)
links = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
kinds = [os.readlink(link) for link in links if os.path.lexists(link)]
known = sys.stdlib_module_names | BEFORE
print(json.dumps({
    "threads": len(os.listdir("/proc/self/task")),
    "sockets": [kind for kind in kinds if kind.startswith("socket:") or "eventpoll" in kind],
    "foreign": sorted({name.partition(".")[0] for name in sys.modules if not name.startswith("_sysconfig")} - known),
}))
"""
BEFORE = "import sys; BEFORE = {name.partition('.')[0] for name in sys.modules}\n"
HEAVY = frozenset({"botocore", "boto3", "click", "rich"})
# The command line loads click, and a command loads what talks to SQS when it is run.
COMMANDS = ("hadoken.cli", "hadoken.__main__", "hadoken.local.provision")


def look(start: Start, *names: str) -> Seen:
    """Import modules in a fresh process and say what that loaded and left open."""
    child = start([sys.executable, "-c", BEFORE + LOOK, *names])
    assert child.wait() == 0, child.lines
    seen: Seen = json.loads(child.out[-1])
    return seen


def is_door(path: Path) -> bool:
    """Whether a module imports a heavy one at its top: then others may import it only where they use it."""
    tops = [node for node in source.parsed(path).body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name for node in tops]
    return any(name.partition(".")[0] in HEAVY for name in names)


@pytest.fixture(scope="module")
def quiet_modules() -> list[str]:
    """Every module that must load neither botocore nor click nor rich: all but their doors and the commands."""
    names = [source.module_name(path) for path in source.modules() if not is_door(path)]
    quiet = [name for name in names if not name.startswith(COMMANDS)]
    assert {"hadoken.app", "hadoken.sqs.connection", "hadoken.worker.worker"} <= set(quiet)
    return quiet


def test_import_starts_and_opens_nothing(start_process: Start, quiet_modules: list[str]) -> None:
    """Importing all of the package starts no thread, opens no socket and loads neither botocore nor click nor rich."""
    seen = look(start_process, *quiet_modules)
    assert seen["threads"] == 1
    assert seen["sockets"] == []
    assert not HEAVY & set(seen["foreign"])


def test_the_front_door_is_light(start_process: Start) -> None:
    """`import hadoken` alone loads no module of a third party."""
    assert set(look(start_process, "hadoken")["foreign"]) <= {"hadoken"}


def test_threads_need_the_standard_library_only(start_process: Start) -> None:
    """`hadoken.threads` can be used on any program: all of it loads with the standard library alone."""
    names = [
        source.module_name(path) for path in source.modules() if source.shown(path).startswith("src/hadoken/threads")
    ]
    seen = look(start_process, *names)
    assert set(seen["foreign"]) <= {"hadoken"}
    assert seen["threads"] == 1
