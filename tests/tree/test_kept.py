"""Contents that a scan keeps: what was digested, as long as nothing moved."""

import os
from pathlib import Path

import pytest

from aweigh.tree.entry import Kind
from aweigh.tree.kept import Kept, read_whole
from aweigh.tree.rules import Rules
from aweigh.tree.scan import scan


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three small files, one of them twice, and one that is too large to keep."""
    (tmp_path / "a").write_bytes(b"a" * 10_000)
    (tmp_path / "b").write_bytes(b"b" * 10_000)
    os.link(tmp_path / "b", tmp_path / "c")
    (tmp_path / "large").write_bytes(bytes(300 << 10))
    return tmp_path


def test_small_files_are_kept_and_given_away_once(root: Path) -> None:
    """Each path has its content, also where two name one file; then it is gone."""
    kept = scan(root, Rules(), keep=1 << 20).kept
    assert [kept.take(path) for path in (b"a", b"b", b"c")] == [
        b"a" * 10_000,
        b"b" * 10_000,
        b"b" * 10_000,
    ]
    assert kept.take(b"a") is None
    assert kept.take(b"large") is None
    assert kept.take(b"unknown") is None


def test_no_more_is_kept_than_there_is_room_for(root: Path) -> None:
    """What does not fit is read again; smaller files after it still fit."""
    (root / "d").write_bytes(b"d" * 40)
    kept = scan(root, Rules(), keep=25_000).kept
    found = [kept.take(path) is not None for path in (b"a", b"b", b"c", b"d")]
    assert found == [True, True, False, True]
    nothing = scan(root, Rules()).kept
    assert nothing.take(b"a") is None


def test_what_moved_is_not_given_away(root: Path) -> None:
    """An edit, a deletion or a new name: whoever packs must look for himself."""
    kept = scan(root, Rules(), keep=1 << 20).kept
    (root / "a").write_bytes(b"A" * 10_000)
    (root / "b").unlink()
    assert [kept.take(path) for path in (b"a", b"b", b"c")] == [None, None, None]


def test_followed_files_are_not_kept(root: Path) -> None:
    """Only what a look at its own path can prove is kept."""
    (root / "link").symlink_to("a")
    followed = scan(root, Rules(), follow=True, keep=1 << 20)
    assert [entry.kind for entry in followed.entries] == [Kind.FILE] * 5
    assert followed.kept.take(b"a") is None


def test_a_file_that_grew_is_not_read_whole(root: Path) -> None:
    """A reader that expects another size or another time gets nothing."""
    path = os.fsencode(root / "a")
    now = (root / "a").stat()
    numbers = (
        now.st_mode,
        now.st_size,
        now.st_mtime_ns,
        now.st_ctime_ns,
        now.st_ino,
    )
    assert read_whole(path, numbers) == b"a" * 10_000
    with (root / "a").open("ab") as file:
        file.write(b"more")
    assert read_whole(path, numbers) is None
    with pytest.raises(FileNotFoundError):
        read_whole(path + b"x", numbers)


def test_keeping_needs_no_look_at_the_disk() -> None:
    """What is kept under a path that is gone is not given away."""
    kept = Kept("/nowhere", 10)
    kept.keep(b"x", b"1", (0, 1, 0, 0, 0))
    assert kept.take(b"x") is None
