"""One `upload_bundle` in a process of its own: `python -m benchmarks.bundles.ours`.

Arguments: the phase, the tree, and a directory for cache and store. The clock runs from
the call to its end, in a session that was just opened: reading the local database is
part of it, and so is importing what aweigh imports only when it must ask a store. The
start of Python is not. Warm, a second call in the same session is timed, too.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aweigh import Settings, open_session
from benchmarks.bundles.stopwatch import measured, say

if TYPE_CHECKING:
    from aweigh import Bundle

_LIMIT = 1 << 40


async def upload(phase: str, root: Path, state: Path) -> dict[str, Any]:
    """Upload a tree to a directory and say what happened."""
    settings = Settings(
        cache_dir=state / "cache", data_dir=state / "data", bundle_size_limit=_LIMIT
    )
    async with open_session(settings) as session:

        async def work() -> Bundle:
            return await session.upload_bundle(root)

        bundle, figures = await measured(work)
        if phase == "warm":
            began = time.perf_counter()
            await work()
            figures["again_seconds"] = time.perf_counter() - began
    return {
        **figures,
        "sent_bytes": bundle.uploaded_bytes,
        "files": bundle.files,
        "origin": bundle.origin,
    }


def main() -> None:
    """Do as the arguments say."""
    phase, root, state = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    say(asyncio.run(upload(phase, root, state)))


if __name__ == "__main__":
    main()
