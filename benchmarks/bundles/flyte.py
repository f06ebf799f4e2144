"""Flyte's own `build_code_bundle`, as far as it goes without a control plane.

Cold and after an edit: `flyte._code_bundle.bundle.build_code_bundle` with ``dryrun``:
it lists and digests (`list_files_to_bundle`), packs (`create_bundle`) and copies the
archive to a directory; then the answer is put down with `_write_bundle_cache`, as after
an upload. Warm: what `build_code_bundle` does before it finds the answer in its record:
`list_files_to_bundle` with the default ignores, and `_read_bundle_cache`; a dry run
does not look there. Both run on the event loop, as in Flyte. The archive is compressed
by `pigz` where that is installed, and by Python where it is not.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import flyte
from flyte._code_bundle import bundle

from benchmarks.bundles.stopwatch import measured, say

_IGNORES = (bundle.StandardIgnore, bundle.GitIgnore, bundle.FlyteIgnore)


async def answer(root: Path) -> int:
    """Find a tree in the local record and return how many files it has."""
    files, digest = bundle.list_files_to_bundle(root, True, *_IGNORES, copy_style="all")
    if bundle._read_bundle_cache(digest) is None:  # noqa: SLF001
        raise RuntimeError(f"Flyte's record does not have {root} with digest {digest}")
    return len(files)


async def pack(root: Path, store: Path) -> tuple[int, Path]:
    """Bundle a tree; return how many files it has, and the archive."""
    built = await bundle.build_code_bundle(
        root, dryrun=True, copy_bundle_to=store, copy_style="all"
    )
    archive = Path(built.tgz)
    digest = archive.name.removeprefix("fast").removesuffix(".tar.gz")
    bundle._write_bundle_cache(  # noqa: SLF001
        digest, built.computed_version, built.tgz
    )
    return len(built.files), archive


def main() -> None:
    """Do the phase of the first argument with the tree of the second."""
    phase, root, store = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3], "store")
    flyte.init(project="bench", domain="bench")  # the record belongs to a project
    if phase == "warm":
        files, figures = asyncio.run(measured(lambda: answer(root)))
        say({**figures, "sent_bytes": 0, "files": files})
        return
    store.mkdir(parents=True, exist_ok=True)
    (files, archive), figures = asyncio.run(measured(lambda: pack(root, store)))
    say({**figures, "sent_bytes": archive.stat().st_size, "files": files})


if __name__ == "__main__":
    main()
