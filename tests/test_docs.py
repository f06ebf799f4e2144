"""What the documentation names exists: pages, headings, tests, commands, options."""

from __future__ import annotations

import argparse
import re
import shlex
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aweigh.cli.grammar import whole_parser
from aweigh.cli.main import main
from tests.pages import PAGES, ROOT, blocks, named, prose, spans

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.pages import Block

LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)
INNER = re.compile(r"\$\(([^()]*)\)")

# Words that stand before a command in a shell.
BEFORE = {"!", "do", "else", "if", "sudo", "then", "time", "while"}


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return where links into a page can lead, as GitHub and MyST name headings."""
    headings = HEADING.findall(prose(page))
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text) for text in headings)
    slugs = (re.sub(r"[^\w\- ]", "", text.strip().lower()) for text in plain)
    return frozenset(slug.replace(" ", "-") for slug in slugs)


def shell_lines(block: Block) -> Iterator[str]:
    """Yield the command lines of a block, the ones inside of others as well."""
    text = block.text.replace("\\\n", " ")
    if block.language == "text":
        lines = [line[2:] for line in text.splitlines() if line.startswith("$ ")]
    elif block.language == "yaml":
        lines = re.findall(r"^ *(?:- )?run: (?!\|)(.*)$", text, re.MULTILINE)
    else:
        lines = text.splitlines()
    for line in lines:
        yield from INNER.findall(line)
        yield INNER.sub("INNER", line)


def calls(line: str) -> Iterator[list[str]]:
    """Yield the arguments of each `aweigh` that a command line runs."""
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    command: list[str] = []
    skip = False
    for word in (*words, ";"):
        if set(word) <= set("<>"):
            skip = True
        elif set(word) <= set("();|&"):
            while command and (command[0] in BEFORE or "=" in command[0]):
                command.pop(0)
            if command and Path(command[0]).name == "aweigh":
                yield command[1:]
            command, skip = [], False
        elif not skip:
            command.append(word)
        else:
            skip = False


@cache
def options(name: str) -> frozenset[str]:
    """Return the options of a command; of every one together for no name."""
    found: set[str] = set()
    parsers = [("", whole_parser())]
    for called, parser in parsers:
        if name in {"", called}:
            found.update(parser._option_string_actions)
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                parsers.extend(action.choices.items())
    return frozenset(found)


SHELL = [
    block
    for block in blocks("sh", "bash", "text", "yaml")
    if any(True for line in shell_lines(block) if "aweigh" in line)
]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    """A page or heading that was renamed or removed is noticed where it is linked."""
    missing = []
    for path, anchor in LINK.findall(page.read_text()):
        linked = (page.parent / path).resolve() if path else page
        if not linked.exists() or (anchor and anchor not in anchors(linked)):
            missing.append(f"{path}#{anchor}")
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_named_tests_exist(page: Path) -> None:
    """A test that a page refers to as its proof is there."""
    missing = [
        f"{file}::{test}"
        for file, test in TEST.findall(page.read_text())
        if not (ROOT / file).exists() or f"def {test}(" not in (ROOT / file).read_text()
    ]
    assert not missing


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_command_lines_are_understood(
    block: Block, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command itself parses what a page shows; it then runs nothing."""

    async def nothing(_: argparse.Namespace) -> int:
        return 0

    monkeypatch.setattr("aweigh.cli.main._run", nothing)
    for line in shell_lines(block):
        for argv in calls(line):
            assert main(argv) == 0, argv


def test_command_lines_were_found() -> None:
    """The reader of shell sees what is there, around and inside other commands."""
    line = 'A=b aweigh ps > f; ! aweigh stop "$(x)" -- | jq  # aweigh not'
    assert list(calls(line)) == [["ps"], ["stop", "$(x)", "--"]]
    assert sum(len(list(calls(c))) for b in SHELL for c in shell_lines(b)) > 50


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_options_in_sentences_exist(page: Path) -> None:
    """What stands in a sentence as `aweigh COMMAND --option` is one."""
    wrong = []
    for text in spans(page):
        called, *words = f"{text} ".split(" ")
        if called == "aweigh" and words[0] and words[0] != "COMMAND":
            name, *rest = (word for word in words if word)
            known = options(name)
            ours = takewhile(lambda word: word != "--", rest)
            wrong += [
                text
                for word in (*ours, "--help")
                if word.startswith("-") and word.partition("=")[0] not in known
            ]
    assert not wrong


def test_the_page_of_the_command_is_whole() -> None:
    """It lists each command, and names no option that no command has."""
    page = ROOT / "docs" / "cli.md"
    listed = page.read_text().partition("```\n")[2].partition("```")[0]
    parts = (line.split("   ")[0] for line in listed.splitlines())
    names = re.findall(r"(?:aweigh|\|) ([a-z]+)", "\n".join(parts))
    (commands,) = (
        set(action.choices)
        for action in whole_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    assert commands <= set(names)
    named_options = {
        word
        for text in spans(page)
        for word in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", text)
        if text.startswith("-")
    }
    assert named_options
    assert named_options <= options("")
