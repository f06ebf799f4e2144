"""A parser whose help has examples and whose errors have hints."""

from __future__ import annotations

import argparse
import functools
from typing import Any, NoReturn

__all__ = ["Parser"]


_Lines = argparse.RawDescriptionHelpFormatter
# To learn the terminal's width, argparse imports archives and what compresses them;
# it does so for each argument that is added, and nobody sees these lines.
_Unseen = functools.partial(_Lines, width=80)


class Parser(argparse.ArgumentParser):
    """As argparse's own; what is only for people is imported when they see it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """Keep the lines of descriptions as they are written."""
        options.setdefault("formatter_class", _Unseen)
        super().__init__(*args, **options)

    def format_help(self) -> str:
        """Return the help, with examples and exit codes below."""
        from aweigh.cli.usage import closing, overview

        command = " ".join(self.prog.split()[1:2])
        self.epilog = closing(command)
        if not command:
            self.description = overview(self)
        self.formatter_class = _Lines
        return super().format_help()

    def format_usage(self) -> str:
        """Return the line above errors, as wide as the terminal."""
        self.formatter_class = _Lines
        return super().format_usage()

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the command line, and end with 2."""
        from aweigh.cli.usage import hint_for, refuse

        refuse(self, message, hint_for(self, message))
