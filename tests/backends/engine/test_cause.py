"""Hints for failed steps, told from what real tools write."""

import pytest

from aweigh.backends.engine.cause import build_hint
from aweigh.oci import Platform

PLATFORM = Platform("linux", "arm64")


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        (
            "Because nosuch-xyz was not found in the package registry and you require "
            "nosuch-xyz, we can conclude",
            "no index has a package named 'nosuch-xyz'",
        ),
        (
            "Because there is no version of numpy==1.0.99 and you require "
            "numpy==1.0.99, we can conclude",
            "no version fits 'numpy==1.0.99'",
        ),
        (
            "Because only numpy>=1.3.0 is available and you require numpy>=1.0,<1.0.1, "
            "we can conclude",
            "no version fits 'numpy>=1.0,<1.0.1'",
        ),
        (
            "  × No solution found when resolving dependencies:\n  ╰─▶ Because there "
            "is no version of\n      torch==99 and you require torch==99, we",
            "no version fits 'torch==99'",
        ),
        (
            "No solution found when resolving dependencies cause: Because a==1 depends "
            "on b>=2 and you require a==1, we can conclude that you require b>=2.",
            "contradict each other ('a==1' is one of them)",
        ),
        ("No solution found when resolving dependencies", "contradict each other:"),
        ("E: Unable to locate package nosuch", "apt package named 'nosuch'"),
        ("E: Version '9' for 'git' was not found", "apt package 'git' is gone"),
        ("Temporary failure resolving 'deb.debian.org'", "network and DNS"),
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
