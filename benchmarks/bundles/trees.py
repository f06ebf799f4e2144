"""The trees that are bundled, and the edit of one of their files."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["TREES", "Kind", "Tree"]

_WORDS: Final = (
    *("import", "return", "self", "def", "value", "for", "in", "range", "None"),
    *(f"name_{number}" for number in range(500)),
)
_SMALL: Final = 4096
_BIG: Final = 500_000_000
_BLOCK: Final = 1 << 20
_EXPONENTS: Final = bytes([0x3D, 0x3E, 0x3F, 0xBD, 0xBE, 0xBF])
_MARK: Final = 64


@dataclass(frozen=True, slots=True)
class Kind:
    """A tree that can be made.

    Attributes:
        title: What it is.
        files: How many files it has.
        write: Writes it.
        edited: The file that is edited.
    """

    title: str
    files: int
    write: Callable[[Path, int], None]
    edited: str


def write_small(root: Path, files: int) -> None:
    """Write files that look like source code, 100 in each directory."""
    random = Random(1)
    for number in range(files):
        if number % 100 == 0:
            folder = root / f"d{number // 100:04}"
            folder.mkdir(parents=True)
        text = " ".join(random.choices(_WORDS, k=700))[:_SMALL]
        (folder / f"module_{number:06}.py").write_text(text)


def write_big(root: Path, files: int) -> None:
    """Write files of 500 MB, in turn like floats of a model and like text."""
    random = Random(1)
    root.mkdir(parents=True)
    for number in range(files):
        blocks = _text(random) if number % 2 else _floats(random)
        with (root / f"big_{number}.bin").open("wb") as file:
            left = _BIG
            while left:
                left -= file.write(next(blocks)[:left])


def _floats(random: Random) -> Iterator[bytes]:
    table = bytes(_EXPONENTS[value % len(_EXPONENTS)] for value in range(256))
    while True:
        block = bytearray(random.randbytes(_BLOCK))
        block[3::4] = block[3::4].translate(table)
        yield bytes(block)


def _text(random: Random) -> Iterator[bytes]:
    lines = [" ".join(random.choices(_WORDS, k=12)) + "\n" for _ in range(150_000)]
    while True:
        random.shuffle(lines)
        yield "".join(lines).encode()


_EDITED: Final = "d0000/module_000007.py"

TREES: Final = {
    "200": Kind("200 files of 4 KB", 200, write_small, _EDITED),
    "10k": Kind("10,000 files of 4 KB", 10_000, write_small, _EDITED),
    "100k": Kind("100,000 files of 4 KB", 100_000, write_small, _EDITED),
    "big": Kind("2 files of 500 MB", 2, write_big, "big_1.bin"),
    "1m": Kind("1,000,000 files of 4 KB", 1_000_000, write_small, _EDITED),
}


class Tree:
    """A tree on the disk."""

    def __init__(self, name: str, folder: Path) -> None:
        """Make a tree in a folder, unless it is there from an earlier run."""
        kind = TREES[name]
        self.name = name
        self.root = folder / name
        made = folder / f"{name}.made"
        if not made.exists():
            shutil.rmtree(self.root, ignore_errors=True)
            kind.write(self.root, kind.files)
            made.touch()
        self._file = self.root / kind.edited
        self._place = self._file.stat().st_size // 2
        with self._file.open("rb") as file:
            file.seek(self._place)
            self._before = file.read(_MARK)

    def edit(self, token: str) -> None:
        """Change 64 bytes in the middle of one file, and nothing else."""
        self._write(f"\n# edited: {token}".encode().ljust(_MARK)[:_MARK])

    def restore(self) -> None:
        """Undo the edit."""
        self._write(self._before)

    def _write(self, content: bytes) -> None:
        with self._file.open("r+b") as file:
            file.seek(self._place)
            file.write(content)
