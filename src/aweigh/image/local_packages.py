"""Packages that locks and projects take from local files, which images lack."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["local_sources", "lock_locals", "pylock_locals"]

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


def pylock_locals(document: Mapping[str, object]) -> list[str]:
    """Return the names that a ``pylock.toml`` (PEP 751) takes from local files."""
    return sorted(
        str(package.get("name"))
        for package in _tables(document.get("packages"))
        if "directory" in package or any("path" in one for one in _artifacts(package))
    )


def _artifacts(package: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    yield from _tables(package.get("wheels"))
    yield from _tables([package.get(key) for key in ("archive", "sdist", "vcs")])


def lock_locals(
    lock: Mapping[str, object], extras: Sequence[str], groups: Sequence[str]
) -> set[str]:
    """Return the local projects a ``uv.lock`` would install, besides its own.

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
    return {_normalised(name) for name in (seen & local) - roots}


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
