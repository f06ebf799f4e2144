"""Which images a Dockerfile names: those BuildKit will look for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aweigh.errors import InvalidReferenceError
from aweigh.oci import Reference

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["named_images"]

_FROM = re.compile(
    r"FROM\s+(?:--\S+\s+)*(?P<image>\S+)(?:\s+AS\s+(?P<stage>\S+))?\s*$", re.IGNORECASE
)
_MOUNTED = re.compile(r"\bfrom=(?P<image>[^\s,]+)")
_USES_FROM = re.compile(r"(?:COPY|ADD|RUN)\s+--", re.IGNORECASE)


def named_images(dockerfile: str) -> tuple[Reference, ...]:
    """Return the images of ``FROM``, ``COPY --from`` and mounts, each once, in order.

    Names of stages, ``scratch`` and names with variables are left out.
    """
    stages = {"scratch"}
    found: dict[Reference, None] = {}
    for line in _instructions(dockerfile):
        started = _FROM.match(line)
        if started is not None:
            names = [started["image"]]
        elif _USES_FROM.match(line):
            names = [match["image"] for match in _MOUNTED.finditer(line)]
        else:
            continue
        for name in names:
            if name.lower() in stages or name.isdecimal() or "$" in name:
                continue
            try:
                found[Reference.parse(name)] = None
            except InvalidReferenceError:
                continue  # BuildKit says it better, with the line number.
        if started is not None and started["stage"]:
            stages.add(started["stage"].lower())
    return tuple(found)


def _instructions(dockerfile: str) -> Iterator[str]:
    """Yield the instructions, each on one line, without comments."""
    joined: list[str] = []
    for line in dockerfile.splitlines():
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if stripped.endswith("\\"):
            joined.append(stripped[:-1])
            continue
        yield "".join((*joined, stripped))
        joined.clear()
    if joined:
        yield "".join(joined)
