"""A staged installation becomes the members of a layer, the same on every machine."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aweigh.archive.member import Member, with_directories
from aweigh.backends.assembler.wheels.places import Places
from aweigh.backends.assembler.wheels.records import Row, read_record, write_record
from aweigh.errors import SpecError
from aweigh.image.install import VENV
from aweigh.oci import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["in_directories", "staged_members"]

_PYTHON: Final = f"#!{VENV}/bin/python\n".encode()
# The form for interpreters whose path is too long for a shebang.
_SHELL_LINES: Final = re.compile(rb"#!/bin/sh\n'''exec' [^\n]*\n' '''\n")
_SHEBANG: Final = re.compile(rb"#![^\n]*python[^\n]*\n", re.IGNORECASE)
_SCRIPT_LIMIT: Final = 1 << 20
# What an installer writes about itself and this machine.
_DROPPED: Final = frozenset({"REQUESTED", "uv_build.json", "uv_cache.json"})
_ORIGIN: Final = "direct_url.json"
# A package may carry others, with metadata that nobody installed: not those.
_INFO: Final = re.compile(r"[^/]+\.dist-info")
_RECORD: Final = re.compile(r"[^/]+\.dist-info/RECORD")
_WRITTEN: Final = re.compile(r"bin/[^/]+|[^/]+\.pth|[^/]+\.dist-info/[^/]+")


@dataclass(frozen=True, slots=True)
class _File:
    """A staged file: where it is, its path in the stage, and what replaces it."""

    source: Path
    path: str
    status: os.stat_result
    content: bytes | None = None


def staged_members(
    stage: Path, python: str, *, host_paths: Iterable[str], trust: bool
) -> tuple[Member, ...]:
    """List a stage as it will be in the image; blocks on the disk.

    Args:
        stage: Where wheels were unpacked.
        python: The Python version as ``X.Y``.
        host_paths: Paths of this machine, which no file may contain.
        trust: Take digests from RECORD, so that what is packed is checked.

    Raises:
        SpecError: A file leads out of the image or names a path of this machine; two
            paths differ only in case or in the form of their characters.
    """
    files = [one for one in _walk(stage, "") if not _is_dropped(one)]
    places = Places.of(python, {one.path for one in files})
    files = [_rewritten(one) for one in files]
    for one in files:
        _refuse_host_paths(one, tuple(path.encode() for path in host_paths))
    rows = _rows(files)
    changed = {one.path: one for one in files if one.content is not None}
    kept = {one.path for one in files}
    members = [
        _record(one, places, changed, kept)
        if _RECORD.fullmatch(one.path)
        else _member(one, places, rows.get(one.path) if trust else None)
        for one in files
    ]
    _refuse_collisions(members)
    return in_directories(members)


def in_directories(members: Iterable[Member]) -> tuple[Member, ...]:
    """Sort members by the bytes of their paths, with all directories they are in."""
    listed = sorted(members, key=lambda member: os.fsencode(member.path))
    found = {member.path: member for member in [*with_directories(listed), *listed]}
    # A directory sorts before what is in it, for its path is a prefix.
    return tuple(found[path] for path in sorted(found, key=os.fsencode))


def _walk(directory: Path, prefix: str) -> Iterator[_File]:
    with os.scandir(directory) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        path = f"{prefix}{entry.name}"
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            yield from _walk(directory / entry.name, f"{path}/")
        elif stat.S_ISREG(status.st_mode):
            yield _File(directory / entry.name, path, status)
        else:
            raise SpecError(
                f"{path} was installed as a link or special file",
                hint="report the package that does this; build with builder='engine'",
            )


def _is_dropped(file: _File) -> bool:
    directory, _, name = file.path.rpartition("/")
    if not _INFO.fullmatch(directory):
        return file.path == ".lock"
    if name == _ORIGIN:
        return b"file://" in file.source.read_bytes()
    return name in _DROPPED


def _rewritten(file: _File) -> _File:
    """Let scripts be run by the image's interpreter, not by this machine's."""
    if not file.path.startswith("bin/") or file.status.st_size > _SCRIPT_LIMIT:
        return file
    content = file.source.read_bytes()
    for form in (_SHELL_LINES, _SHEBANG):
        if match := form.match(content):
            rewritten = _PYTHON + content[match.end() :]
            return _File(file.source, file.path, file.status, rewritten)
    return file


def _refuse_host_paths(file: _File, host_paths: tuple[bytes, ...]) -> None:
    if not _WRITTEN.fullmatch(file.path) or file.status.st_size > _SCRIPT_LIMIT:
        return
    content = file.source.read_bytes() if file.content is None else file.content
    editable = file.path.startswith("__editable__")
    if editable or any(path in content for path in host_paths):
        raise SpecError(
            f"{file.path} contains a path of this machine",
            hint="install a wheel instead of an editable or local project",
        )


def _rows(files: Iterable[_File]) -> dict[str, Row]:
    """Return what RECORD files say, where they do not contradict each other."""
    found: dict[str, set[Row]] = {}
    for one in files:
        if _RECORD.fullmatch(one.path):
            for row in read_record(_text(one)):
                found.setdefault(row.path, set()).add(row)
    return {path: next(iter(rows)) for path, rows in found.items() if len(rows) == 1}


def _text(file: _File) -> str:
    return file.source.read_bytes().decode("utf-8", "surrogateescape")


def _record(
    file: _File, places: Places, changed: dict[str, _File], kept: set[str]
) -> Member:
    """Write what is left of a distribution, at the places where it is now."""
    rows = [
        _row(row, places, changed.get(row.path))
        for row in read_record(_text(file))
        if row.path in kept
    ]
    content = write_record(rows)
    return Member(
        path=places.in_image(file.path),
        kind="file",
        size=len(content),
        source=content,
    )


def _row(row: Row, places: Places, changed: _File | None) -> Row:
    path = places.in_record(row.path)
    if changed is not None and changed.content is not None:
        return Row.of(path, changed.content)
    return Row(path, row.hash, row.size)


def _member(file: _File, places: Places, row: Row | None) -> Member:
    executable = bool(file.status.st_mode & stat.S_IXUSR)
    path = places.in_image(file.path)
    if file.content is not None:
        return Member(
            path=path,
            kind="file",
            executable=executable,
            size=len(file.content),
            source=file.content,
        )
    return Member(
        path=path,
        kind="file",
        executable=executable,
        size=file.status.st_size,
        source=file.source,
        digest=_digest(file, row),
    )


def _digest(file: _File, row: Row | None) -> Digest | None:
    """Say what a file must contain.

    One that is also a link in the installer's cache moves its times whenever somebody
    else links it, so its content has to be known.
    """
    if row is not None and row.digest is not None:
        return row.digest
    if file.status.st_nlink == 1:
        return None
    # It may have hundreds of megabytes.
    with file.source.open("rb") as content:
        return Digest(hashlib.file_digest(content, "sha256").hexdigest())


def _refuse_collisions(members: Iterable[Member]) -> None:
    seen: dict[str, str] = {}
    for member in members:
        plain = unicodedata.normalize("NFC", member.path).casefold()
        other = seen.setdefault(plain, member.path)
        if other != member.path:
            raise SpecError(
                f"{other} and {member.path} are one file where case does not count",
                hint="build with builder='engine'; report it to the package's authors",
            )
