"""Python source files: which there are, and what they define."""

from __future__ import annotations

import ast
import re
import sysconfig
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

# Folders that are left out: tests hold files that are broken on purpose, and the others are not the library.
SKIPPED: Final = frozenset(
    {"__pycache__", "dist-packages", "idlelib", "lib2to3", "site-packages", "test", "tests", "turtledemo"}
)
# A message group id has up to 128 of these characters, and a deduplication id is longer than its package's name.
_NO_TOKEN: Final = re.compile(r"[^!-~]")
_LONGEST: Final = 100
TOP: Final = "top-level"  # the package of modules that are in none


@dataclass(frozen=True, slots=True)
class SourceFile:
    """The body of a message of `files` or `slow-files`: one file to be indexed.

    Attributes:
        run: which listing it is of; a package is complete when all its files of one run are done.
        root: the folder that was listed.
        file: path within it, with slashes.
        package: dotted name of its folder.
        package_files: how many files the listing has of that package.
        pause: seconds that its handling takes longer, as a slow disk would make it; for `slow-files`.
    """

    run: str
    root: str
    file: str
    package: str
    package_files: int
    pause: float = 0.0


class Definition(NamedTuple):
    """One definition: kind is "class", "function" or "method"; name is qualified, such as "JSONDecoder.decode"."""

    kind: str
    name: str
    line: int


def standard_library() -> Path:
    """The folder of the running Python's standard library."""
    return Path(sysconfig.get_path("stdlib"))


def python_files(root: Path) -> list[str]:
    """Paths within `root` of all its Python files but those of skipped folders, with slashes, sorted."""
    found = (path.relative_to(root) for path in root.rglob("*.py"))
    return sorted(path.as_posix() for path in found if SKIPPED.isdisjoint(path.parts[:-1]))


def package_of(file: str) -> str:
    """The package of a file: "email/mime/text.py" is in "email.mime". It names a message group, so it has no space."""
    return _NO_TOKEN.sub("_", ".".join(Path(file).parts[:-1]))[-_LONGEST:] or TOP


def listing(root: Path, run: str) -> list[SourceFile]:
    """One message body for each Python file of a folder, sorted by path.

    Args:
        root: the folder.
        run: a name for this listing, new each time.
    """
    files = python_files(root)
    sizes = Counter(map(package_of, files))
    return [SourceFile(run, str(root), file, package_of(file), sizes[package_of(file)]) for file in files]


def definitions(source: bytes, name: str) -> list[Definition]:
    """What a file defines, in the order of its lines, by the syntax tree.

    Args:
        source: its text, undecoded: it may say its own encoding.
        name: of the file, for the error.

    Raises:
        SyntaxError: it is not Python.
    """
    return list(_within(ast.parse(source, name), "", in_class=False))


def _within(node: ast.AST, prefix: str, *, in_class: bool) -> Iterator[Definition]:
    """The definitions below a node; statements such as `if` and `try` do not change where we are."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield Definition("class", prefix + child.name, child.lineno)
            yield from _within(child, f"{prefix}{child.name}.", in_class=True)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield Definition("method" if in_class else "function", prefix + child.name, child.lineno)
            yield from _within(child, f"{prefix}{child.name}.", in_class=False)
        elif isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            yield from _within(child, prefix, in_class=in_class)
