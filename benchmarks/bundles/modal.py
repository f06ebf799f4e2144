"""Modal's own file specs of a directory, without its server.

`_Mount._batched_get_missing_files` lists the files, digests each one twice and asks the
server which it does not have, with the concurrency and batch that `_load_mount` uses,
and no ignore patterns, as in `Image.add_local_dir`. The server is one that has
everything and takes no time. Modal keeps nothing between two runs, so every phase costs
this, and an upload of what is missing comes on top.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path, PurePosixPath
from typing import Any

from modal import FilePatternMatcher, mount  # type: ignore[import-not-found]
from modal_proto import api_pb2  # type: ignore[import-not-found]

from benchmarks.bundles.stopwatch import measured, say

_AT_ONCE = 64


class _Everything:
    """A server that has every file."""

    async def MountBatchedCheckExistence(  # noqa: N802 - the name of the call
        self, _request: Any, **_options: Any
    ) -> Any:
        return api_pb2.MountBatchedCheckExistenceResponse()


class _Client:
    _stub = _Everything()


async def work(root: Path) -> int:
    """Make the specs of a tree and return how many there are."""
    added = mount._Mount._add_local_dir(  # noqa: SLF001
        root, PurePosixPath("/code"), FilePatternMatcher()
    )
    specs = mount._Mount._batched_get_missing_files(  # noqa: SLF001
        added.entries,
        _Client(),
        n_concurrent_checksums=_AT_ONCE,
        batch_size=_AT_ONCE,
    )
    return len([spec async for spec in specs])


def main() -> None:
    """Make the specs of the tree of the second argument, whatever the phase."""
    root = Path(sys.argv[2])
    files, figures = asyncio.run(measured(lambda: work(root)))
    say({**figures, "files": files})


if __name__ == "__main__":
    main()
