"""How results and errors look: data on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from typing import TextIO

    from aweigh.bundle.bundle import Bundle
    from aweigh.errors import AweighError
    from aweigh.image.image import Image

__all__ = [
    "bundle_json",
    "image_json",
    "painted",
    "print_error",
    "print_json",
    "print_problem",
    "readable_entries",
    "readable_size",
    "readable_time",
]

Colour = Literal["red", "green", "cyan"]
_COLOURS: Final = {"red": 31, "green": 32, "cyan": 36}


def print_json(document: dict[str, Any]) -> None:
    """Print one object on one line."""
    print(json.dumps(document, sort_keys=True))


def print_error(error: AweighError) -> None:
    """Print what happened and what to do next; in GitHub Actions, on the run's page."""
    from aweigh.settings import environment

    print_problem(str(error), error.hint)
    if environment().get("GITHUB_ACTIONS") == "true":
        from aweigh.cli.github import annotate

        annotate(error)


def print_problem(message: str, hint: str) -> None:
    """Print a message and its hint on stderr."""
    print(f"{painted('error:', 'red', sys.stderr)} {message}", file=sys.stderr)
    print(f"  {painted('hint:', 'cyan', sys.stderr)} {hint}", file=sys.stderr)


def painted(text: str, colour: Colour, stream: TextIO) -> str:
    """Colour a text where the stream shows colours.

    ``NO_COLOR`` beats ``FORCE_COLOR`` beats what the stream is. Only the colours that
    every terminal lets its owner choose are used: they suit dark and light.
    """
    from aweigh.settings import environment

    ours = environment()
    if ours.get("NO_COLOR"):
        return text
    shown = stream.isatty() and ours.get("TERM") != "dumb"
    if not (shown or ours.get("FORCE_COLOR")):
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


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


def readable_entries(count: int) -> str:
    """Write how many files, symlinks and empty directories there are."""
    return "1 entry" if count == 1 else f"{count} entries"


def readable_time(seconds: float) -> str:
    """Write a duration the way people read it: ``3 ms``, ``1.2 s``, ``30 d``."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s"
