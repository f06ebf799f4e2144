"""`aweigh completion`: scripts for bash, zsh and fish, made from the grammar itself.

They are static: pressing TAB starts no Python.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aweigh.cli.grammar import FLOWS

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["script"]

_PATHS: Final = ("SPEC", "DIR", "FILE", "URI", "SOURCE:TARGET[:ro]")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Option:
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
class _Node:
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
    options: tuple[_Option, ...]
    below: tuple[str, ...]
    paths: bool


def script(shell: str, parser: argparse.ArgumentParser) -> str:
    """Return what makes a shell complete the command line of a parser.

    Args:
        shell: ``bash``, ``zsh`` or ``fish``.
        parser: The whole grammar.
    """
    nodes = list(_nodes(parser, ()))
    match shell:
        case "bash":
            return _bash(nodes)
        case "zsh":
            return _zsh(nodes)
        case _:
            return _fish(nodes)


def _nodes(parser: argparse.ArgumentParser, words: tuple[str, ...]) -> Iterator[_Node]:
    options: list[_Option] = []
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
    yield _Node(
        words=words,
        says=(parser.description or "").rstrip("."),
        options=tuple(options),
        below=tuple(below),
        paths=paths,
    )
    for name, each in deeper.items():
        yield from _nodes(each, (*words, name))


def _option(action: argparse.Action) -> _Option:
    takes = ""
    if action.nargs != 0:
        takes = "path" if action.metavar in _PATHS else "word"
    return _Option(
        names=tuple(action.option_strings),
        says=(action.help or "").partition(" (default")[0],
        takes=takes,
        choices=tuple(map(str, action.choices or ())),
    )


def _bash(nodes: list[_Node]) -> str:
    words = [
        f"    {_case(node)}) words={_quoted(' '.join(_words(node)))};"
        f" paths={int(node.paths)} ;;"
        for node in nodes
    ]
    values = [
        f"    {'|'.join(f'{_case(node)}:{name}' for name in option.names)})"
        f" {_bash_value(option)}; return ;;"
        for node in nodes
        for option in node.options
        if option.takes
    ]
    deeper = "|".join(_case(node) for node in nodes if node.words)
    return _BASH.format(
        deeper=deeper,
        flows="|".join(sorted(FLOWS)),
        words="\n".join(words),
        values="\n".join(values),
    )


def _words(node: _Node) -> list[str]:
    names = [name for option in node.options for name in option.names]
    return [*node.below, *names, *(["--"] if node.words[:1] and _flow(node) else [])]


def _flow(node: _Node) -> bool:
    return node.words[0] in FLOWS


def _case(node: _Node) -> str:
    return "/".join(node.words) or "''"


def _bash_value(option: _Option) -> str:
    if option.choices:
        return f"words={_quoted(' '.join(option.choices))}; _aweigh_reply"
    if option.takes == "path":
        return "paths=1; _aweigh_reply"
    return ":"


def _zsh(nodes: list[_Node]) -> str:
    cases: list[str] = []
    for node in nodes:
        below = [
            f"{each.words[-1]}:{each.says}"
            for each in nodes
            if each.words and each.words[:-1] == node.words
        ]
        below = below or list(node.below)
        lines = [f"    {_case(node)})"]
        if below:
            lines.append(f"      offered=({' '.join(map(_quoted, below))})")
        options = [
            _quoted(f"{name}:{option.says}")
            for option in node.options
            for name in option.names
        ]
        lines += [
            f"      options=({' '.join(options)})",
            f"      paths={int(node.paths)} ;;",
        ]
        cases += lines
    values = [
        f"    {'|'.join(f'{_case(node)}:{name}' for name in option.names)})"
        f" {_zsh_value(option)}; return ;;"
        for node in nodes
        for option in node.options
        if option.takes
    ]
    return _ZSH.format(
        deeper="|".join(_case(node) for node in nodes if node.words),
        flows="|".join(sorted(FLOWS)),
        cases="\n".join(cases),
        values="\n".join(values),
    )


def _zsh_value(option: _Option) -> str:
    if option.choices:
        return f"compadd -- {' '.join(map(_quoted, option.choices))}"
    return "_files" if option.takes == "path" else "_message value"


def _fish(nodes: list[_Node]) -> str:
    deeper = sorted({"/".join(node.words) for node in nodes if node.words})
    lines = [
        _FISH.format(deeper=" ".join(deeper), flows=" ".join(sorted(FLOWS))).rstrip()
    ]
    for node in nodes:
        here = f"complete -c aweigh -n {_fish_quoted(_fish_at(node))}"
        if node.words:
            above = _Node(
                words=node.words[:-1], says="", options=(), below=(), paths=False
            )
            lines.append(
                f"complete -c aweigh -n {_fish_quoted(_fish_at(above))} "
                f"-a {node.words[-1]} -d {_fish_quoted(node.says)}"
            )
        values = [word for word in node.below if _is_value(node, word, nodes)]
        lines += [f"{here} -a {word}" for word in values]
        if node.paths:
            lines.append(f"{here} -F")
        lines += [f"{here} {_fish_option(option)}" for option in node.options]
    return "\n".join(lines) + "\n"


def _is_value(node: _Node, word: str, nodes: list[_Node]) -> bool:
    return all(each.words != (*node.words, word) for each in nodes)


def _fish_at(node: _Node) -> str:
    return f"__aweigh_at '{'/'.join(node.words)}'"


def _fish_option(option: _Option) -> str:
    parts = [
        f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
        for name in option.names
    ]
    if option.choices:
        parts.append(f"-x -a {_fish_quoted(' '.join(option.choices))}")
    elif option.takes:
        parts.append("-r -F" if option.takes == "path" else "-x")
    return f"{' '.join(parts)} -d {_fish_quoted(option.says)}"


def _quoted(text: str) -> str:
    """Quote for bash and zsh."""
    return "'" + text.replace("'", "'\\''") + "'"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


# Each script first finds out which command the words before the cursor name; what
# comes after the `--` of a flow is somebody else's command line.
_BASH: Final = """\
# bash completion of aweigh; made by: aweigh completion bash
_aweigh_reply() {{
  local IFS=$' \\t\\n'
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [[ $paths == 1 && $current != -* ]]; then
    local IFS=$'\\n'
    COMPREPLY+=($(compgen -f -- "$current"))
    compopt -o filenames 2>/dev/null
  fi
}}

_aweigh() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}
  local at='' words='' paths=0 word next index
  COMPREPLY=()
  for ((index = 1; index < COMP_CWORD; index++)); do
    word=${{COMP_WORDS[index]}}
    if [[ $word == -- ]]; then
      case "$at" in
        {flows})
          local IFS=$'\\n'
          if ((index + 1 == COMP_CWORD)); then
            COMPREPLY=($(compgen -c -- "$current"))
          else
            COMPREPLY=($(compgen -f -- "$current"))
            compopt -o filenames 2>/dev/null
          fi
          return ;;
      esac
    fi
    next=${{at:+$at/}}$word
    case "$next" in
      {deeper}) at=$next ;;
    esac
  done
  case "$at:$previous" in
{values}
  esac
  case "$at" in
{words}
  esac
  _aweigh_reply
}}

complete -F _aweigh aweigh
"""

_ZSH: Final = """\
#compdef aweigh
# zsh completion of aweigh; made by: aweigh completion zsh
_aweigh() {{
  local at='' paths=0 word next index
  local -a offered options
  for ((index = 2; index < CURRENT; index++)); do
    word=$words[index]
    if [[ $word == -- ]]; then
      case "$at" in
        {flows})
          words=("${{(@)words[index + 1,-1]}}")
          ((CURRENT -= index))
          _normal
          return ;;
      esac
    fi
    next=${{at:+$at/}}$word
    case "$next" in
      {deeper}) at=$next ;;
    esac
  done
  case "$at:$words[CURRENT-1]" in
{values}
  esac
  case "$at" in
{cases}
  esac
  if [[ $words[CURRENT] == -* ]]; then
    _describe -o option options
    return
  fi
  (($#offered)) && _describe command offered
  ((paths)) && _files
}}

if [[ $funcstack[1] == _aweigh ]]; then
  _aweigh "$@"
else
  compdef _aweigh aweigh
fi
"""

_FISH: Final = """\
# fish completion of aweigh; made by: aweigh completion fish
function __aweigh_at --argument-names wanted
    set -l at ''
    for word in (commandline -opc)[2..-1]
        if test "$word" = -- && contains -- "$at" {flows}
            return 1
        end
        set -l next (string trim --left --chars=/ "$at/$word")
        if contains -- "$next" {deeper}
            set at $next
        end
    end
    test "$at" = "$wanted"
end

# What follows the dashes of a flow.
function __aweigh_program
    set -l words (commandline -opc) (commandline -ct)
    while test (count $words) -gt 0; and test "$words[1]" != --
        set -e words[1]
    end
    test (count $words) -gt 1; and complete -C "$words[2..-1]"
end

function __aweigh_in_program
    set -l words (commandline -opc)
    contains -- -- $words; and contains -- "$words[2]" {flows}
end

complete -c aweigh -f
complete -c aweigh -n __aweigh_in_program -a '(__aweigh_program)'
"""
