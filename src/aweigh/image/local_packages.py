"""Packages that locks and projects take from local files, which images lack."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from aweigh.errors import InvalidValueError, SpecError
from aweigh.image.local_requirement import read_local
from aweigh.image.pylock_text import entry, replace_packages, toml_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from aweigh.archive.member import Member
    from aweigh.image.sources import Sources

__all__ = ["is_local_package", "local_sources", "lock_locals", "take_along"]

_LOCAL_KINDS = ("directory", "editable", "path", "virtual")


def local_sources(document: Mapping[str, object]) -> set[str]:
    """Return the names that ``[tool.uv.sources]`` takes from this machine."""
    sources = _table(_table(_table(document, "tool"), "uv"), "sources")
    return {
        _normalised(name)
        for name, source in sources.items()
        for one in (source if isinstance(source, list) else [source])
        if isinstance(one, Mapping) and ("path" in one or "workspace" in one)
    }


def take_along(
    lock: Path, text: str, sources: Sources
) -> tuple[str, tuple[Member, ...]]:
    """Read what a ``pylock.toml`` (PEP 751) takes from this machine.

    Returns:
        The text with the places that these have in the context, and their members.

    Raises:
        SpecError: Something is missing, is no project, or has another content than was
            locked; or a local repository is locked.
        TreeError: A project's directory cannot be read.
    """
    changes: dict[int, str] = {}
    members: list[Member] = []
    packages = sources.parse_toml(lock, text).get("packages")
    for number, package in enumerate(_tables(packages)):
        if is_local_package(package):
            reader = _Local(lock, package, sources, str(len(changes)))
            changes[number] = entry(package, reader.source())
            members += reader.members
    try:
        return replace_packages(text, changes), tuple(members)
    except InvalidValueError as exc:
        raise SpecError(f"{sources.step}: {lock}: {exc}", hint=exc.hint) from exc


def is_local_package(package: Mapping[str, object]) -> bool:
    """Whether a package of a ``pylock.toml`` is taken from this machine."""
    files = [*_tables(package.get("wheels")), *_single_files(package)]
    return "directory" in package or any("path" in one for one in files)


def _single_files(package: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    yield from _tables([package.get(key) for key in ("archive", "sdist", "vcs")])


class _Local:
    """A package of a lock that is on this machine."""

    def __init__(
        self, lock: Path, package: Mapping[str, object], sources: Sources, key: str
    ) -> None:
        self.directory = lock.parent
        self.package = package
        self.sources = sources
        self.key = key
        self.members: list[Member] = []

    def source(self) -> str:
        """Read it; return the line of the lock that says where it is in the context."""
        package = self.package
        if "path" in _table(package, "vcs"):
            raise SpecError(
                f"{self.sources.step}: the lock names a local repository of "
                f"{package.get('name')}",
                hint="lock its directory or its URL",
            )
        if "directory" in package:
            table = _table(package, "directory")
            place = posixpath.join(
                str(table.get("path")), str(table.get("subdirectory", ""))
            )
            return f"directory = {{ path = {toml_text(self._read(place))} }}"
        wheels = [one for one in _tables(package.get("wheels")) if "path" in one]
        if wheels:
            return f"wheels = [{', '.join(map(self._file, wheels))}]"
        (single,) = [one for one in _single_files(package) if "path" in one][:1]
        kind = "archive" if "archive" in package else "sdist"
        return f"{kind} = {self._file(single)}"

    def _file(self, table: Mapping[str, object]) -> str:
        path = str(table["path"])
        place = self._read(path)
        digest = self.members[-1].digest
        locked = _table(table, "hashes").get("sha256")
        if digest is None or locked not in {None, digest.hex}:
            raise SpecError(
                f"{self.sources.step}: {path} is not the file that was locked",
                hint="lock it again",
            )
        return (
            f'{{ path = {toml_text(place)}, hashes = {{ sha256 = "{digest.hex}" }} }}'
        )

    def _read(self, path: str) -> str:
        place, members = read_local(self.directory / path, self.key, self.sources)
        self.members += members
        return place


def lock_locals(
    lock: Mapping[str, object], extras: Sequence[str], groups: Sequence[str]
) -> dict[str, str]:
    """Return where the local projects are that a ``uv.lock`` would install.

    Its own project is not among them, nor are projects that are no packages.

    Args:
        lock: The parsed lock.
        extras: The extras of the root project that are wanted.
        groups: The groups of the root project that are wanted.
    """
    packages = {str(one.get("name")): one for one in _tables(lock.get("package"))}
    local = {name for name, one in packages.items() if _is_local(one)}
    roots = {name for name in local if _source(packages[name]) == "."}
    seen = set(roots)
    waiting = [_wanted(packages[name], extras, groups) for name in sorted(roots)]
    while waiting:
        for name in waiting.pop():
            if name not in seen and name in packages:
                seen.add(name)
                waiting.append(_wanted(packages[name], None, ()))
    return {
        _normalised(name): str(_source(packages[name]))
        for name in (seen & local) - roots
        if "virtual" not in _table(packages[name], "source")
    }


def _source(package: Mapping[str, object]) -> object:
    source = _table(package, "source")
    return next((source[kind] for kind in _LOCAL_KINDS if kind in source), None)


def _is_local(package: Mapping[str, object]) -> bool:
    return _source(package) is not None


def _wanted(
    package: Mapping[str, object], extras: Sequence[str] | None, groups: Sequence[str]
) -> list[str]:
    """Name what a package needs; ``extras`` None means that any of them may be."""
    optional = _table(package, "optional-dependencies")
    chosen = optional if extras is None else {*map(_normalised, extras)}
    dev = _table(package, "dev-dependencies")
    lists = [
        package.get("dependencies"),
        *(found for key, found in optional.items() if key in chosen),
        *(found for key, found in dev.items() if key in {*map(_normalised, groups)}),
    ]
    return [str(one.get("name")) for found in lists for one in _tables(found)]


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _table(document: Mapping[str, object], key: str) -> Mapping[str, object]:
    found = document.get(key, {})
    return found if isinstance(found, Mapping) else {}


def _tables(found: object) -> Iterator[Mapping[str, object]]:
    items: Iterable[object] = found if isinstance(found, list) else ()
    return (item for item in items if isinstance(item, Mapping))
