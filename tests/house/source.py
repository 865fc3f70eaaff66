"""The repository's own files, as the house tests read them."""

from __future__ import annotations

import ast
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "hadoken"


@cache
def committed() -> tuple[Path, ...]:
    """Every file that git knows, apart from those deleted in the work tree; sorted.

    In a copy without git, every file that no tool has made.
    """
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        return tuple(sorted(path for path in ROOT.rglob("*") if path.is_file() and not made_by_tools(path)))
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    files = (ROOT / name for name in listed.decode().split("\0") if name)
    return tuple(sorted(file for file in files if file.is_file()))


def made_by_tools(path: Path) -> bool:
    """Whether .gitignore names a folder that the file lies in, or the file."""
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()}
    return not (ignored | {".git"}).isdisjoint(path.relative_to(ROOT).parts)


def modules() -> list[Path]:
    """Every Python file of the package; sorted, never empty."""
    return sorted(PACKAGE.rglob("*.py"))


def tests() -> list[Path]:
    """Every Python file of the tests; sorted, never empty."""
    return sorted((ROOT / "tests").rglob("*.py"))


def shown(path: Path) -> str:
    """A path as it is read in a complaint."""
    return path.relative_to(ROOT).as_posix()


def module_name(path: Path) -> str:
    """The dotted name under which a file of the package is imported."""
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def full_names(tree: ast.Module) -> Iterator[tuple[ast.expr, str]]:
    """Every name and attribute chain of a module that leads to something imported, with its dotted name in full.

    `import threading as t; t.Thread` and `from threading import Thread as T; T` both give "threading.Thread".
    """
    imported = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                imported[name.asname or name.name.partition(".")[0]] = (
                    name.name if name.asname else name.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            for name in node.names:
                imported[name.asname or name.name] = f"{node.module}.{name.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute):
            first, *rest = ast.unparse(node).split(".")
            if first in imported:
                yield node, ".".join([imported[first], *rest])
