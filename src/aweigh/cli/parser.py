"""A parser whose help has examples and whose errors have hints."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

__all__ = ["Parser"]


class Parser(argparse.ArgumentParser):
    """As argparse's own; what is only for people is imported when they see it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """Keep the lines of descriptions as they are written."""
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*args, **options)

    def format_help(self) -> str:
        """Return the help, with examples and exit codes below."""
        from aweigh.cli.usage import closing, overview

        command = " ".join(self.prog.split()[1:2])
        self.epilog = closing(command)
        if not command:
            self.description = overview(self)
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the command line, and end with 2."""
        from aweigh.cli.usage import hint_for, refuse

        refuse(self, message, hint_for(self, message))
