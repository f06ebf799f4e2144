"""The grammar of the command line: its commands, and what each of them takes."""

from __future__ import annotations

import argparse
import functools
from typing import TYPE_CHECKING, Any

from aweigh.cli.parser import Parser

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FLOWS", "whole_parser"]

_STARTING = ("run", "deploy", "serve", "render")
_STARTED = ("ps", "logs", "stop")

# What takes a command after `--`.
FLOWS = frozenset(_STARTING)

_CACHE_ACTIONS = (
    ("dir", "print where it is"),
    ("ls", "list what is remembered"),
    ("size", "print its size in bytes"),
    ("prune", "remove what has expired"),
    ("clean", "remove everything"),
)
# What only looks has no events.
_UNEVENTFUL = frozenset({"doctor", *(name for name, _ in _CACHE_ACTIONS)})
_SPEC_HELP = (
    "what the image should be: a pyproject.toml with [tool.aweigh.image], a "
    "Dockerfile, a script with a PEP 723 block, or module:attribute "
    "(default: the nearest pyproject.toml)"
)


def whole_parser(called: str = "") -> argparse.ArgumentParser:
    """Return the parser of every command; of one alone, if it is called so."""
    parser = Parser(prog="aweigh", usage="%(prog)s COMMAND [OPTION...]")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(
        prog="aweigh",
        required=True,
        metavar="COMMAND",
        dest="called",
        help=argparse.SUPPRESS,
    )
    adders = _adders(commands)
    for name in (called,) if called in adders else adders:
        adders[name]()
    return parser


def _adders(commands: Any) -> dict[str, Callable[[], None]]:
    """Return what adds each command, in the order in which help lists them."""
    before = {
        "ensure": _add_ensure,
        "bundle": _add_bundle,
        "prepare": _add_prepare,
        "fetch": _add_fetch,
        "explain": _add_explain,
    }
    flows = (*_STARTING, *_STARTED)
    after = {"doctor": _add_doctor, "cache": _add_cache, "completion": _add_completion}
    return {
        **{name: functools.partial(add, commands) for name, add in before.items()},
        **{name: functools.partial(_add_flow, commands, name) for name in flows},
        **{name: functools.partial(add, commands) for name, add in after.items()},
    }


class _Version(argparse.Action):
    """Prints the version; the metadata is read only when somebody asks."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"aweigh {version('aweigh')}")
        parser.exit()


def _command(commands: Any, name: str, help_text: str) -> argparse.ArgumentParser:
    parser = _plain_command(commands, name, help_text)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="no progress on stderr"
    )
    if name not in _UNEVENTFUL:
        parser.add_argument(
            "--events", metavar="FILE", help="write each event to FILE: a JSON line"
        )
    return parser


def _plain_command(commands: Any, name: str, says: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, description=f"{says[0].upper()}{says[1:]}."
    )
    parser.set_defaults(parser=parser)
    return parser


def _add_ensure(commands: Any) -> None:
    parser = _command(commands, "ensure", "make an image exist and print it")
    parser.add_argument("spec", nargs="?", metavar="SPEC", help=_SPEC_HELP)
    parser.add_argument(
        "--check", action="store_true", help="only say whether it exists: exit 0 or 1"
    )
    parser.add_argument("--rebuild", action="store_true", help="build it anyway")
    parser.add_argument(
        "--upgrade", action="store_true", help="build it anyway, everything newest"
    )
    parser.add_argument(
        "--platform",
        action="append",
        metavar="OS/ARCH",
        help="platform to build for; may be repeated",
    )
    parser.set_defaults(command=_ensure)


def _add_bundle(commands: Any) -> None:
    parser = _command(commands, "bundle", "bring a directory's code into the store")
    _add_directory(parser)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="list what would go in, and what is left out by which rule",
    )
    parser.add_argument(
        "--show-excludes",
        action="store_true",
        help="list what is left out of every bundle unless it is asked for, and why",
    )
    parser.add_argument(
        "--form",
        choices=("packs", "tar.gz", "zip"),
        default="packs",
        help="how the store holds it; archives are for other tools (default: packs)",
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="write a .zip, .tar.gz or .tgz instead, and leave the store alone",
    )
    for option, what in (("--include", "take only"), ("--exclude", "leave out")):
        parser.add_argument(
            option,
            action="append",
            default=[],
            metavar="GLOB",
            help=f"{what} what matches; may be repeated",
        )
    parser.add_argument(
        "--follow", action="store_true", help="follow symlinks that leave the directory"
    )
    parser.set_defaults(command=_bundle)


def _add_prepare(commands: Any) -> None:
    parser = _command(commands, "prepare", "ensure an image and bundle a directory")
    parser.add_argument("spec", nargs="?", metavar="SPEC", help=_SPEC_HELP)
    _add_directory(parser)
    parser.set_defaults(command=_prepare)


def _add_fetch(commands: Any) -> None:
    parser = _command(commands, "fetch", "put a bundle's files into a directory")
    parser.add_argument("uri", metavar="URI", help="what `aweigh bundle` printed")
    parser.add_argument("destination", metavar="DIR", help="where the files go")
    parser.set_defaults(command=_fetch)


def _add_explain(commands: Any) -> None:
    parser = _command(commands, "explain", "say what prepare would do, and why")
    parser.add_argument("spec", nargs="?", metavar="SPEC", help=_SPEC_HELP)
    parser.add_argument(
        "directory", nargs="?", metavar="DIR", help="the code (default: none)"
    )
    parser.set_defaults(command=_explain)


def _add_flow(commands: Any, name: str) -> None:
    # The longest part of the grammar, which an answer from memory does without.
    from aweigh.cli.flow_grammar import add_flow

    add_flow(name, functools.partial(_command, commands), _SPEC_HELP)


def _add_doctor(commands: Any) -> None:
    parser = _command(commands, "doctor", "check everything that aweigh needs")
    parser.set_defaults(command=_doctor)


def _add_cache(commands: Any) -> None:
    parser = _plain_command(commands, "cache", "look at or clean what is remembered")
    actions = parser.add_subparsers(
        required=True, metavar="ACTION", help="dir, ls, size, prune or clean"
    )
    for name, help_text in _CACHE_ACTIONS:
        action = _command(actions, name, help_text)
        action.set_defaults(command=_cache, action=name)


def _add_completion(commands: Any) -> None:
    parser = _plain_command(commands, "completion", "print a script for your shell")
    parser.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "fish"))
    parser.set_defaults(command=_completion)


def _add_directory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "directory", nargs="?", default=".", metavar="DIR", help="the code (default: .)"
    )


# Each command's module is imported when it runs: an answer from memory should not pay
# for the others.


async def _ensure(arguments: argparse.Namespace) -> int:
    from aweigh.cli.image import ensure

    return await ensure(arguments)


async def _explain(arguments: argparse.Namespace) -> int:
    from aweigh.cli.image import explain

    return await explain(arguments)


async def _bundle(arguments: argparse.Namespace) -> int:
    from aweigh.cli.bundle import bundle

    return await bundle(arguments)


async def _prepare(arguments: argparse.Namespace) -> int:
    from aweigh.cli.bundle import prepare

    return await prepare(arguments)


async def _fetch(arguments: argparse.Namespace) -> int:
    from aweigh.cli.bundle import fetch

    return await fetch(arguments)


async def _doctor(arguments: argparse.Namespace) -> int:
    from aweigh.cli.doctor import doctor

    return await doctor(arguments)


async def _cache(arguments: argparse.Namespace) -> int:
    from aweigh.cli.cache import cache

    return await cache(arguments)


async def _completion(arguments: argparse.Namespace) -> int:
    from aweigh.cli.completion import script

    print(script(arguments.shell, whole_parser()), end="")
    return 0
