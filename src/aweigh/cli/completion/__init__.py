"""`aweigh completion`: scripts for bash, zsh and fish, made from the grammar itself.

They are static: pressing TAB starts no Python. Each first finds out which command the
words before the cursor name; what comes after the `--` of a flow is somebody else's
command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aweigh.cli.completion.bash import bash_script
from aweigh.cli.completion.fish import fish_script
from aweigh.cli.completion.node import nodes
from aweigh.cli.completion.zsh import zsh_script

if TYPE_CHECKING:
    import argparse

__all__ = ["script"]


def script(shell: str, parser: argparse.ArgumentParser) -> str:
    """Return what makes a shell complete the command line of a parser.

    Args:
        shell: ``bash``, ``zsh`` or ``fish``.
        parser: The whole grammar.
    """
    found = list(nodes(parser))
    match shell:
        case "bash":
            return bash_script(found)
        case "zsh":
            return zsh_script(found)
        case _:
            return fish_script(found)
