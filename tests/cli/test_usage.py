"""Help and wrong command lines: what people read first."""

import pytest

from aweigh.cli.main import main
from aweigh.cli.usage import GROUPS
from tests.cli.conftest import Run

COMMANDS = [name for _, names in GROUPS for name in names]


def test_help_lists_groups_and_codes(run: Run) -> None:
    """Commands in the order people meet them, exit codes, settings."""
    done = run("--help")
    places = [done.out.index(f"\n  {name} ") for name in COMMANDS]
    assert places == sorted(places)
    for text in ("Make it exist:", "exit codes:", "130", "NO_COLOR"):
        assert text in done.out
    assert run().code == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_examples(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And each example is of that command."""
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert f"aweigh {command}" in said.partition("examples:")[2]
    assert max(map(len, said.splitlines())) <= 88


@pytest.mark.parametrize(
    ("argv", "says", "hint"),
    [
        (("ensure", "--plaform", "x"), "no option --plaform", "--platform?"),
        (("ensur",), "invalid choice", "did you mean aweigh ensure?"),
        (("cache", "prun"), "invalid choice", "did you mean aweigh cache prune?"),
        (("ps", "extra"), "no argument extra", "aweigh ps --help"),
        (("run", "python", "x.py"), "what to run is missing", "run [SPEC] -- COMMAND"),
        (("run", "--gpu", "x", "--", "y"), "invalid int value", "aweigh run --help"),
        (("completion", "tcsh"), "invalid choice", "aweigh completion --help"),
    ],
)
def test_wrong_command_lines(
    argv: tuple[str, ...],
    says: str,
    hint: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A message, a hint, 2, and nothing else."""
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("error: ")
    assert says in first
    assert second.startswith("  hint: ")
    assert hint in second


@pytest.mark.parametrize(
    ("environ", "painted_red"),
    [
        ({}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colours(run: Run, environ: dict[str, str], painted_red: bool) -> None:  # noqa: FBT001
    """NO_COLOR beats FORCE_COLOR beats what the stream is."""
    done = run("bundle", "nowhere", **environ)
    assert done.err.startswith("\x1b[31merror:\x1b[0m") == painted_red
