"""The peers' virtual environments, each from its own list of pinned packages."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import uv

__all__ = ["PeerMissingError", "interpreter"]

_PINS: Final = Path(__file__).parent / "pins"
_ENVIRONMENTS: Final = Path(__file__).parents[1] / ".envs"


class PeerMissingError(Exception):
    """A peer that could not be installed; the message is what uv said."""


def interpreter(peer: str) -> Path:
    """Return the Python of a peer, after making its environment where there is none.

    An environment that was made from other pins is made anew.

    Raises:
        PeerMissingError: It cannot be installed.
    """
    pins = _PINS / f"{peer}.txt"
    folder = _ENVIRONMENTS / peer
    made = folder / "pins.txt"
    python = folder / "bin" / "python"
    if not made.exists() or made.read_text() != pins.read_text():
        shutil.rmtree(folder, ignore_errors=True)
        _uv("venv", "--python", sys.executable, str(folder))
        _uv("pip", "sync", "--python", str(python), str(pins))
        shutil.copy(pins, made)
    return python


def _uv(*arguments: str) -> None:
    command = [uv.find_uv_bin(), *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise PeerMissingError(ran.stderr.strip())
