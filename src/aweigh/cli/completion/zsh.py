"""The completion of zsh."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aweigh.cli.completion.case import deeper, option_cases, pattern, quoted
from aweigh.cli.grammar import FLOWS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aweigh.cli.completion.node import Node, Option

__all__ = ["zsh_script"]


def zsh_script(nodes: Sequence[Node]) -> str:
    """Return what zsh has to read."""
    cases = [line for node in nodes for line in _case(node, nodes)]
    return _SCRIPT.format(
        deeper=deeper(nodes),
        flows="|".join(sorted(FLOWS)),
        cases="\n".join(cases),
        values=option_cases(nodes, _value),
    )


def _case(node: Node, nodes: Sequence[Node]) -> Iterator[str]:
    below = [
        f"{each.words[-1]}:{each.says}"
        for each in nodes
        if each.words and each.words[:-1] == node.words
    ]
    below = below or list(node.below)
    options = [
        quoted(f"{name}:{option.says}")
        for option in node.options
        for name in option.names
    ]
    yield f"    {pattern(node)})"
    if below:
        yield f"      offered=({' '.join(map(quoted, below))})"
    yield f"      options=({' '.join(options)})"
    yield f"      paths={int(node.paths)} ;;"


def _value(option: Option) -> str:
    if option.choices:
        return f"compadd -- {' '.join(map(quoted, option.choices))}"
    return "_files" if option.takes == "path" else "_message value"


_SCRIPT: Final = """\
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
