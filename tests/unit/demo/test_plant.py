"""The planted trouble, and how it is mixed in."""

from __future__ import annotations

import itertools
from pathlib import Path

from hadoken.demo.app import VISIBILITY
from hadoken.demo.plant import PAUSE, RECEIVES, Plant, interleaved
from hadoken.demo.source import SourceFile
from hadoken.demo.walk import walk


def test_what_is_planted_is_what_is_expected(tmp_path: Path) -> None:
    """The numbers follow from the files: the independent walk finds those that are there."""
    plant = Plant(tmp_path, not_python=2, gone=3, slow=1)
    bodies = plant.listing("r")
    assert len(bodies) == 6
    assert all(body.package_files == 6 for body in bodies)
    assert [body.file for body in bodies if body.pause] == ["planted/slow_1.py"]
    assert PAUSE > VISIBILITY
    plant.take_away()
    seen = walk([tmp_path])
    assert len(seen.broken) == 2
    assert sorted(seen.defined) == ["planted/slow_1.py"]
    expected = plant.expected
    assert (expected.retried, expected.extended) == (3 * (RECEIVES - 1), 1)
    assert len(expected.reasons) == 5


def test_the_few_are_spread_over_the_many() -> None:
    """All are there, in their order, and no two of the few are neighbours."""
    many = [SourceFile("r", "", f"m{at}", "p", 1) for at in range(20)]
    few = [SourceFile("r", "", f"f{at}", "p", 1) for at in range(4)]
    mixed = [body.file for body in interleaved(many, few)]
    assert [name for name in mixed if name[0] == "m"] == [body.file for body in many]
    places = [at for at, name in enumerate(mixed) if name[0] == "f"]
    assert len(places) == 4
    assert all(later - earlier > 1 for earlier, later in itertools.pairwise(places))
    assert [body.file for body in interleaved([], few)] == [body.file for body in few]
