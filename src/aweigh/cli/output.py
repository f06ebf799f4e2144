"""How results and errors look: data on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aweigh.bundle.bundle import Bundle
    from aweigh.errors import AweighError
    from aweigh.image.image import Image

__all__ = [
    "bundle_json",
    "image_json",
    "print_error",
    "print_json",
    "readable_size",
    "readable_time",
]


def print_json(document: dict[str, Any]) -> None:
    """Print one object on one line."""
    print(json.dumps(document, sort_keys=True))


def print_error(error: AweighError) -> None:
    """Print what happened and what to do next."""
    print(f"error: {error}", file=sys.stderr)
    print(f"  hint: {error.hint}", file=sys.stderr)


def image_json(image: Image) -> dict[str, Any]:
    """Return an image as an object of plain values."""
    return {
        "image": str(image),
        "reference": str(image.reference),
        "digest": str(image.digest),
        "location": image.location,
        "platforms": sorted(map(str, image.platforms)),
        "origin": image.origin,
        "verified_at": image.verified_at,
    }


def bundle_json(bundle: Bundle) -> dict[str, Any]:
    """Return a bundle as an object of plain values."""
    return {
        "bundle": bundle.uri,
        "digest": str(bundle.digest),
        "files": bundle.files,
        "size": bundle.size,
        "uploaded_bytes": bundle.uploaded_bytes,
        "origin": str(bundle.origin),
    }


def readable_size(count: int) -> str:
    """Write a number of bytes the way people read it: ``1.5 MiB``."""
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:  # noqa: PLR2004 - that is what KiB means
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def readable_time(seconds: float) -> str:
    """Write a duration the way people read it: ``3 ms``, ``1.2 s``, ``30 d``."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s"
