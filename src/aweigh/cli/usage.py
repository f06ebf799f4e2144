"""How the command line explains itself: groups, examples, exit codes, near misses."""

from __future__ import annotations

import argparse
import difflib
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["GROUPS", "closing", "hint_for", "overview", "refuse", "refuse_unknown"]

_USAGE: Final = 2
_COLUMN: Final = 12

GROUPS: Final = (
    ("Make it exist", ("ensure", "bundle", "prepare", "fetch")),
    ("Run it", ("run", "deploy", "serve", "render")),
    ("See what runs", ("ps", "logs", "stop")),
    ("Look, change nothing", ("explain", "doctor")),
    ("Around it", ("cache", "completion")),
)
"""The commands, in the order in which people meet them."""

_SETTINGS: Final = """\
Settings come from AWEIGH_* variables, aweigh.toml or [tool.aweigh] in the nearest
pyproject.toml, and config.toml in the user's configuration directory (aweigh/).
NO_COLOR and FORCE_COLOR decide about colours; with CI set, progress is plain lines."""

_CODES: Final = """\
exit codes:
  0    it worked
  1    it failed; the message has a hint
  2    the command line or a setting is wrong
  4    the registry or the store wants other credentials
  130  interrupted (Ctrl-C)
  143  terminated (SIGTERM)"""

_OWN_CODES: Final = {
    "run": "  any  the program's own code, when it ran (141: nobody read its output)",
    "ensure": "  1    also, with --check: the image does not exist",
    "doctor": "  0 is for settings with which everything works, 1 for anything less",
}

_EXAMPLES: Final = {
    "ensure": (
        ("aweigh ensure", "the image of the nearest pyproject.toml"),
        ("aweigh ensure Dockerfile --platform linux/amd64", "of a Dockerfile"),
        ("aweigh ensure app:spec --check", "exit code 0 if it exists, else 1"),
    ),
    "bundle": (
        ("aweigh bundle src", "upload what is new and print the bundle's URI"),
        ("aweigh bundle src --dry-run", "what goes in, what stays out, by which rule"),
        ("aweigh bundle src --output code.zip", "into a file, the store left alone"),
    ),
    "prepare": (
        ("aweigh prepare", "the nearest pyproject.toml, and the code in ."),
        ("aweigh prepare app:spec src --json", "both, as one object"),
        ("aweigh prepare train.py . --events events.ndjson", "with every event"),
    ),
    "fetch": (
        ('aweigh fetch "$(aweigh bundle src)" /tmp/code', "there and back again"),
    ),
    "explain": (
        ("aweigh explain", "would the image be built, and of which layers"),
        ("aweigh explain app:spec src --json", "with the code, for programs"),
    ),
    "run": (
        ("aweigh run --dir src -- python train.py", "with the nearest pyproject.toml"),
        ("aweigh run Dockerfile -e SEED=1 --gpus 1 -- python train.py", "more of it"),
    ),
    "deploy": (
        (
            "aweigh deploy --name api -p 8080:8000 -- uvicorn app:app --host 0.0.0.0",
            "start it, or bring it to what is here now",
        ),
    ),
    "serve": (
        ("aweigh serve --dir src -- uvicorn app:app", "edit src; no request is lost"),
    ),
    "render": (
        ("aweigh render --name job -- python train.py | kubectl apply -f -", "a Job"),
    ),
    "ps": (("aweigh ps --target swarm", "what of ours runs in the swarm"),),
    "logs": (("aweigh logs api -f", "what it wrote, and what it goes on to write"),),
    "stop": (
        ("aweigh stop api", "one of them"),
        ("aweigh stop --all", "everything that aweigh runs on the target"),
    ),
    "doctor": (
        ("aweigh doctor", "what is missing, and what mends it"),
        ("AWEIGH_TARGET=swarm aweigh doctor --json", "the same for other settings"),
    ),
    "cache": (
        ("aweigh cache ls", "what is remembered, and for how long"),
        ("aweigh cache clean", "forget everything; it costs nothing but time"),
    ),
    "completion": (
        (
            "aweigh completion bash >> ~/.bash_completion",
            "bash",
        ),
        ("aweigh completion zsh > ~/.zfunc/_aweigh", "zsh, with ~/.zfunc in $fpath"),
        ("aweigh completion fish > ~/.config/fish/completions/aweigh.fish", "fish"),
    ),
}


def refuse(parser: argparse.ArgumentParser, message: str, hint: str) -> NoReturn:
    """Print a message and a hint, and end with 2."""
    from aweigh.cli.output import print_problem

    print_problem(message, hint)
    parser.exit(_USAGE)


def refuse_unknown(parser: argparse.ArgumentParser, words: Sequence[str]) -> NoReturn:
    """Refuse what a command does not know, naming what was perhaps meant.

    Args:
        parser: The command's own parser.
        words: What it left over.
    """
    word = words[0].partition("=")[0]
    close = difflib.get_close_matches(word, list(_options(parser)), 1)
    hint = f"did you mean {close[0]}?" if close else f"{parser.prog} --help lists all"
    kind = "option" if word.startswith("-") else "argument"
    refuse(parser, f"{parser.prog} knows no {kind} {word}", hint)


def overview(parser: argparse.ArgumentParser) -> str:
    """Return what aweigh is for, and its commands in their groups."""
    lines = ["Make a task's image and code exist before it runs."]
    commands = _commands(parser)
    for title, names in GROUPS:
        lines += ["", f"{title}:"]
        for name in names:
            says = (commands[name].description or "").rstrip(".")
            lines.append(f"  {name:{_COLUMN}}{says[:1].lower()}{says[1:]}")
    return "\n".join(lines)


def closing(command: str = "") -> str:
    """Return what stands below a command's options; of all of them without a name."""
    parts: list[str] = []
    if examples := _EXAMPLES.get(command):
        shown = (f"  # {what}\n  {line}" for line, what in examples)
        parts.append("examples:\n" + "\n".join(shown))
    own = _OWN_CODES.get(command)
    parts.append(f"{_CODES}\n{own}" if own else _CODES)
    if not command:
        parts += [_OWN_CODES["run"].replace("any  the", "any  `aweigh run`: the")]
        parts[:] = ["\n".join(parts), _SETTINGS]
        parts.append("`aweigh COMMAND --help` has options and examples.")
    return "\n\n".join(parts)


def hint_for(parser: argparse.ArgumentParser, message: str) -> str:
    """Return what to do about a command line that argparse refuses."""
    tried = message.partition("invalid choice: ")[2].split("'")
    if tried[1:]:
        close = difflib.get_close_matches(tried[1], list(_commands(parser)), 1)
        if close:
            return f"did you mean {parser.prog} {close[0]}?"
    return f"{parser.prog} --help has options and examples"


def _commands(
    parser: argparse.ArgumentParser,
) -> Mapping[str, argparse.ArgumentParser]:
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            return dict(action.choices)
    return {}


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:  # noqa: SLF001
        yield from action.option_strings
