"""Hints for failed steps, told from what real tools write."""

import pytest

from aweigh.backends.engine.cause import build_hint
from aweigh.oci import Platform

WE = ", we can conclude that your requirements are unsatisfiable."
NONE = "No solution found when resolving dependencies"
WRAPPED = f"""  \N{MULTIPLICATION SIGN} {NONE}:
  ╰─▶ Because there is no version of
      torch==99 and you require torch==99{WE}"""
PLATFORM = Platform("linux", "arm64")


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        (
            f"Because nosuch was not found in the package registry {WE}",
            "named 'nosuch'",
        ),
        (f"Because there is no version of a==9 and you require a==9 {WE}", "'a==9'"),
        (f"Because only a>=3 is available and you require a>=1,<2 {WE}", "'a>=1,<2'"),
        (WRAPPED, "no version fits 'torch==99'"),
        (f"{NONE} Because a==1 needs b>=2 and you require a==1 {WE}", "('a==1' is one"),
        (NONE, "contradict each other:"),
        ("E: Unable to locate package nosuch", "apt package named 'nosuch'"),
        ("E: Version '9' for 'git' was not found", "apt package 'git' is gone"),
        ("Temporary failure resolving 'mirror.test'", "network and DNS"),
        ("write /x: no space left on device", "disk is full"),
        ("exec /bin/sh: exec format error", "cannot run linux/arm64 programs"),
        ("exit code: 137", "killed, most likely for memory"),
        ("exit code: 127", "lacks a program"),
        ("pull access denied, repository does not exist", "spelling of the image"),
        ("exit code: 1", "last lines above"),
    ],
)
def test_the_hint_fits_the_cause(line: str, hint: str) -> None:
    """Each known cause has its own next step, from the log or from the error."""
    assert hint in build_hint("exit code: 1", line.splitlines(), PLATFORM)
    assert hint in build_hint(line, (), PLATFORM)
