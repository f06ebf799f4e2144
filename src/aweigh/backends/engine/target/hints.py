"""What to do about what an engine or a node says when it does not start something."""

from __future__ import annotations

import re

__all__ = ["PROGRAM_HINTS", "Hints", "hint_for"]

Hints = tuple[tuple[re.Pattern[str], str], ...]
PROGRAM_HINTS: Hints = (
    (
        re.compile(r"executable file not found|no such file or directory: unknown"),
        "the image has no such program: check the command, or add it to the image",
    ),
    (
        re.compile(r"permission denied: unknown"),
        "the file is not executable: name an interpreter first, such as python",
    ),
)


def hint_for(said: str, hints: Hints, other: str) -> str:
    """Return the first hint whose pattern was said, filled in; else ``other``."""
    for pattern, hint in hints:
        if match := pattern.search(said):
            return hint.format(*match.groups())
    return other
