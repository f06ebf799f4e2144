"""What bash and zsh have in common: the patterns of ``case``, and how they quote."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aweigh.cli.completion.node import Node, Option

__all__ = ["deeper", "option_cases", "pattern", "quoted"]


def pattern(node: Node) -> str:
    """Return the pattern of a command; the root's is the empty word."""
    return node.path or "''"


def deeper(nodes: Sequence[Node]) -> str:
    """Return the pattern of everything that is a command."""
    return "|".join(pattern(node) for node in nodes if node.words)


def option_cases(nodes: Sequence[Node], complete: Callable[[Option], str]) -> str:
    """Return a case for each option that takes a value.

    Args:
        nodes: The commands.
        complete: Writes what completes the value of an option.
    """
    return "\n".join(
        f"    {'|'.join(f'{pattern(node)}:{name}' for name in option.names)})"
        f" {complete(option)}; return ;;"
        for node in nodes
        for option in node.options
        if option.takes
    )


def quoted(text: str) -> str:
    """Return a text as one word of the shell."""
    return "'" + text.replace("'", "'\\''") + "'"
