"""Two parsers, one truth: what the handler finds and what the independent walk finds."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from hadoken.demo.index import chain
from hadoken.demo.source import TOP, definitions, listing, package_of, python_files
from hadoken.demo.walk import walk

TRICKY = textwrap.dedent(
    '''
    """A module."""
    import functools

    if True:
        def when(): ...
    else:
        def when(): ...

    @functools.lru_cache(
        maxsize=None,
    )
    def decorated(a=lambda: 0, b=[x for x in (1, 2)]):
        class Local:
            async def method(self):
                return [y for y in (lambda: (z for z in ()))()]
        return {k: v for k, v in ()}

    class Outer(dict):
        try:
            def __private(self): ...
        except NameError:
            def fallback(self): ...
        with open("x") as f:
            class Inner:
                def deep(self):
                    def deeper(): ...
        match 1:
            case 1:
                def matched(self): ...

    class genexpr:
        def listcomp(self, it):
            return [i for i in it]

    def setcomp(): ...
    for _ in ():
        async def looped(): ...
    '''
)


def test_both_parsers_find_the_same(tmp_path: Path) -> None:
    """Nested, decorated, conditional and oddly named definitions: same kinds, names and lines."""
    (tmp_path / "tricky.py").write_text(TRICKY)
    found = definitions(TRICKY.encode(), "tricky.py")
    assert [each.name for each in found[:4]] == ["when", "when", "decorated", "decorated.Local"]
    assert ("method", "decorated.Local.method") in [each[:2] for each in found]
    assert ("function", "Outer.Inner.deep.deeper") in [each[:2] for each in found]
    assert ("method", "genexpr.listcomp") in [each[:2] for each in found]
    assert walk([tmp_path]).defined == {"tricky.py": sorted(map(tuple, found))}


def test_the_encoding_of_a_file_is_its_own(tmp_path: Path) -> None:
    """A file says in which encoding it is written; both parsers listen."""
    source = "# -*- coding: latin-1 -*-\ndef \u00e9t\u00e9(): ...\n".encode("latin-1")
    (tmp_path / "latin.py").write_bytes(source)
    assert [each.name for each in definitions(source, "latin.py")] == ["\u00e9t\u00e9"]
    assert walk([tmp_path]).defined == {"latin.py": [("function", "\u00e9t\u00e9", 2)]}


def test_what_is_no_python_is_broken_for_both(tmp_path: Path) -> None:
    """The handler's parser raises SyntaxError with the file's name; the walk puts the file aside."""
    (tmp_path / "prose.py").write_text("not a program\n")
    (tmp_path / "bytes.py").write_bytes(b"x = '\xff'\n")
    assert sorted(walk([tmp_path]).broken) == ["bytes.py", "prose.py"]
    with pytest.raises(SyntaxError, match=r"prose\.py"):
        definitions(b"not a program\n", "prose.py")


def test_a_listing_leaves_out_what_is_no_library(tmp_path: Path) -> None:
    """Skipped folders at any depth are left out, by the listing and by the walk; a file of such a name is not."""
    for name in ("a.py", "pkg/b.py", "pkg/sub/c.py", "test/d.py", "pkg/tests/e.py", "pkg/test.py", "x.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    assert python_files(tmp_path) == ["a.py", "pkg/b.py", "pkg/sub/c.py", "pkg/test.py"]
    assert sorted(walk([tmp_path]).defined) == python_files(tmp_path)
    bodies = listing(tmp_path, "r")
    assert [(each.package, each.package_files) for each in bodies] == [(TOP, 1), ("pkg", 2), ("pkg.sub", 1), ("pkg", 2)]


def test_a_package_names_a_message_group() -> None:
    """Spaces and foreign letters are replaced, and the name is short enough for a group id."""
    assert package_of("email/mime/text.py") == "email.mime"
    assert package_of("my code/\u00fcber/x.py") == "my_code._ber"
    assert len(package_of("d/" * 200 + "x.py")) == 100


def test_the_walk_chains_as_the_index_does(tmp_path: Path) -> None:
    """Both fold the files of a package in their order; another order is another digest."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.py").write_text(f"def {name}(): ...\n")
    digest = chain(chain("", "a.py", 1), "b.py", 1)
    assert walk([tmp_path]).digests() == {TOP: digest}
    assert digest != chain(chain("", "b.py", 1), "a.py", 1)
