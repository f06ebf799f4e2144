"""Paths that several distributions write with different content: the later one wins."""

from __future__ import annotations

import json
import shutil
import zlib
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aweigh.events import Warned
from aweigh.memory import digest_parts
from aweigh.oci import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from aweigh.backends.assembler.wheels.installed import Installed
    from aweigh.backends.assembler.wheels.keep import Keep
    from aweigh.image.lock import LockedWheel
    from aweigh.image.plan import PythonLayer

__all__ = ["Conflict", "Overlaps", "find_conflicts", "settle"]

_FORMAT: Final = "record-1"


@dataclass(frozen=True, slots=True)
class Conflict:
    """Paths that the same distributions disagree about.

    Attributes:
        paths: The paths in the stage, sorted.
        writers: Who writes them, in the order of installing; the last one's content
            counts.
    """

    paths: tuple[str, ...]
    writers: tuple[LockedWheel, ...]

    def warning(self) -> Warned:
        """Tell the user."""
        names = " and ".join(wheel.name for wheel in self.writers)
        more = len(self.paths) - 1
        files = f" and {more} more file{'s' * (more > 1)}" if more else ""
        return Warned(
            message=f"{names} write different contents to {self.paths[0]}{files}; "
            f"that of {self.writers[-1].name} counts",
            hint="see whether both are needed",
        )


def find_conflicts(installed: Iterable[Installed]) -> list[Conflict]:
    """List what the distributions of one stage disagree about."""
    return _conflicts((one.wheel, _contents(one)) for one in installed)


def settle(stage: Path, conflict: Conflict, alone: Path) -> None:
    """Take paths from where the last writer was unpacked alone; blocks on the disk."""
    for path in conflict.paths:
        place = stage / path
        place.unlink(missing_ok=True)
        shutil.copy2(alone / path, place)


class Overlaps:
    """Finds what wheels in different layers of one image disagree about.

    Only wheels that were unpacked on this machine are known: now, or when their layer
    was made earlier. Of a layer that another machine made nothing is said.

    Args:
        keep: Where it is kept what wheels consist of.
    """

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._layers: list[PythonLayer] = []
        self._known: dict[Digest, dict[str, str]] = {}
        self._told: set[tuple[Digest, ...]] = set()

    def expect(self, layer: PythonLayer) -> None:
        """Note a layer of the image; the lowest comes first."""
        self._layers.append(layer)

    def look(self, installed: Sequence[Installed], directory: Path) -> list[Conflict]:
        """Compare the wheels of a layer with those of the others; blocks on the disk.

        Each conflict is returned once, by whichever of its layers is made last.

        Args:
            installed: The wheels of one layer.
            directory: A place to write into.

        Raises:
            OSError: The disk is full.
        """
        mine = {one.wheel.digest: _contents(one) for one in installed}
        for digest, contents in mine.items():
            if digest not in self._known:
                self._write(digest, contents, directory)
        self._known |= mine
        found = []
        for one in _conflicts(self._candidates(set(mine))):
            pair = tuple(wheel.digest for wheel in one.writers)
            if pair not in self._told and not self._together(pair):
                self._told.add(pair)
                found.append(one)
        return found

    def _candidates(
        self, mine: set[Digest]
    ) -> Iterable[tuple[LockedWheel, dict[str, str]]]:
        """Yield the wheels of all layers, of others only the paths that we have."""
        ours = {path for digest in mine for path in self._known[digest]}
        for layer in self._layers:
            for wheel in layer.wheels:
                known = self._recall(wheel.digest)
                yield wheel, {path: known[path] for path in known.keys() & ours}

    def _together(self, wheels: tuple[Digest, ...]) -> bool:
        """Whether all are in one layer, which is settled when it is made."""
        return any(
            set(wheels) <= {wheel.digest for wheel in layer.wheels}
            for layer in self._layers
        )

    def _recall(self, digest: Digest) -> dict[str, str]:
        if digest not in self._known:
            self._known[digest] = self._read(digest)
        return self._known[digest]

    def _read(self, digest: Digest) -> dict[str, str]:
        key = _key(digest)
        for file in self._keep.read(key) or ():
            packed = file.path.read_bytes()
            if Digest.of(packed) == file.digest:
                found: dict[str, str] = json.loads(zlib.decompress(packed))
                return found
            self._keep.drop(key)
        return {}

    def _write(self, digest: Digest, contents: dict[str, str], directory: Path) -> None:
        key = _key(digest)
        if self._keep.read(key) is not None:
            return
        packed = zlib.compress(json.dumps(contents, sort_keys=True).encode(), 1)
        place = directory / f"record-{digest.hex}"
        place.mkdir()
        (place / "0").write_bytes(packed)
        self._keep.add(key, place, [("RECORD", len(packed), Digest.of(packed))])


def _key(digest: Digest) -> str:
    return digest_parts((_FORMAT, digest.hex)).hex()


def _contents(one: Installed) -> dict[str, str]:
    """Return the digests of a distribution's files, as its RECORD writes them."""
    return {path: row.hash for path, row in one.rows.items() if row.hash}


def _conflicts(
    distributions: Iterable[tuple[LockedWheel, dict[str, str]]],
) -> list[Conflict]:
    writers: dict[str, list[LockedWheel]] = {}
    contents: dict[str, set[str]] = {}
    for wheel, said in distributions:
        for path, content in said.items():
            writers.setdefault(path, []).append(wheel)
            contents.setdefault(path, set()).add(content)
    paths: dict[tuple[LockedWheel, ...], list[str]] = defaultdict(list)
    for path in sorted(contents):
        if len(contents[path]) > 1:
            paths[tuple(writers[path])].append(path)
    return [Conflict(tuple(held), wrote) for wrote, held in paths.items()]
