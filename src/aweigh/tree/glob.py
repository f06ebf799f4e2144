"""Git's glob patterns as regular expressions: what wildmatch.c and dir.c do.

Git compares bytes. Patterns and names arrive here as text in which every character
stands for one byte (latin-1); for ASCII that is the text itself.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from typing import Final

__all__ = ["Glob", "compile_glob"]

_SPECIAL: Final = re.compile(r"[*?\[\\]")
_SLASH: Final = "/"
_ANY_FOLDERS: Final = "(?:.*/)?"

# Git's own ctype tables: ASCII only, and its white space has four members.
_CLASSES: Final = {
    "alnum": string.ascii_letters + string.digits,
    "alpha": string.ascii_letters,
    "blank": " \t",
    "cntrl": "".join(map(chr, range(32))) + "\x7f",
    "digit": string.digits,
    "graph": "".join(map(chr, range(33, 127))),
    "lower": string.ascii_lowercase,
    "print": "".join(map(chr, range(32, 127))),
    "punct": string.punctuation,
    "space": " \t\n\r",
    "upper": string.ascii_uppercase,
    "xdigit": string.hexdigits,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Glob:
    """A compiled pattern, split into "in which folder" and "which name".

    Most patterns need one look at a folder and a set look-up per name that way.

    Attributes:
        folder: The folders it can match in, as a pattern over the folder's path
            with a final slash (empty for the base); a str if it is exactly one
            folder, None if it is any.
        literal: The name it matches, when it is only one.
        suffix: What the names it matches end with, when that is all there is.
        name: The names it matches, otherwise.
        whole: Set instead of the others for a pattern that cannot be split: matches
            the path below the base.
    """

    folder: re.Pattern[str] | str | None = None
    literal: str | None = None
    suffix: str | None = None
    name: re.Pattern[str] | None = None
    whole: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class _Token:
    """A piece of a pattern: its regular expression, and its text if it has one."""

    regex: str
    text: str | None = None


_STAR: Final = _Token("[^/]*")
_ONE: Final = _Token("[^/]")
_STARS: Final = _Token(".*")
_SEPARATOR: Final = _Token("/", "/")
# A slash written with a backslash: "**" does not match "no folder" before it.
_ESCAPED_SEPARATOR: Final = _Token("[/]", "/")


class _NeverError(Exception):
    """The pattern can match nothing: git gives up on it as well."""


def compile_glob(pattern: str) -> Glob | None:
    """Compile a pattern without its ``!`` and final ``/``; None if nothing matches.

    A pattern without a slash matches names at any depth, one with a slash matches
    paths below its base.
    """
    anchored = _SLASH in pattern
    try:
        tokens = _tokens(pattern.removeprefix(_SLASH), anchored=anchored)
    except _NeverError:
        return None
    if not tokens:
        return None
    if not anchored:
        return _named(tokens, folder=None)
    parts: list[list[_Token]] = [[]]
    for token in tokens:
        if token == _SEPARATOR:
            parts.append([])
        else:
            parts[-1].append(token)
    mixed = any(_STARS in part and len(part) > 1 for part in parts)
    if mixed or _ESCAPED_SEPARATOR in tokens:
        return Glob(whole=_compile(_joined(tokens)))
    return _split(parts) if all(parts) else None


def _split(parts: list[list[_Token]]) -> Glob:
    """Tell the folder from the name; ``**`` at the end is any name at any depth."""
    *folders, last = parts
    if last == [_STARS]:
        folders, last = parts, [_STAR]
    if folders == [[_STARS]]:
        return _named(last, folder=None)
    texts = [_text(part) for part in folders]
    if None not in texts:
        return _named(last, folder="".join(f"{text}/" for text in texts))
    regex = ""
    for part in folders:
        if part == [_STARS]:
            regex += _ANY_FOLDERS
        else:
            regex += "".join(token.regex for token in part) + _SLASH
    return _named(last, folder=_compile(regex))


def _named(tokens: list[_Token], *, folder: re.Pattern[str] | str | None) -> Glob:
    literal = _text(tokens)
    if literal is not None:
        return Glob(folder=folder, literal=literal)
    suffix = _text(tokens[1:])
    if tokens[0] == _STAR and suffix is not None:
        return Glob(folder=folder, suffix=suffix)
    regex = "".join(token.regex for token in tokens)
    return Glob(folder=folder, name=_compile(regex))


def _text(tokens: list[_Token]) -> str | None:
    """What tokens spell, if each of them stands for itself."""
    texts = [token.text for token in tokens]
    return None if None in texts else "".join(text or "" for text in texts)


def _joined(tokens: list[_Token]) -> str:
    """One expression for the path; ``**/`` also stands for no folder at all."""
    parts: list[str] = []
    for token in tokens:
        if token == _SEPARATOR and parts and parts[-1] == _STARS.regex:
            parts[-1] = _ANY_FOLDERS
        else:
            parts.append(token.regex)
    return "".join(parts)


def _compile(regex: str) -> re.Pattern[str]:
    return re.compile(regex, re.DOTALL)


def _tokens(pattern: str, *, anchored: bool) -> list[_Token]:
    special = _SPECIAL.search(pattern)
    # Git compares the plain text before the first special character by itself, and
    # what follows it counts as the start of a pattern: "a**/b" matches "a/x/b".
    start = special.start() if special else len(pattern)
    tokens = [
        _SEPARATOR if char == _SLASH else _literal(char) for char in pattern[:start]
    ]
    index = start
    while index < len(pattern):
        char = pattern[index]
        if char == "*":
            token, index = _star(pattern, index, start=start, anchored=anchored)
        elif char == "[":
            token, index = _bracket(pattern, index + 1)
        elif char == "\\":
            if index + 1 == len(pattern):
                raise _NeverError
            escaped = pattern[index + 1]
            token = _ESCAPED_SEPARATOR if escaped == _SLASH else _literal(escaped)
            index += 2
        else:
            token = {"?": _ONE, _SLASH: _SEPARATOR}.get(char) or _literal(char)
            index += 1
        tokens.append(token)
    return tokens


def _literal(char: str) -> _Token:
    return _Token(re.escape(char), char)


def _star(
    pattern: str, index: int, *, start: int, anchored: bool
) -> tuple[_Token, int]:
    end = index
    while pattern[end : end + 1] == "*":
        end += 1
    if not anchored or end - index == 1:
        return _STAR, end
    opened = index == start or pattern[index - 1] == _SLASH
    closed = end == len(pattern) or pattern.startswith((_SLASH, "\\/"), end)
    return (_STARS if opened and closed else _STAR), end


def _bracket(pattern: str, index: int) -> tuple[_Token, int]:
    """A set of characters, read the way git's ``dowild`` reads it."""
    negated = pattern[index : index + 1] in {"!", "^"}
    index += negated
    members: set[str] = set()
    previous = ""
    first = True
    while first or pattern[index : index + 1] != "]":
        first = False
        char, taken = _at(pattern, index), ""
        if char == "\\":
            index += 1
            taken = _at(pattern, index)
            members.add(taken)
        elif char == "-" and previous and _range_follows(pattern, index):
            index += 1
            upper = _at(pattern, index)
            if upper == "\\":
                index += 1
                upper = _at(pattern, index)
            members.update(map(chr, range(ord(previous), ord(upper) + 1)))
        elif pattern.startswith("[:", index):
            index, taken = _class(pattern, index, members)
        else:
            taken = char
            members.add(char)
        previous = taken
        index += 1
    found = {chr(code) for code in range(1, 256)} - members if negated else members
    return _set(found - {_SLASH}), index + 1


def _class(pattern: str, index: int, members: set[str]) -> tuple[int, str]:
    """Add ``[:name:]``, or just ``[`` if it is not closed as a class."""
    end = pattern.find("]", index + 2)
    if end < 0:
        raise _NeverError
    if end == index + 2 or pattern[end - 1] != ":":
        members.add("[")
        return index, "["
    characters = _CLASSES.get(pattern[index + 2 : end - 1])
    if characters is None:
        raise _NeverError
    members.update(characters)
    return end, ""


def _at(pattern: str, index: int) -> str:
    if index >= len(pattern):
        raise _NeverError
    return pattern[index]


def _range_follows(pattern: str, index: int) -> bool:
    following = pattern[index + 1 : index + 2]
    return following not in {"", "]"}


def _set(members: set[str]) -> _Token:
    if not members:
        raise _NeverError
    if len(members) == 1:
        return _literal(*members)
    return _Token("[" + "".join(re.escape(char) for char in sorted(members)) + "]")
