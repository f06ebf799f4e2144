"""The page on the store format is enough to read a bundle."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

from aweigh.backends.objects.opening import open_store
from aweigh.events import silent
from tests.bundle.helpers import Bench, contents, write_tree
from tests.bundle.reader import read_bundle

if TYPE_CHECKING:
    from pathlib import Path


async def test_another_program_reads_it(tmp_path: Path) -> None:
    """A short reader makes the same tree: many packs, large files, all kinds."""
    root = write_tree(tmp_path / "code")
    drawn = random.Random(1)  # noqa: S311
    for number in range(300):
        folder = root / f"part{number % 7}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.bin").write_bytes(drawn.randbytes(3000))
    (root / "large").write_bytes(drawn.randbytes(9 << 20))
    odd = os.fsencode(root) + b"/caf\xe9"
    os.symlink(b"caf\xea", odd)  # noqa: PTH211
    async with open_store((tmp_path / "store").as_uri(), listener=silent) as store:
        made = await Bench(store=store).upload(root)
    assert len(list((tmp_path / "store" / "packs").iterdir())) > 5
    read_bundle(made.uri, os.fsencode(tmp_path / "out"))
    assert contents(tmp_path / "out") == contents(root)
