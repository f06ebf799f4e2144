"""Which step asked for which package, from uv's annotations."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aweigh.image.lock import normalised
from aweigh.image.wheels import distribution

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["steps_of"]

_STEP = re.compile(r"\bsteps/([0-9]+)/")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")


def steps_of(annotated: str, steps: Collection[int]) -> dict[str, int]:
    """Return the first step that needs each package, itself or through others.

    Args:
        annotated: A ``requirements.txt`` that uv wrote with ``--annotation-style
            split``, where step files are named from the context's root.
        steps: The steps that it was made for.
    """
    found: dict[str, int] = {}
    parents: dict[str, set[str]] = {}
    name = ""
    for line in annotated.splitlines():
        if not line.startswith((" ", "#")):
            name = _project(line)
            parents[name] = set()
            continue
        cause = line.strip().removeprefix("#").strip().removeprefix("via").strip()
        if step := _STEP.search(cause):
            number = int(step[1])
            if number in steps:
                found[name] = min(number, found.get(name, number))
        elif parent := _NAME.match(cause):
            parents[name].add(normalised(parent[0]))
    return _inherited(found, parents)


def _project(line: str) -> str:
    """Name the project of a line: ``name==1``, ``name @ url`` or a wheel's path."""
    place = line.split(" ;", maxsplit=1)[0].strip()
    if place.startswith((".", "/", "file:")):
        return distribution(place.rpartition("/")[2])
    match = _NAME.match(line)
    return normalised(match[0]) if match else ""


def _inherited(found: dict[str, int], parents: dict[str, set[str]]) -> dict[str, int]:
    """Pass steps down until nothing changes: dependencies may be circular."""
    changed = True
    while changed:
        changed = False
        for name, above in parents.items():
            known = [found[one] for one in (name, *above) if one in found]
            if known and found.get(name) != min(known):
                found[name] = min(known)
                changed = True
    return found
