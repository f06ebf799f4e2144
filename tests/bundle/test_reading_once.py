"""Packing takes what the scan has read, and reads again only where it must."""

import os
from collections import Counter
from pathlib import Path

import pytest

from aweigh.bundle import scanner
from aweigh.bundle.manifest import Manifest
from aweigh.errors import ChangedError
from aweigh.events import Event, TreeScanned
from aweigh.testing.store import MemoryStore
from aweigh.tree.rules import Rules
from aweigh.tree.scan import scan
from tests.bundle.helpers import Bench, write_tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree of everything, with enough files for several packs."""
    root = write_tree(tmp_path / "code")
    for number in range(60):
        path = root / f"d{number % 7}" / f"f{number:02}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes([number]) * 9000)
    os.link(root / "d0" / "f00", root / "hard")
    (root / "d1" / "same").write_bytes(bytes([0]) * 9000)
    (root / "d2" / "\udcff").write_bytes(b"odd name")
    return root


def opened(root: Path, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often each file of a tree is opened from now on."""
    counts: Counter[str] = Counter()
    original = os.open

    def counting(
        path: str | bytes, flags: int, mode: int = 0o777, *, dir_fd: int | None = None
    ) -> int:
        full = os.fsdecode(path)
        if full.startswith(f"{root}/") and not flags & os.O_DIRECTORY:
            counts[full] += 1
        return original(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", counting)
    return counts


async def test_each_small_file_is_opened_once(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes that were digested are the bytes that are packed."""
    counts = opened(tree, monkeypatch)
    bundle = await Bench().upload(tree)
    assert bundle.uploaded_bytes
    assert set(counts.values()) == {1}
    assert len(counts) == 67


async def test_packs_do_not_tell_what_was_kept(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything, something or nothing kept: the objects have the same bytes."""
    stored = []
    for room in (scanner._KEEP, 100_000, 0):
        monkeypatch.setattr(scanner, "_KEEP", room)
        store = MemoryStore()
        await Bench(store=store).upload(tree)
        stored.append(store.objects)
    assert stored[0] == stored[1] == stored[2]
    assert len(stored[0]) > 3


@pytest.mark.parametrize("room", [1 << 20, 0])
async def test_an_edit_after_the_scan_starts_over(
    tree: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """Kept or not: two files that change together are never packed apart."""
    monkeypatch.setattr(scanner, "_KEEP", room)
    one, other = tree / "d0" / "f00", tree / "d6" / "f06"
    scans: list[Event] = []

    def listen(event: Event, /) -> None:
        if isinstance(event, TreeScanned):
            scans.append(event)
            if len(scans) == 1:
                one.write_bytes(b"new")
                other.write_bytes(b"new")

    store = MemoryStore()
    bundle = await Bench(store=store, also=listen).upload(tree)
    assert len(scans) == 2
    assert bundle.digest == (await Bench().upload(tree)).digest


async def test_a_touched_file_is_read_again_and_packed(tree: Path) -> None:
    """New times with the old content are no reason to start over."""
    scans: list[Event] = []

    def listen(event: Event, /) -> None:
        if isinstance(event, TreeScanned):
            scans.append(event)
            (tree / "main.py").touch()

    bundle = await Bench(also=listen).upload(tree)
    assert len(scans) == 1
    assert bundle.digest == (await Bench().upload(tree)).digest


async def test_a_restart_trusts_nothing_it_kept(tree: Path) -> None:
    """After a surprise every file is read anew, the kept ones too."""
    scans: list[TreeScanned] = []

    def listen(event: Event, /) -> None:
        if isinstance(event, TreeScanned):
            scans.append(event)
            (tree / "main.py").write_text(f"{len(scans)}")

    with pytest.raises(ChangedError):
        await Bench(also=listen).upload(tree)
    assert [scan.read for scan in scans] == [67] * 4


def test_rows_and_entries_make_one_manifest(tree: Path) -> None:
    """The quick way over columns and the checked way over objects agree."""
    found = scan(tree, Rules())
    assert Manifest.of_rows(found.entries.rows()) == Manifest.of(found.entries)
    paths = [os.fsencode(entry.path) for entry in found.entries]
    assert paths == sorted(paths)
    assert paths == [path for rows in found.entries.rows() for path in rows.paths]
