"""A built wheel in the one form that its contents have, whoever packed it and when.

Format: the binary distribution format of packaging.python.org (PEP 427) and RECORD
(PEP 376). Times, order, owners and compression are no content; neither is the version
of the backend that wrote it.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from typing import TYPE_CHECKING, Final

from aweigh.backends.assembler.wheels.records import Row, write_record
from aweigh.errors import InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

__all__ = ["digest_of", "normalise_wheel"]

# The first moment that a zip can name.
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_UNIX: Final = 3
_FILE: Final = 0o100000
_EXECUTABLE: Final = 0o111
_PIECE: Final = 1 << 20
_GENERATOR: Final = re.compile(rb"(?mi)^Generator:[^\r\n]*")
_METADATA: Final = ".dist-info"
# RECORD is written anew; the rest is what tools tell of a build and its machine.
_DROPPED: Final = frozenset({
    "RECORD", "RECORD.jws", "RECORD.p7s", "direct_url.json", "uv_build.json",
    "uv_cache.json",
})  # fmt: skip


def normalise_wheel(built: Path, target: Path, host_paths: Collection[str]) -> str:
    """Write a wheel again, the same for the same contents; blocks on the disk.

    Members are stored as they are: compressed bytes differ between versions of zlib.

    Args:
        built: What a build backend wrote.
        target: Where to write.
        host_paths: Paths that must not be in it, such as that of the build.

    Returns:
        The path of a member that contains one of these, and then what was written is
        no wheel; empty when all is well.

    Raises:
        InvalidValueError: It is no wheel.
    """
    needles = [path.encode() for path in host_paths]
    try:
        with zipfile.ZipFile(built) as archive, zipfile.ZipFile(target, "w") as out:
            return _copy(archive, out, needles)
    except zipfile.BadZipFile as exc:
        raise InvalidValueError(
            f"{built.name} is no wheel: {exc}", hint="see what its backend writes"
        ) from exc


def _copy(
    archive: zipfile.ZipFile, out: zipfile.ZipFile, needles: Sequence[bytes]
) -> str:
    found = {
        one.filename: one
        for one in archive.infolist()
        if not one.is_dir() and not _is_dropped(one.filename)
    }
    info = next((path.split("/")[0] for path in found if _is_description(path)), None)
    if info is None:
        raise zipfile.BadZipFile("it says nothing of what it runs on")
    rows = []
    # Installers look for the metadata at the end, as PEP 427 recommends.
    for path in sorted(found, key=lambda one: (one.startswith(f"{info}/"), one)):
        mode = found[path].external_attr >> 16
        pieces = _pieces(archive, path)
        hasher, size, tail = hashlib.sha256(), 0, b""
        with out.open(_entry(path, mode), "w") as file:
            for piece in pieces:
                if any(needle in tail + piece for needle in needles):
                    return path
                tail = piece[-max(map(len, needles), default=1) :]
                hasher.update(piece)
                size += file.write(piece)
        text = base64.urlsafe_b64encode(hasher.digest()).rstrip(b"=").decode()
        rows.append(Row(path, f"sha256={text}", str(size)))
    record = f"{info}/RECORD"
    out.writestr(_entry(record, 0), write_record([*rows, Row(record)]))
    return ""


def _pieces(archive: zipfile.ZipFile, path: str) -> Iterator[bytes]:
    if _is_description(path):
        yield _GENERATOR.sub(b"Generator: aweigh", archive.read(path))
        return
    with archive.open(path) as file:
        while piece := file.read(_PIECE):
            yield piece


def _entry(path: str, mode: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(path, _EPOCH)
    entry.create_system = _UNIX
    rights = 0o755 if mode & _EXECUTABLE else 0o644
    entry.external_attr = (_FILE | rights) << 16
    return entry


def _is_description(path: str) -> bool:
    directory, _, name = path.partition("/")
    return directory.endswith(_METADATA) and name == "WHEEL"


def _is_dropped(path: str) -> bool:
    directory, _, name = path.partition("/")
    return directory.endswith(_METADATA) and name in _DROPPED


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal; blocks on the disk."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
