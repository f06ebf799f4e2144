"""Large files are digested side by side, and watched as closely as small ones."""

import hashlib
import os
from pathlib import Path

import pytest

from aweigh.errors import ChangedError
from aweigh.tree.reading import LARGE, SMALL
from aweigh.tree.rules import Rules
from aweigh.tree.scan import scan


def test_every_size_has_its_digest(tmp_path: Path) -> None:
    """Files of all sizes around the limits, several large ones at the same time."""
    sizes = [0, 1, SMALL - 1, SMALL, SMALL + 1, LARGE - 1, LARGE, LARGE + 1, LARGE * 2]
    for number, size in enumerate(sizes):
        (tmp_path / f"{number}").write_bytes(os.urandom(size))
    found = scan(tmp_path, Rules())
    assert found.read == len(sizes)
    for number, entry in enumerate(found.entries):
        content = (tmp_path / f"{number}").read_bytes()
        assert entry.digest is not None
        assert entry.digest.hex == hashlib.sha256(content).hexdigest()
        assert entry.size == sizes[number]


def test_a_large_file_that_keeps_changing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that never stops is noticed in another thread, too."""
    path = tmp_path / "large"
    path.write_bytes(bytes(LARGE))
    (tmp_path / "other").write_bytes(bytes(LARGE))
    original = os.read

    def read(descriptor: int, size: int) -> bytes:
        if Path(f"/proc/self/fd/{descriptor}").readlink() == path.resolve():
            with path.open("ab") as file:
                file.write(b"#")
        return original(descriptor, size)

    monkeypatch.setattr(os, "read", read)
    with pytest.raises(ChangedError) as caught:
        scan(tmp_path, Rules())
    assert caught.value.paths == ("large",)


def test_a_large_file_that_vanishes_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gone between the walk and the reading: it counts as never seen."""
    for name in ("gone", "there"):
        (tmp_path / name).write_bytes(bytes(LARGE))
    original = os.open

    def opening(path: str | bytes, flags: int, *rest: int, **named: int) -> int:
        if os.fsdecode(path).endswith("/gone"):
            (tmp_path / "gone").unlink(missing_ok=True)
        return original(path, flags, *rest, **named)

    monkeypatch.setattr(os, "open", opening)
    assert [entry.path for entry in scan(tmp_path, Rules()).entries] == ["there"]
