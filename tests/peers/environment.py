"""The environments of the host systems that aweigh plugs into, each with its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import uv

__all__ = ["Peer"]

ROOT: Final = Path(__file__).parents[2]
_PINS: Final = Path(__file__).parent / "pins"
_ENVIRONMENTS: Final = ROOT / "benchmarks" / ".envs" / "peers"


class Peer:
    """A host system in a virtual environment, with this checkout beside it.

    Args:
        name: Names its list of pinned packages, ``pins/NAME.txt``.
    """

    def __init__(self, name: str) -> None:
        pins = _PINS / f"{name}.txt"
        self.folder = _ENVIRONMENTS / name
        made = self.folder / "pins.txt"
        if not made.exists() or made.read_text() != pins.read_text():
            _uv("venv", "--clear", "--python", sys.executable, str(self.folder))
            _uv(
                "pip",
                "install",
                "--python",
                str(self.program("python")),
                "--requirements",
                str(pins),
                "--editable",
                str(ROOT),
            )
            made.write_text(pins.read_text())

    def program(self, name: str) -> Path:
        """Return a program of the environment."""
        return self.folder / "bin" / name

    def run(self, environ: dict[str, str], *argv: str | Path) -> str:
        """Run one of its programs to the end and return what it printed.

        Raises:
            AssertionError: It failed; the message is what it printed.
        """
        done = subprocess.run(
            [self.program(str(argv[0])), *argv[1:]],
            env=environ,
            check=False,
            capture_output=True,
            text=True,
            timeout=170,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def _uv(*arguments: str) -> None:
    subprocess.run([uv.find_uv_bin(), *arguments], check=True, capture_output=True)
