"""Which files of a Dockerfile's context ``.dockerignore`` leaves out.

Semantics: github.com/moby/patternmatcher (``patternmatcher.go``, ``ignorefile.go``):
patterns are anchored at the context's root, the last match wins, a match on a parent
directory counts, ``!`` takes back, ``**`` spans directories.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from aweigh.errors import SpecError

__all__ = ["DockerIgnore"]

_LITERAL = re.compile(r"[^*?\[\\]*")


@dataclass(frozen=True, slots=True)
class _Pattern:
    text: str
    takes_back: bool
    regex: re.Pattern[str]

    def matches(self, path: str) -> bool:
        """Say whether the path or a parent of it matches."""
        while path:
            if self.regex.fullmatch(path):
                return True
            path = path.rpartition("/")[0]
        return False

    def may_match_below(self, directory: str) -> bool:
        """Say whether something below this directory could match."""
        literal = _LITERAL.match(self.text)
        start = literal[0] if literal else ""
        inside = f"{directory}/"
        return start.startswith(inside) or inside.startswith(start)


@dataclass(frozen=True, slots=True)
class DockerIgnore:
    """The rules of one ``.dockerignore``.

    Attributes:
        patterns: In the order of the file.
    """

    patterns: tuple[_Pattern, ...] = ()

    @classmethod
    def parse(cls, text: str, *, where: str) -> DockerIgnore:
        """Read the lines of the file.

        Args:
            text: Its content.
            where: What messages call it.

        Raises:
            SpecError: A pattern is malformed.
        """
        found: list[_Pattern] = []
        for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
            stripped = line.strip()
            if line.startswith("#") or not stripped:
                continue
            takes_back = stripped.startswith("!")
            body = stripped.removeprefix("!").strip() if takes_back else stripped
            if not body:
                raise SpecError(
                    f"{where} line {number}: a lone !",
                    hint="write the pattern to take back after it",
                )
            path = posixpath.normpath(body).lstrip("/") or "."
            try:
                found.append(_Pattern(path, takes_back, re.compile(_regex(path))))
            except (ValueError, re.error) as exc:
                raise SpecError(
                    f"{where} line {number}: {body!r} is no pattern",
                    hint="close the [ or escape it with a backslash",
                ) from exc
        return cls(tuple(found))

    def ignores(self, path: str) -> bool:
        """Say whether this path, relative to the context, is left out."""
        ignored = False
        for pattern in self.patterns:
            if pattern.takes_back == ignored and pattern.matches(path):
                ignored = not pattern.takes_back
        return ignored

    def prunes(self, directory: str) -> bool:
        """Say whether nothing below an ignored directory can be taken back."""
        return not any(
            pattern.takes_back and pattern.may_match_below(directory)
            for pattern in self.patterns
        )


def _regex(pattern: str) -> str:
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        text, at = _token(pattern, at)
        parts.append(text)
    return "(?s:" + "".join(parts) + ")"


def _token(pattern: str, at: int) -> tuple[str, int]:
    """Translate what starts at ``at``; return it and where it ends."""
    char = pattern[at]
    if pattern.startswith("**", at):
        end = at + 2 + pattern.startswith("/", at + 2)
        return (".*" if end == len(pattern) else "(?:.*/)?"), end
    if char == "*":
        return "[^/]*", at + 1
    if char == "?":
        return "[^/]", at + 1
    if char == "\\" and at + 1 < len(pattern):
        return re.escape(pattern[at + 1]), at + 2
    if char == "[":
        return _character_class(pattern, at)
    return re.escape(char), at + 1


def _character_class(pattern: str, at: int) -> tuple[str, int]:
    """Translate ``[a-z]`` and ``[^a-z]``, escaping what Python alone takes specially.

    Raises:
        ValueError: There is no end to it.
    """
    end = at + 1 + pattern.startswith("^", at + 1)
    parts = ["[^" if end == at + 2 else "["]
    while pattern[end : end + 1] != "]":
        if end >= len(pattern):
            raise ValueError(pattern)
        escaped = pattern[end] == "\\"
        char = pattern[end + escaped : end + escaped + 1]
        parts.append("-" if char == "-" and not escaped else re.escape(char))
        end += 1 + escaped
    return "".join(parts) + "]", end + 1
