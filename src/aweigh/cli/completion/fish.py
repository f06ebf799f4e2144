"""The completion of fish."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aweigh.cli.grammar import FLOWS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aweigh.cli.completion.node import Node, Option

__all__ = ["fish_script"]


def fish_script(nodes: Sequence[Node]) -> str:
    """Return what fish has to read."""
    deeper = sorted({node.path for node in nodes if node.words})
    lines = [
        _SCRIPT.format(deeper=" ".join(deeper), flows=" ".join(sorted(FLOWS))).rstrip()
    ]
    for node in nodes:
        here = f"complete -c aweigh -n {_quoted(_at(node.words))}"
        if node.words:
            lines.append(
                f"complete -c aweigh -n {_quoted(_at(node.words[:-1]))} "
                f"-a {node.words[-1]} -d {_quoted(node.says)}"
            )
        values = [word for word in node.below if _is_value(node, word, nodes)]
        lines += [f"{here} -a {word}" for word in values]
        if node.paths:
            lines.append(f"{here} -F")
        lines += [f"{here} {_option(option)}" for option in node.options]
    return "\n".join(lines) + "\n"


def _is_value(node: Node, word: str, nodes: Sequence[Node]) -> bool:
    return all(each.words != (*node.words, word) for each in nodes)


def _at(words: Sequence[str]) -> str:
    return f"__aweigh_at '{'/'.join(words)}'"


def _option(option: Option) -> str:
    parts = [
        f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
        for name in option.names
    ]
    if option.choices:
        parts.append(f"-x -a {_quoted(' '.join(option.choices))}")
    elif option.takes:
        parts.append("-r -F" if option.takes == "path" else "-x")
    return f"{' '.join(parts)} -d {_quoted(option.says)}"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_SCRIPT: Final = """\
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
