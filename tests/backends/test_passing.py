"""Small objects get their name with their content, whatever the file system can do."""

import errno
import os
from pathlib import Path

import pytest

from aweigh.backends.objects import passing
from aweigh.backends.objects.passing import Passing, Renewing


def put(root: Path, body: bytes = b"whole") -> bool:
    """Put one object and see that nothing is left beside it."""
    made = Passing(str(root), f"{root}/packs/one").whole(body)
    assert os.listdir(root) == ["packs"]  # noqa: PTH208 - names
    return made


@pytest.fixture(params=["nameless", "no such files", "refused", "no link"])
def root(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A directory of each kind of file system."""
    original = os.link

    def link(source: str, path: str, src_dir_fd: int | None = None) -> None:
        if source.startswith("/proc/"):
            raise OSError(errno.EXDEV, "no")
        original(source, path, src_dir_fd=src_dir_fd)

    match request.param:
        case "no such files":
            monkeypatch.setattr(passing, "_NAMELESS", 0)
        case "refused":
            # What a file system says that has none: not a directory's flags.
            monkeypatch.setattr(passing, "_NAMELESS", os.O_CREAT | os.O_DIRECTORY)
        case "no link":
            monkeypatch.setattr(os, "link", link)
        case _:
            pass
    return tmp_path / "store"


def test_created_once(root: Path) -> None:
    """The second writer is told that the object is there, and leaves it as it is."""
    assert put(root)
    assert not put(root, b"other")
    assert (root / "packs" / "one").read_bytes() == b"whole"


def test_the_umask_decides_who_reads(root: Path) -> None:
    """An object has the mode of any file that is made there."""
    put(root)
    (root.parent / "any").touch()
    modes = {path.stat().st_mode for path in (root / "packs/one", root.parent / "any")}
    assert len(modes) == 1


def test_an_empty_file_is_no_object(root: Path) -> None:
    """What a machine that lost its power left is replaced."""
    (root / "packs").mkdir(parents=True)
    (root / "packs" / "one").touch()
    assert put(root)
    assert (root / "packs" / "one").read_bytes() == b"whole"


def test_a_rival_between_look_and_link_wins(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two writers that both saw nothing: one creates, the other is told."""
    monkeypatch.setattr(Passing, "_needless", lambda _: False)
    assert put(root)
    assert not put(root, b"other")
    assert (root / "packs" / "one").read_bytes() == b"whole"


def test_renewing_replaces(root: Path) -> None:
    """The new file takes the place of the old one."""
    put(root)
    before = (root / "packs" / "one").stat().st_ino
    assert Renewing(str(root), f"{root}/packs/one").whole(b"whole")
    assert (root / "packs" / "one").stat().st_ino != before


def test_a_stopped_writer_leaves_nothing(root: Path) -> None:
    """Cancelled before it began: no object, nothing beside it."""
    stopped = Passing(str(root), f"{root}/packs/one")
    stopped.stop()
    assert not stopped.whole(b"whole")
    assert [path for path in root.rglob("*") if path.is_file()] == []


def test_large_objects_wait_for_the_disk(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From 4 MiB on the content is on the disk before it has its name."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    put(root, bytes(4 << 20))
    assert len(synced) in {1, 2}
