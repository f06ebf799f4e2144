"""Changing some packages of a ``pylock.toml`` (PEP 751), and nothing else of it."""

from __future__ import annotations

import json
import re
import tomllib
from itertools import pairwise
from typing import TYPE_CHECKING

from aweigh.errors import InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["entry", "replace_packages", "toml_text"]

_HEADER = re.compile(r"(?m)^[ \t]*\[\[[ \t]*packages[ \t]*\]\]")


def replace_packages(text: str, changes: Mapping[int, str]) -> str:
    """Put other text in the place of packages; empty text leaves them out.

    Args:
        text: The lock, with one ``[[packages]]`` table per package, as all tools that
            are known write it.
        changes: What to write, by a package's place in the lock.

    Raises:
        InvalidValueError: It is written in another way.
    """
    if not changes:
        return text
    starts = [match.start() for match in _HEADER.finditer(text)]
    blocks = [text[start:end] for start, end in pairwise([*starts, len(text)])]
    if not _are_packages(blocks, tomllib.loads(text).get("packages")):
        raise InvalidValueError(
            "the lock's packages are not written as [[packages]] tables",
            hint="write it with: uv export --format pylock.toml",
        )
    changed = (changes.get(at, block) for at, block in enumerate(blocks))
    return text[: starts[0]] + "".join(changed)


def _are_packages(blocks: Sequence[str], packages: object) -> bool:
    """Whether each block of text says what the whole lock says there."""
    try:
        return [
            one for block in blocks for one in tomllib.loads(block)["packages"]
        ] == packages
    except tomllib.TOMLDecodeError:
        return False


def entry(package: Mapping[str, object], source: str) -> str:
    """Write a package with another source, a line such as ``wheels = [...]``."""
    lines = ["[[packages]]"]
    for key in ("name", "version", "marker", "requires-python"):
        value = package.get(key)
        if isinstance(value, str):
            lines.append(f"{key} = {toml_text(value)}")
    return "\n".join([*lines, source, "", ""])


def toml_text(value: str) -> str:
    """Write a TOML string; JSON's escapes are a part of TOML's, which also bans DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
