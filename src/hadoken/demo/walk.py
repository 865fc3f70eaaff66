"""An independent look at the same files: other code, another parser, no message and no database.

The handler reads the syntax tree (`ast`); here the compiler's symbol tables (`symtable`) say what a file defines. If
the two agree on every name and line, neither a file nor a definition was lost or made twice on the way through the
queue.
"""

from __future__ import annotations

import hashlib
import os
import symtable
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.util import decode_source
from pathlib import Path
from typing import Final

from hadoken.demo.source import SKIPPED, package_of

# Scopes that are no definitions. Those of comprehensions share their names with possible functions, so look inside.
_LAMBDA: Final = "lambda"
_COMPREHENSIONS: Final = frozenset({"listcomp", "setcomp", "dictcomp", "genexpr"})
_ARGUMENT: Final = ".0"  # the iterator that a comprehension is called with; no identifier of a program

Defined = tuple[str, str, int]


@dataclass(slots=True)
class Walk:
    """What was seen.

    Attributes:
        defined: file -> sorted (kind, qualified name, line).
        broken: files that do not compile to symbols.
    """

    defined: dict[str, list[Defined]] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    @property
    def definitions(self) -> int:
        """How many definitions there are in all."""
        return sum(map(len, self.defined.values()))

    def digests(self) -> dict[str, str]:
        """Package -> the digest that its summary must have if every part was added in order."""
        digests: dict[str, str] = {}
        for file in sorted(self.defined):
            package = package_of(file)
            line = f"{digests.get(package, '')} {file} {len(self.defined[file])}"
            digests[package] = hashlib.sha256(line.encode()).hexdigest()
        return digests


def walk(roots: Iterable[Path]) -> Walk:
    """Look at all Python files of some folders.

    Raises:
        OSError: a file cannot be read.
    """
    seen = Walk()
    for root in roots:
        for path in _files(root):
            name = path.relative_to(root).as_posix()
            try:
                table = symtable.symtable(decode_source(path.read_bytes()), name, "exec")
            except (SyntaxError, UnicodeDecodeError):
                seen.broken.append(name)
            else:
                seen.defined[name] = sorted(_defined(table, "", in_class=False))
    return seen


def _files(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in SKIPPED]
        yield from (Path(folder, name) for name in names if name.endswith(".py"))


def _defined(table: symtable.SymbolTable, prefix: str, *, in_class: bool) -> Iterator[Defined]:
    for child in table.get_children():
        kind, name = str(child.get_type()), child.get_name()
        if kind == "class":
            yield ("class", prefix + name, child.get_lineno())
            yield from _defined(child, f"{prefix}{name}.", in_class=True)
        elif kind != "function":  # scopes of type parameters and annotations, which newer Pythons have
            yield from _defined(child, prefix, in_class=in_class)
        elif name != _LAMBDA and not (name in _COMPREHENSIONS and _ARGUMENT in child.get_identifiers()):
            yield ("method" if in_class else "function", prefix + name, child.get_lineno())
            yield from _defined(child, f"{prefix}{name}.", in_class=False)
