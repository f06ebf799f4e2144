"""Text that came out of a container: split into lines and made safe to show."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["LineSplitter", "clean_line"]

# ECMA-48: CSI sequences, OSC strings (titles, links) and two-character escapes.
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_USERINFO = re.compile(r"(?<=://)[^/\s@]+@")
_HIDDEN = "***"
_LINE_LIMIT = 16 * 1024


def clean_line(line: str, secrets: Iterable[str] = ()) -> str:
    """Return a line without escapes, control characters, userinfo and secrets.

    Of a line that was rewritten in place (progress bars), the last state is kept.
    """
    shown = _ESCAPES.sub("", line).rstrip("\r").rpartition("\r")[2]
    shown = _USERINFO.sub(f"{_HIDDEN}@", _CONTROLS.sub("", shown))
    for secret in secrets:
        shown = shown.replace(secret, _HIDDEN) if secret else shown
    return shown.rstrip()


class LineSplitter:
    """Joins the pieces of an output and hands out its whole lines.

    A line longer than the limit, in bytes, is handed out in pieces: the memory stays
    bounded whatever a program writes.
    """

    def __init__(self, limit: int = _LINE_LIMIT) -> None:
        self._limit = limit
        self._rest = b""

    def feed(self, piece: bytes) -> list[str]:
        """Take a piece of output and return the lines it completes."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        while len(self._rest) > self._limit:
            lines.append(self._rest[: self._limit])
            self._rest = self._rest[self._limit :]
        return [line.decode(errors="replace") for line in lines]

    def finish(self) -> list[str]:
        """Return what was written after the last line break, if anything."""
        rest, self._rest = self._rest, b""
        return [rest.decode(errors="replace")] if rest else []
