"""Completion: the shells themselves are asked what they would offer."""

import shutil
import subprocess
from pathlib import Path

import pytest

from aweigh.cli.completion import script
from aweigh.cli.grammar import whole_parser

_BASH = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
_aweigh
printf '%s\\n' "${COMPREPLY[@]}"
"""


def _shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (apt-get install {name})")
    return found


def _written(shell: str, folder: Path) -> Path:
    path = folder / f"completion.{shell}"
    path.write_text(script(shell, whole_parser()))
    return path


def _said(*command: str, cwd: Path, home: Path | None = None) -> list[str]:
    done = subprocess.run(
        command,
        cwd=cwd,
        env={"HOME": str(home or cwd), "PATH": "/usr/bin:/bin", "TERM": "dumb"},
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


QUESTIONS = [
    (("ens",), {"ensure"}),
    (("cache", ""), {"dir", "ls", "size", "prune", "clean"}),
    (("cache", "ls", "--j"), {"--json"}),
    (("ensure", "--re"), {"--rebuild"}),
    (("bundle", "--form", ""), {"packs", "tar.gz", "zip"}),
    (("bundle", "--events", "da"), {"data.txt"}),
    (("run", "--dir", "da"), {"data.txt"}),
    (("run", "--", "cat", "da"), {"data.txt"}),
    (("completion", "z"), {"zsh"}),
    (("ps", "da"), set()),
]


@pytest.mark.parametrize(("words", "offered"), QUESTIONS)
def test_bash_offers(words: tuple[str, ...], offered: set[str], tmp_path: Path) -> None:
    """Commands, actions, options, their values, files, and a program's own files."""
    (tmp_path / "data.txt").touch()
    path = _written("bash", tmp_path)
    bash = _shell("bash")
    said = _said(bash, "-c", _BASH, "x", str(path), "aweigh", *words, cwd=tmp_path)
    assert offered <= set(said)
    if words[-1]:
        assert set(said) - {""} == offered


def test_bash_knows_who_completes(tmp_path: Path) -> None:
    """Sourcing it is enough."""
    path = _written("bash", tmp_path)
    said = _said(
        _shell("bash"), "-c", 'source "$1"; complete -p aweigh', "x", str(path),
        cwd=tmp_path,
    )  # fmt: skip
    assert said == ["complete -F _aweigh aweigh"]


@pytest.mark.parametrize(("words", "offered"), QUESTIONS)
def test_fish_offers(words: tuple[str, ...], offered: set[str], tmp_path: Path) -> None:
    """The same answers, with descriptions."""
    (tmp_path / "data.txt").touch()
    path = _written("fish", tmp_path)
    ask = f"source {path}; complete -C 'aweigh {' '.join(words)}'"
    said = _said(_shell("fish"), "--no-config", "-c", ask, cwd=tmp_path)
    assert offered <= {line.partition("\t")[0] for line in said}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_parse(shell: str, tmp_path: Path) -> None:
    """Each shell reads its script without a word."""
    path = _written(shell, tmp_path)
    assert _said(_shell(shell), "-n", str(path), cwd=tmp_path) == []


def test_zsh_offers(tmp_path: Path) -> None:
    """A zsh at a terminal of its own completes a command and an option."""
    path = _written("zsh", tmp_path)
    play = f"""
        zmodload zsh/zpty
        zpty -b z {_shell("zsh")} -f -i
        zpty -w z 'PS1=; autoload -U compinit; compinit -u -d {tmp_path}/dump'
        zpty -w z 'source {path}'
        zpty -w z 'aweigh() {{ print -r -- "<""<$*>"">" }}'
        sleep 2
        zpty -w -n z $'aweigh ens\\t--reb\\t\\n'
        sleep 1
        zpty -r z said '*<<*>>*'
        print -r -- $said
    """
    said = "\n".join(_said(_shell("zsh"), "-f", "-c", play, cwd=tmp_path))
    assert "<<ensure --rebuild>>" in said


def test_every_command_is_offered() -> None:
    """Whatever the grammar has, all three scripts have."""
    parser = whole_parser()
    for shell in ("bash", "zsh", "fish"):
        text = script(shell, parser)
        for word in ("render", "doctor", "prune", "show-excludes", "health-timeout"):
            assert word in text, (shell, word)
