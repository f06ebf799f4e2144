"""The floor in Python: `os.scandir` and `stat` of every file, in one thread."""

from __future__ import annotations

import os
import sys
import time

from benchmarks.bundles.stopwatch import cpu_seconds, say


def walk(root: str) -> int:
    """Stat every file below a directory and return how many there are."""
    files = 0
    folders = [root]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    entry.stat(follow_symlinks=False)
                    files += 1
    return files


def main() -> None:
    """Walk the tree of the second argument twice: as ours, the second is `again`."""
    root = sys.argv[2]
    used, began = cpu_seconds(), time.perf_counter()
    files = walk(root)
    seconds, used = time.perf_counter() - began, cpu_seconds() - used
    began = time.perf_counter()
    walk(root)
    again = time.perf_counter() - began
    figures = {"seconds": seconds, "cpu_seconds": used, "again_seconds": again}
    say({**figures, "files": files})


if __name__ == "__main__":
    main()
