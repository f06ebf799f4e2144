"""What is remembered of directories counts for the same facts only."""

from __future__ import annotations

from array import array
from dataclasses import replace

import pytest

from aweigh.tree.names import joined, parted
from aweigh.tree.pieces import Piece, Remembered
from aweigh.tree.signature import Facts

FACTS = Facts(
    path=b"pkg/",
    names=b"a\0b",
    stats=array("q", range(10)),
    device=7,
    kept_empty=False,
    rules=b"r" * 16,
)


def remembered(*, device: int = 7, follow: bool = False, root: int = 7) -> Remembered:
    """What a signature of one directory says to a later walk."""
    section, _ = FACTS.section(b"d" * 64, files=2, size=7, settled=1 << 62)
    piece = Piece.of([section], device=root, follow=False)
    return Remembered([piece], device=device, follow=follow)


def test_the_same_facts_are_recognised() -> None:
    """With all that was remembered beside them."""
    memory = remembered()
    section = memory.same(FACTS)
    assert section is not None
    assert (section.count, section.files, section.size) == (2, 2, 7)
    assert section.has(FACTS)
    assert len(memory) == 1


@pytest.mark.parametrize(
    "other",
    [
        replace(FACTS, path=b"pkh/"),
        replace(FACTS, names=b"a\0c"),
        replace(FACTS, stats=array("q", [*range(9), 0])),
        replace(FACTS, names=b"a", stats=array("q", range(5))),
        replace(FACTS, device=8),
        replace(FACTS, kept_empty=True),
        replace(FACTS, rules=b"s" * 16),
        replace(FACTS, part=1),
    ],
)
def test_other_facts_are_not(other: Facts) -> None:
    """Each of them: another mounted file system, another rule."""
    assert remembered().same(other) is None


def test_another_root_or_way_of_walking_remembers_nothing() -> None:
    """The root's file system, and whether symlinks were followed."""
    assert len(remembered(device=8)) == 0
    assert remembered(follow=True).of(b"pkg/") is None


def test_names_come_back() -> None:
    """Also those that are no text."""
    names = ["a", "\udcff", "é\n"]
    assert parted(joined(names)) == names
    assert parted(b"") == []
