"""A signature in pieces: what is unchanged stays as it is, what is lost is read."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aweigh.tree import clock
from aweigh.tree import names as tree_names
from aweigh.tree.pieces import Piece
from aweigh.tree.rules import Rules
from aweigh.tree.scan import Tree, scan

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ALL = Rules(builtin=False, gitignore=False)
SMALL = 4096


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files count as old enough at once."""
    monkeypatch.setattr(clock, "_MARGIN", -3_600_000_000_000)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory whose signature has several small pieces."""
    root = tmp_path / "root"
    for number in range(60):
        write(root, f"d{number:02}/{number}.py", f"x = {number}\n" * 3)
        write(root, f"d{number:02}/second.py", "y\n")
    return root


def write(root: Path, path: str, text: str) -> None:
    """Make a file and its directory."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def look(root: Path, remembered: Sequence[Piece] = ()) -> Tree:
    """Scan with small pieces."""
    return scan(root, ALL, remembered=remembered, piece=SMALL)


def new(before: Tree, after: Tree) -> int:
    """How many pieces are other objects than before."""
    old = {id(piece.body) for piece in before.signature}
    return sum(id(piece.body) not in old for piece in after.signature)


def test_pieces_are_small_and_an_unchanged_tree_keeps_them(tree: Path) -> None:
    """The very same objects come back, and nothing is read."""
    first = look(tree)
    assert len(first.signature) > 3
    assert all(len(piece.body) < 2 * SMALL for piece in first.signature)
    second = look(tree, first.signature)
    assert (second.read, second.unchanged) == (0, True)
    assert new(first, second) == 0
    assert second.signature == first.signature
    assert second.entries == first.entries


@pytest.mark.parametrize("number", [0, 7, 31, 59])
def test_an_edit_packs_one_piece_anew(tree: Path, number: int) -> None:
    """Wherever it is; also one that makes the piece longer."""
    first = look(tree)
    write(tree, f"d{number:02}/second.py", "other\n")
    second = look(tree, first.signature)
    assert (second.read, second.unchanged, new(first, second)) == (1, False, 1)
    write(tree, f"d{number:02}/third.py", "")
    third = look(tree, second.signature)
    assert (third.read, third.unchanged) == (1, False)
    assert new(second, third) <= 3
    assert third.entries == look(tree).entries
    assert look(tree, third.signature).unchanged


def test_growing_and_shrinking(tree: Path) -> None:
    """From many pieces to one and back: nothing is read twice."""
    first = look(tree)
    for number in range(50):
        shutil.rmtree(tree / f"d{number:02}")
    second = look(tree, first.signature)
    assert (second.read, second.unchanged) == (0, False)
    assert len(second.signature) < len(first.signature)
    assert look(tree, second.signature).unchanged
    for number in range(50):
        write(tree, f"e{number:02}/{number}.py", "x")
    third = look(tree, second.signature)
    assert third.read == 50
    assert len(third.signature) > len(second.signature)
    assert look(tree, third.signature).unchanged


def test_pieces_stay_few_however_often_a_directory_is_added(tmp_path: Path) -> None:
    """Small ones are joined: what fits one piece is one piece."""
    write(tmp_path, "a/a", "")
    last = look(tmp_path)
    for number in range(60):
        write(tmp_path, f"{number * 7 % 60:02}/x", "")
        last = look(tmp_path, last.signature)
        size = sum(len(piece.body) for piece in last.signature)
        assert len(last.signature) <= 1 + size // (SMALL // 3)
    assert last.entries == look(tmp_path).entries


@pytest.mark.parametrize("lost", [Piece(b""), Piece(b"aweigh"), Piece(bytes(5000))])
def test_a_lost_piece_is_read_again_and_nothing_else(tree: Path, lost: Piece) -> None:
    """And the tree does not count as unchanged, for the same reason."""
    first = look(tree)
    for index in range(len(first.signature)):
        pieces = list(first.signature)
        pieces[index] = lost
        second = look(tree, pieces)
        assert not second.unchanged
        assert 0 < second.read < 60
        assert second.entries == first.entries
        assert new(first, second) <= 2


def test_what_was_in_a_lost_piece_may_be_gone_from_the_tree(tree: Path) -> None:
    """All that is left is remembered, but it is another tree than it was."""
    first = look(tree)
    pieces = [*first.signature[:-1], Piece(b"")]
    kept = look(tree, pieces)
    assert kept.read > 0
    for entry in list(first.entries)[-kept.read :]:
        (tree / entry.path).unlink()
    for folder in sorted(tree.iterdir()):
        if not any(folder.iterdir()):
            folder.rmdir()
    left = look(tree, pieces)
    assert (left.read, left.unchanged) == (0, False)


def test_damage_in_the_middle_loses_the_whole_piece(tree: Path) -> None:
    """A section with an impossible length hides where the next one begins."""
    first = look(tree)
    piece = first.signature[1]
    for at in (piece.first, piece.first + 8, len(piece.body) - 3000):
        damaged = bytearray(piece.body)
        damaged[at : at + 4] = b"\xff\xff\xff\x7f"
        pieces = [first.signature[0], Piece(bytes(damaged)), *first.signature[2:]]
        second = look(tree, pieces)
        assert not second.unchanged
        assert second.entries == first.entries


def test_pieces_of_two_scans_together_are_still_true(tree: Path) -> None:
    """Each section holds by itself: what is old in it is read again."""
    first = look(tree)
    write(tree, "d10/second.py", "edited\n")
    write(tree, "d50/second.py", "edited, too\n")
    second = look(tree, first.signature)
    assert len(first.signature) == len(second.signature)
    middle = len(first.signature) // 2
    mixed = [*first.signature[:middle], *second.signature[middle:]]
    third = look(tree, mixed)
    assert (third.read, third.unchanged) == (1, False)
    assert third.entries == second.entries


@given(
    st.lists(
        st.tuples(st.sampled_from("wrx"), st.integers(0, 30), st.integers(0, 3)),
        max_size=12,
    ),
    st.sets(st.integers(0, 9)),
)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_equal_to_a_scan_without_memory(
    tmp_path_factory: pytest.TempPathFactory,
    edits: list[tuple[str, int, int]],
    lost: set[int],
) -> None:
    """After any edits, with any pieces lost."""
    root = tmp_path_factory.mktemp("tree")
    for number in range(25):
        write(root, f"{number:02}/a", "a")
    last = scan(root, ALL, piece=800)
    for kind, folder, name in edits:
        path = root / f"{folder:02}"
        if kind == "w":
            write(path, str(name), kind * (name + 1))
        elif kind == "r":
            shutil.rmtree(path, ignore_errors=True)
        else:
            (path / "deep/er").mkdir(parents=True, exist_ok=True)
        pieces = [
            Piece(b"") if index in lost else piece
            for index, piece in enumerate(last.signature)
        ]
        found = scan(root, ALL, remembered=pieces, piece=800)
        fresh = scan(root, ALL, piece=800)
        assert found.entries == fresh.entries
        assert (found.files, found.size) == (fresh.files, fresh.size)
        if found.unchanged:
            assert found.entries == last.entries
        last = found
        assert scan(root, ALL, remembered=last.signature, piece=800).unchanged


def test_a_large_directory_has_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is compared by itself; a name more moves few files between them."""
    monkeypatch.setattr("aweigh.tree.walk.AT_ONCE", 50)
    monkeypatch.setattr(tree_names, "AT_ONCE", 50)
    for number in range(400):
        write(tmp_path, f"{number:03}", str(number))
    write(tmp_path, "2.d/inside", "x")
    (tmp_path / "3").mkdir()
    first = look(tmp_path)
    assert len(first.signature) > 3
    assert len(first.entries) == 402
    assert [entry.path for entry in first.entries] == sorted(
        [entry.path for entry in first.entries], key=str.encode
    )
    assert look(tmp_path, first.signature).unchanged
    write(tmp_path, "175", "edited")
    second = look(tmp_path, first.signature)
    assert (second.read, new(first, second)) == (1, 1)
    write(tmp_path, "000a", "new")
    third = look(tmp_path, second.signature)
    assert third.read == 1 + 8
    assert third.entries == look(tmp_path).entries
    (tmp_path / "222").unlink()
    fourth = scan(tmp_path, Rules(exclude=("1*",)), remembered=third.signature)
    fresh = scan(tmp_path, Rules(exclude=("1*",)))
    assert fourth.entries == fresh.entries


def test_collisions_among_many_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the names are too many to compare at once, and hashes meet."""
    monkeypatch.setattr("aweigh.tree.collisions.AT_ONCE", 10)
    monkeypatch.setattr("aweigh.tree.collisions._SLOTS", 16)
    for name in [*map(str, range(60)), "a", "A", "e\u0301", "\u00e9"]:
        write(tmp_path, name, "")
    (tmp_path / "B").mkdir()
    write(tmp_path, "b", "")
    assert sorted(look(tmp_path).collisions) == [
        ("A", "a"),
        ("b", "B"),
        ("e\u0301", "\u00e9"),
    ]


def test_parts_of_an_ignored_directory_are_no_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner left everything out: then it is an empty directory, once."""
    monkeypatch.setattr("aweigh.tree.walk.AT_ONCE", 5)
    monkeypatch.setattr(tree_names, "AT_ONCE", 5)
    write(tmp_path, "keep", "")
    for number in range(12):
        write(tmp_path, f"logs/{number}.log", "")
    found = scan(tmp_path, Rules(exclude=("*.log",)))
    assert [entry.path for entry in found.entries] == ["keep", "logs"]
    assert scan(
        tmp_path, Rules(exclude=("*.log",)), remembered=found.signature
    ).unchanged
