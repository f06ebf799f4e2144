"""Which distributions a base has installed, told from the paths in its layers."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Final

from aweigh.image.lock import normalised

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["installed", "telling"]

# PEP 376; Debian's packages leave the older form.
_METADATA: Final = re.compile(
    r"(?P<prefix>.*)/lib/python(?P<python>3(?:\.\d+)?)/(?:site|dist)-packages/"
    r"(?P<name>[^/-]+)-(?P<version>[^/-]+)[^/]*\.(?:dist|egg)-info"
)
_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"


def telling(path: str) -> str | None:
    """Return what of a path in a layer is worth keeping: it tells what is installed.

    That is a directory or file with a distribution's metadata, or what hides those of
    lower layers (OCI image spec, layer.md, "Whiteouts").
    """
    name = path.rpartition("/")[2]
    if name.startswith(_WHITEOUT):
        return path if "/python" in path.replace(_WHITEOUT, "") else None
    match = _METADATA.match(f"/{path}")
    return match[0].removeprefix("/") if match else None


def installed(
    metadata: Mapping[str, Iterable[str]], *, python: str, interpreter: str
) -> tuple[tuple[str, str], ...]:
    """Tell what an interpreter of the base can import: names and versions, sorted.

    Args:
        metadata: What `telling` kept, by the layer's place, counted from 0.
        python: The Python version as ``X.Y``.
        interpreter: Its path.
    """
    there: set[str] = set()
    for place in sorted(metadata, key=int):
        added = set(metadata[place])
        hidden = {path for path in added if _hides(path)}
        there = {path for path in there if not _is_hidden(path, hidden)}
        there |= added - hidden
    prefix = posixpath.dirname(posixpath.dirname(interpreter))
    found = filter(None, (_METADATA.match(f"/{path}") for path in there))
    return tuple(
        sorted(
            (normalised(match["name"]), match["version"])
            for match in found
            if match["python"] in {"3", python}
            and match["prefix"] in {prefix, "/usr/local"}
        )
    )


def _hides(path: str) -> bool:
    return path.rpartition("/")[2].startswith(_WHITEOUT)


def _is_hidden(path: str, whiteouts: Iterable[str]) -> bool:
    for whiteout in whiteouts:
        directory, _, name = whiteout.rpartition("/")
        gone = (
            directory
            if name == _OPAQUE
            else f"{directory}/{name.removeprefix(_WHITEOUT)}"
        )
        if path == gone or path.startswith(f"{gone}/"):
            return True
    return False
