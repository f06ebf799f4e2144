"""What the files of a base's layers say: which Python, libc, links, distributions."""

from __future__ import annotations

import posixpath
import re
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aweigh.archive.compress import gunzip, unzstd
from aweigh.backends.assembler.bases.distributions import telling
from aweigh.errors import DamagedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Findings", "scan_layer", "unpacked"]

_PROGRAMS: Final = re.compile(r"(?:.*/)?bin/python(?:3(?:\.\d+)?)?")
_ALTERNATIVES: Final = re.compile(r"etc/alternatives/python\S*")
_GLIBC: Final = re.compile(r"(?:usr/)?lib(?:32|64|x32)?/(?:[^/]+/)?libc\.so\.6")
_GLIBC_FILE: Final = re.compile(r"libc-(\d+\.\d+)\.so")
_MUSL: Final = re.compile(r"(?:usr/)?lib/ld-musl-[^/]+\.so\.1")
_RELEASE: Final = re.compile(rb"GNU C Library [^\0\n]*?release version (\d+\.\d+)")
_LIBC_LIMIT: Final = 32 << 20
_LAYER_LIMIT: Final = 4 << 30
_LINK_DEPTH: Final = 2
_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"


@dataclass(slots=True)
class Findings:
    """What was seen so far, of any number of layers.

    Attributes:
        programs: Python interpreters by absolute path, with their link's text.
        links: Links near the root, with their absolute targets.
        libc: ``glibc 2.36`` or ``musl 1.2``; empty while unknown.
        metadata: What tells of distributions, by the place of the layer that has it.
    """

    programs: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    libc: str = ""
    metadata: dict[str, list[str]] = field(default_factory=dict)

    def resolve(self, path: str) -> str:
        """Follow the links of a path, as far as they were seen."""
        for _ in range(8):
            parts = path.split("/")
            for end in range(2, len(parts) + 1):
                link = "/".join(parts[:end])
                target = self.links.get(link) or self.programs.get(link)
                if target:
                    below = posixpath.join(posixpath.dirname(link), target)
                    path = posixpath.normpath("/".join([below, *parts[end:]]))
                    break
            else:
                return path
        return path


def scan_layer(chunks: Iterable[bytes], findings: Findings, *, place: int = 0) -> None:
    """Note what one layer holds.

    Args:
        chunks: The layer, compressed or not.
        findings: What other layers hold; this one is added.
        place: The layer's place in its base, counted from 0.

    Raises:
        DamagedError: It is no layer.
    """
    stream = _Stream(unpacked(iter(chunks), limit=_LAYER_LIMIT))
    told: set[str] = set()
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]  # it only ever calls read()
            for entry in archive:
                _note(archive, entry, findings)
                if kept := telling(posixpath.normpath(entry.name.lstrip("/"))):
                    told.add(kept)
    except (tarfile.TarError, EOFError) as error:
        raise DamagedError(
            f"a layer of the base is no tar archive ({error})",
            hint="pull and push the base again, or name another",
        ) from error
    findings.metadata[str(place)] = sorted(told)


def _note(archive: tarfile.TarFile, entry: tarfile.TarInfo, findings: Findings) -> None:
    path = posixpath.normpath(entry.name.lstrip("/"))
    if _PROGRAMS.fullmatch(path) or _ALTERNATIVES.fullmatch(path):
        findings.programs[f"/{path}"] = entry.linkname if entry.issym() else ""
    elif entry.issym() and path.count("/") < _LINK_DEPTH:
        findings.links[f"/{path}"] = entry.linkname
    if _MUSL.fullmatch(path):
        findings.libc = "musl 1.2"
    elif _GLIBC.fullmatch(path) and not findings.libc:
        findings.libc = _glibc(archive, entry)


def _glibc(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> str:
    """Read the version from the library's name, or from its own words."""
    if entry.issym():
        match = _GLIBC_FILE.search(entry.linkname)
        return f"glibc {match[1]}" if match else ""
    content = archive.extractfile(entry) if entry.isreg() else None
    if content is None:
        return ""
    told = _RELEASE.search(content.read(_LIBC_LIMIT))
    return f"glibc {told[1].decode()}" if told else ""


def unpacked(chunks: Iterator[bytes], *, limit: int) -> Iterator[bytes]:
    """Decompress by what the bytes are, whatever the media type says."""
    first = next(chunks, b"")
    whole = _again(first, chunks)
    if first.startswith(_GZIP_MAGIC):
        return gunzip(whole, limit=limit)
    if first.startswith(_ZSTD_MAGIC):
        return unzstd(whole, limit=limit)
    return whole


def _again(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


class _Stream:
    """The file object that tarfile reads a stream of pieces from."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size > 0:
            if not self._rest:
                self._rest = next(self._chunks, b"")
                if not self._rest:
                    break
            parts.append(self._rest[:size])
            self._rest = self._rest[size:]
            size -= len(parts[-1])
        return b"".join(parts)
