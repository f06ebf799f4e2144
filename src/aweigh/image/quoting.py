"""How values are written into a Dockerfile so that they arrive as they are.

Rules: the Dockerfile frontend of BuildKit (``frontend/dockerfile/parser`` and
``shell/lex.go``): inside double quotes a backslash takes the meaning from ``"``, ``$``
and itself; JSON arrays are taken without a shell.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["exec_form", "quoted", "spaced", "unexpanded"]

# The parser reads lines of at most 64 KiB; a continued line counts piece by piece.
_LINE_LIMIT = 8_000
_IN_QUOTES = re.compile(r'(["$\\])')
_EXPANDABLE = re.compile(r"""(["'$\\])""")


def quoted(value: str) -> str:
    """Write a value of ENV, LABEL or WORKDIR in double quotes."""
    return '"' + _IN_QUOTES.sub(r"\\\1", value) + '"'


def exec_form(argv: Iterable[str]) -> str:
    """Write a command as a JSON array, which no shell looks at."""
    items = [json.dumps(argument) for argument in argv]
    line = ", ".join(items)
    return f"[{line if len(line) < _LINE_LIMIT else _continued(items)}]"


def _continued(items: list[str]) -> str:
    return ", \\\n    ".join(items)


def spaced(flags: Iterable[str]) -> str:
    """Write an instruction's flags beside each other, continued where they are many."""
    items = list(flags)
    line = " ".join(items)
    return line if len(line) < _LINE_LIMIT else " \\\n    ".join(items)


def unexpanded(path: str) -> str:
    """Take the meaning from what COPY would expand in a path."""
    return _EXPANDABLE.sub(r"\\\1", path)
