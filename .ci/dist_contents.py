"""Fails when the wheel or the sdist lacks a file or has one too many."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

SOURCE = Path("src")
BESIDE = {"LICENSE", "PKG-INFO", "README.md", "pyproject.toml"}


def main(dist: str, from_tree: str) -> int:
    """Compare what was built with the tree, and with a wheel built from that."""
    (wheel,) = Path(dist).glob("*.whl")
    (sdist,) = Path(dist).glob("*.tar.gz")
    (other,) = Path(from_tree).glob("*.whl")
    code = {
        path.relative_to(SOURCE).as_posix()
        for path in (SOURCE / "aweigh").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    said = [
        *_differences(wheel, _of_wheel(wheel), code | {"aweigh/py.typed"}),
        *_differences(sdist, _of_sdist(sdist), {f"src/{name}" for name in code}),
    ]
    if wheel.read_bytes() != other.read_bytes():
        said.append(f"{wheel.name}: another one from the sdist than from the tree")
    print(*said, sep="\n", end="\n" if said else "")
    if not said:
        print(f"{wheel.name}: {len(code)} files, the same from the sdist and the tree")
    return 1 if said else 0


def _of_wheel(path: Path) -> set[str]:
    with zipfile.ZipFile(path) as opened:
        names = {name for name in opened.namelist() if not name.endswith("/")}
    metadata = {name for name in names if ".dist-info/" in name}
    return names - metadata


def _of_sdist(path: Path) -> set[str]:
    with tarfile.open(path) as opened:
        names = {item.name for item in opened.getmembers() if item.isfile()}
    inside = {
        PurePosixPath(*PurePosixPath(name).parts[1:]).as_posix() for name in names
    }
    # The backend keeps what it rewrote beside the original.
    return inside - BESIDE - {"pyproject.toml.orig"}


def _differences(path: Path, found: set[str], wanted: set[str]) -> list[str]:
    lacks = [f"{path.name}: lacks {name}" for name in sorted(wanted - found)]
    return lacks + [f"{path.name}: has {name}" for name in sorted(found - wanted)]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
