"""The command line: from the words that were typed to an exit code.

stdout carries data, stderr carries progress and errors. Exit codes: 0 ok, 1 failed,
2 usage, 4 authentication, 130 interrupted, 143 terminated; `run` ends with its
program's own.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

from aweigh.cli.grammar import FLOWS, whole_parser
from aweigh.cli.output import print_error

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Sequence

    Command = Callable[[argparse.Namespace], Awaitable[int]]

__all__ = ["main"]

FAILED, USAGE, AUTHENTICATION, INTERRUPTED, TERMINATED = 1, 2, 4, 130, 143


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    own, program = _split(sys.argv[1:] if argv is None else argv)
    parser = whole_parser(own[0] if own else "")
    if not own:
        parser.print_help(sys.stderr)
        return USAGE
    arguments, unknown = parser.parse_known_args(own)
    arguments.program = program
    _check(arguments, unknown)
    try:
        return asyncio.run(_terminable(arguments))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except asyncio.CancelledError:
        print("terminated", file=sys.stderr)
        return TERMINATED


def _check(arguments: argparse.Namespace, unknown: Sequence[str]) -> None:
    """Refuse what a command does not know, and a flow with nothing to run."""
    from_flow = arguments.called in FLOWS and not arguments.program
    if unknown and not (from_flow and not unknown[0].startswith("-")):
        from aweigh.cli.usage import refuse_unknown

        refuse_unknown(arguments.parser, unknown)
    if from_flow:
        from aweigh.cli.usage import refuse

        name = arguments.called
        hint = f"write it after two dashes: aweigh {name} [SPEC] -- COMMAND"
        refuse(arguments.parser, "what to run is missing", hint)


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part what is ours from the command that a flow runs, at the first ``--``."""
    words = list(argv)
    if not words or words[0] not in FLOWS or "--" not in words:
        return words, []
    here = words.index("--")
    return words[:here], words[here + 1 :]


async def _terminable(arguments: argparse.Namespace) -> int:
    """Let SIGTERM cancel, as Ctrl-C does: what was started is stopped and removed."""
    task = asyncio.current_task()
    if task is not None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
    return await _run(arguments)


async def _run(arguments: argparse.Namespace) -> int:
    from aweigh.errors import (
        AuthenticationError,
        AweighError,
        SettingsError,
        UndecidedError,
    )

    command: Command = arguments.command
    try:
        return await command(arguments)
    except AuthenticationError as error:
        print_error(error)
        return AUTHENTICATION
    except SettingsError as error:
        print_error(error)
        return USAGE
    except AweighError as error:
        print_error(error)
        refused = isinstance(error, UndecidedError) and error.refused
        return AUTHENTICATION if refused else FAILED
    except ExceptionGroup as group:
        for each in group.exceptions:
            if not isinstance(each, AweighError):
                raise
            print_error(each)
        return FAILED
