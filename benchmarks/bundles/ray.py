"""Ray's own packaging of a `working_dir`, without a cluster.

`upload_working_dir_if_needed` is followed with its own functions: the URI by
`get_uri_for_directory` with the default excludes; if the store (here a directory) has
no such package, `create_package`, reading it and writing its bytes to the store, where
Ray would send them to its control store. Ray refuses packages of 512 MiB and more; that
check is in the sending and so not met here. In a thread, which Ray leaves to its
caller: on the loop, the gap would be the whole time.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from ray._private import ray_constants
from ray._private.runtime_env import packaging

from benchmarks.bundles.stopwatch import measured, say


def upload(root: Path, store: Path) -> int:
    """Package a tree unless the store has it; return the bytes that were sent."""
    store.mkdir(parents=True, exist_ok=True)
    excludes = ray_constants.get_runtime_env_default_excludes()
    uri = packaging.get_uri_for_directory(str(root), True, excludes=excludes)
    kept = store / uri.rpartition("/")[2]
    if kept.exists():
        return 0
    package = store.parent / f"{time.time_ns()}_{kept.name}"
    packaging.create_package(str(root), package, True, excludes=excludes)
    content = package.read_bytes()
    package.unlink()
    kept.write_bytes(content)
    return len(content)


async def work(root: Path, store: Path) -> int:
    """Upload in a thread."""
    return await asyncio.to_thread(upload, root, store)


def main() -> None:
    """Upload the tree of the second argument, whatever the phase."""
    root, state = Path(sys.argv[2]), Path(sys.argv[3])
    sent, figures = asyncio.run(measured(lambda: work(root, state / "store")))
    say({**figures, "sent_bytes": sent})


if __name__ == "__main__":
    main()
