"""The completion of bash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aweigh.cli.completion.case import deeper, option_cases, pattern, quoted
from aweigh.cli.grammar import FLOWS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aweigh.cli.completion.node import Node, Option

__all__ = ["bash_script"]


def bash_script(nodes: Sequence[Node]) -> str:
    """Return what bash has to read."""
    words = [
        f"    {pattern(node)}) words={quoted(' '.join(_words(node)))};"
        f" paths={int(node.paths)} ;;"
        for node in nodes
    ]
    return _SCRIPT.format(
        deeper=deeper(nodes),
        flows="|".join(sorted(FLOWS)),
        words="\n".join(words),
        values=option_cases(nodes, _value),
    )


def _words(node: Node) -> list[str]:
    names = [name for option in node.options for name in option.names]
    dashes = ["--"] if node.words[:1] and node.words[0] in FLOWS else []
    return [*node.below, *names, *dashes]


def _value(option: Option) -> str:
    if option.choices:
        return f"words={quoted(' '.join(option.choices))}; _aweigh_reply"
    if option.takes == "path":
        return "paths=1; _aweigh_reply"
    return ":"


_SCRIPT: Final = """\
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
