"""DVC's own `build` with its state database, without a transfer to a remote.

`dvc_data.hashfile.build.build` walks the tree, asks the state for each file's MD5,
digests what it does not have, and stages references in memory: `dvc add` and `dvc
status` begin with it. In a thread, which DVC leaves to its caller.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import closing
from pathlib import Path

from dvc_data.hashfile.build import build  # type: ignore[import-not-found]
from dvc_data.hashfile.db import HashFileDB  # type: ignore[import-not-found]
from dvc_data.hashfile.state import State  # type: ignore[import-not-found]
from dvc_objects.fs.local import LocalFileSystem  # type: ignore[import-not-found]

from benchmarks.bundles.stopwatch import measured, say


def digest(root: Path, state: Path) -> int:
    """Build a tree and return how many files it has."""
    local = LocalFileSystem()
    with closing(State(root_dir=str(root), tmp_dir=str(state / "tmp"))) as known:
        objects = HashFileDB(local, str(state / "objects"), state=known)
        _, meta, _ = build(objects, str(root), local, "md5")
    return int(meta.nfiles)


async def work(root: Path, state: Path) -> int:
    """Build in a thread."""
    return await asyncio.to_thread(digest, root, state)


def main() -> None:
    """Build the tree of the second argument, whatever the phase."""
    root, state = Path(sys.argv[2]), Path(sys.argv[3])
    files, figures = asyncio.run(measured(lambda: work(root, state)))
    say({**figures, "files": files})


if __name__ == "__main__":
    main()
