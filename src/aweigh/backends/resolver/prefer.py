"""Which versions a resolution keeps where they still fit: those of earlier locks."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

from aweigh.image.lock import normalised

if TYPE_CHECKING:
    from aweigh.image.resolve import ResolveRequest

__all__ = ["preferences"]

_PACKAGE = re.compile(r"(?m)^(?=\[\[packages\]\])")


def preferences(request: ResolveRequest) -> str:
    """Return a lock for uv to prefer; empty when there is none.

    What is installed below comes first: where an earlier lock says something else, the
    packages would have to be installed twice.
    """
    previous = "" if request.upgrade else request.previous or ""
    if not request.beneath or not previous:
        return request.beneath or previous
    below = set(_names(request.beneath))
    head, *packages = _PACKAGE.split(previous)
    del head
    more = (
        text
        for name, text in zip(_names(previous), packages, strict=True)
        if name not in below
    )
    return f"{request.beneath.rstrip()}\n\n{''.join(more)}"


def _names(lock: str) -> list[str]:
    return [
        normalised(str(one.get("name")))
        for one in tomllib.loads(lock).get("packages", [])
    ]
