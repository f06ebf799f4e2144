"""What of the engine's package is imported, and when."""

import subprocess
import sys

import pytest

from aweigh.backends import engine


def test_a_run_imports_neither_builder_nor_swarm() -> None:
    """Who runs something in one engine pays for that alone."""
    code = (
        "import sys, aweigh.targets, aweigh.backends.engine.client\n"
        "import aweigh.backends.engine.target.docker\n"
        "package = 'aweigh.backends.engine.'\n"
        "others = ('build', 'trace', 'installer', 'code', 'checker', 'target.swarm')\n"
        "print([name for name in others if package + name in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert ran.stdout == "[]\n"


@pytest.mark.parametrize("name", engine.__all__)
def test_every_name_is_there(name: str) -> None:
    """The package has all that it says it has, under its own name."""
    assert getattr(engine, name).__name__ == name


def test_other_names_are_not_there() -> None:
    """As in any module."""
    with pytest.raises(AttributeError, match="no attribute 'Motor'"):
        engine.Motor  # type: ignore[attr-defined]  # noqa: B018
