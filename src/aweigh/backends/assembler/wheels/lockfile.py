"""The wheels of one layer as a ``pylock.toml`` (PEP 751) for uv."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aweigh.image.lock import LockedWheel

__all__ = ["write_lock"]

_HEAD: Final = 'lock-version = "1.0"\ncreated-by = "aweigh"\n'


def write_lock(
    wheels: Iterable[LockedWheel], index_of: Callable[[LockedWheel], str]
) -> str:
    """Write a lock that leaves an installer no choice.

    The index of each package is said, too: uv finds a wheel in its cache by index, and
    downloads one without an index anew each time.
    """
    return _HEAD + "".join(_package(wheel, index_of(wheel)) for wheel in wheels)


def _package(wheel: LockedWheel, index: str) -> str:
    place = "path" if wheel.url.startswith("/") else "url"
    fields = [f"name = {_text(wheel.filename)}", f"{place} = {_text(wheel.url)}"]
    fields += [f'hashes = {{ sha256 = "{wheel.digest.hex}" }}']
    lines = [
        "",
        "[[packages]]",
        f"name = {_text(wheel.name)}",
        f"version = {_text(wheel.version)}",
        f"index = {_text(index)}" if index else "",
        f"wheels = [{{ {', '.join(fields)} }}]",
    ]
    return "\n".join(lines) + "\n"


def _text(value: str) -> str:
    """Write a basic TOML string; JSON's escapes are all among TOML's."""
    return json.dumps(value)
