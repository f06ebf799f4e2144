"""What can be completed: the commands and options of a parser, as plain values."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Node", "Option", "nodes"]

_PATHS: Final = ("SPEC", "DIR", "FILE", "URI", "SOURCE:TARGET[:ro]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An option.

    Attributes:
        names: As it may be written: ``-q``, ``--quiet``.
        says: What it does.
        takes: What its value is: ``word``, ``path``, or nothing for a flag.
        choices: The values there are, if they are few.
    """

    names: tuple[str, ...]
    says: str
    takes: str
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A command, or a command's action.

    Attributes:
        words: What is written to get there: ``("cache", "ls")``.
        says: What it does.
        options: Its options.
        below: The words that may follow: actions, or the values of an argument.
        paths: Whether files may follow.
    """

    words: tuple[str, ...]
    says: str
    options: tuple[Option, ...]
    below: tuple[str, ...]
    paths: bool

    @property
    def path(self) -> str:
        """The words as the scripts write them, in one: ``cache/ls``."""
        return "/".join(self.words)


def nodes(
    parser: argparse.ArgumentParser, words: tuple[str, ...] = ()
) -> Iterator[Node]:
    """Iterate over the commands of a parser, each before its actions.

    Args:
        parser: The parser of the whole command line, or of what `words` lead to.
        words: What is written to get there.
    """
    options: list[Option] = []
    below: list[str] = []
    paths = False
    deeper: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            deeper |= action.choices
            below += action.choices
        elif action.option_strings:
            options.append(_option(action))
        else:
            below += map(str, action.choices or ())
            paths |= action.metavar in _PATHS
    yield Node(
        words=words,
        says=(parser.description or "").rstrip("."),
        options=tuple(options),
        below=tuple(below),
        paths=paths,
    )
    for name, each in deeper.items():
        yield from nodes(each, (*words, name))


def _option(action: argparse.Action) -> Option:
    takes = ""
    if action.nargs != 0:
        takes = "path" if action.metavar in _PATHS else "word"
    return Option(
        names=tuple(action.option_strings),
        says=(action.help or "").partition(" (default")[0],
        takes=takes,
        choices=tuple(map(str, action.choices or ())),
    )
